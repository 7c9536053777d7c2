"""Jobs and parts as rows of the state file, and back."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from submitter.jobs import Job, Part, Plan, Share, Standing, State, state_of
from transformation.model import documents

_JOB = (
    "name, user, task, comment, release, backend, site, base, spec, digest, key, state, message, submitted_s,"
    " changed_s, queue, plan, n_units, n_files, share, cpu_s, environment"
)
_PART = (
    "job_id, number, selects, state, attempt, remote_id, pid, pid_born_s, begun_s, ended_s, not_before_s, exit_code,"
    " message, where_, kill_asked, n_done, n_failed, replaced"
)


SELECT_JOB = f"SELECT id, {_JOB} FROM job"
INSERT_JOB = f"INSERT INTO job ({_JOB}) VALUES ({', '.join('?' for _ in _JOB.split(','))})"
SELECT_PART = f"SELECT id, {_PART} FROM part"
INSERT_PART = f"INSERT INTO part ({_PART}) VALUES ({', '.join('?' for _ in _PART.split(','))})"


def job_row(job: Job) -> tuple[object, ...]:
    return (
        *(job.name, job.user, job.task, job.comment, job.release, job.backend, job.site, job.base, job.spec),
        *(job.digest, job.key, job.state, job.message, job.submitted_s, job.changed_s),
        *(job.queue, msgspec.json.encode(job.plan).decode(), job.n_units, job.n_files),
        *(msgspec.json.encode(one).decode() for one in (job.share, job.cpu_s, job.environment)),
    )


def job_of_row(row: tuple[object, ...]) -> Job:
    names = ["id", *(name.strip() for name in _JOB.split(","))]
    values: dict[str, object] = dict(zip(names, row, strict=True))
    values["state"] = State(str(values["state"]))
    kinds = {"plan": Plan, "share": Share, "cpu_s": tuple[float, float, float], "environment": dict[str, str]}
    for name, kind in kinds.items():
        values[name] = documents.decode(str(values[name]), kind)
    return Job(**values)  # type: ignore[arg-type]


def part_row(part: Part) -> tuple[object, ...]:
    return (
        *(part.job_id, part.number, "\n".join(part.selects), part.state, part.attempt, part.remote_id, part.pid),
        *(part.pid_born_s, part.begun_s, part.ended_s, part.not_before_s, part.exit_code, part.message, part.where),
        *(int(part.kill_asked), part.n_done, part.n_failed, int(part.replaced)),
    )


def part_of_row(row: tuple[object, ...]) -> Part:
    names = ["id", *(name.strip() for name in _PART.split(","))]
    values: dict[str, object] = dict(zip(names, row, strict=True))
    values["state"] = State(str(values["state"]))
    values["selects"] = tuple(str(values["selects"]).splitlines())
    values["where"], values["kill_asked"] = values.pop("where_"), bool(values["kill_asked"])
    values["replaced"] = bool(values["replaced"])
    return Part(**values)  # type: ignore[arg-type]


def update_part(db: sqlite3.Connection, part: Part, condition: str = "") -> bool:
    """Write all of a part but what it was begun with and what others decide."""
    names = [name.strip() for name in _PART.split(",")]
    values = dict(zip(names, part_row(part), strict=True))
    for fixed in ("job_id", "number", "selects", "kill_asked", "replaced"):
        del values[fixed]
    setters = ", ".join(f"{name} = ?" for name in values)
    return db.execute(f"UPDATE part SET {setters} WHERE id = ?{condition}", (*values.values(), part.id)).rowcount > 0


def settle_job(db: sqlite3.Connection, job_id: int) -> None:
    """Write the state that follows from the parts, if it is another one."""
    sql = "SELECT state, message, n_done FROM part WHERE job_id = ? AND replaced = 0 ORDER BY number"
    found = [Standing(State(row[0]), row[1], row[2]) for row in db.execute(sql, (job_id,))]
    state, message = state_of(found)
    db.execute(
        "UPDATE job SET state = ?, message = ?, changed_s = ? WHERE id = ? AND (state != ? OR message != ?)",
        (state, message, time.time(), job_id, state, message),
    )
