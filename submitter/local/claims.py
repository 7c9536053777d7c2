"""The local queue within the state file: which parts wait or run here, and who takes the next."""

from __future__ import annotations

from msgspec.structs import replace

from submitter.jobs import Part, State
from submitter.state import Store
from submitter.state_rows import SELECT_PART, part_of_row, settle_job

_IS_LOCAL = "job_id IN (SELECT id FROM job WHERE backend = 'local')"


def local_parts(store: Store, state: State) -> list[Part]:
    """Parts of jobs on this machine, the oldest first."""
    return [
        part_of_row(row) for row in store.rows(f"{SELECT_PART} WHERE {_IS_LOCAL} AND state = ? ORDER BY id", (state,))
    ]


def has_local_work(store: Store) -> bool:
    """Whether some part waits or runs here."""
    sql = f"SELECT 1 FROM part WHERE {_IS_LOCAL} AND state IN ('waiting', 'running') LIMIT 1"
    return bool(store.rows(sql))


def claim_part(store: Store, now_s: float) -> Part | None:
    """Take the oldest part that waits to run here: it is marked as running, for exactly one caller."""
    sql = (
        f"{SELECT_PART} WHERE {_IS_LOCAL} AND state = 'waiting' AND kill_asked = 0 AND not_before_s <= ?"
        " ORDER BY id LIMIT 1"
    )
    with store.change() as db:
        row = db.execute(sql, (now_s,)).fetchone()
        if row is None:
            return None
        part = part_of_row(row)
        part = replace(part, state=State.RUNNING, attempt=part.attempt + 1, begun_s=now_s, pid=None, ended_s=None)
        db.execute(
            "UPDATE part SET state = ?, attempt = ?, begun_s = ?, pid = NULL, ended_s = NULL WHERE id = ?",
            (part.state, part.attempt, part.begun_s, part.id),
        )
        settle_job(db, part.job_id)
    return part


def note_process(store: Store, part: Part, pid: int, born_s: float, where: str) -> bool:
    """Remember the process of a part; False if the part has to be ended at once."""
    with store.change() as db:
        db.execute("UPDATE part SET pid = ?, pid_born_s = ?, where_ = ? WHERE id = ?", (pid, born_s, where, part.id))
        row = db.execute("SELECT kill_asked FROM part WHERE id = ?", (part.id,)).fetchone()
    return not row[0]
