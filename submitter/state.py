"""The one file that remembers jobs: SQLite, used by any number of `iod` at once.

Rules of this file
1. Nothing here is the only copy: images, manifests and the request stand at the destination, tasks at PanDA. `iod sync`
   makes a lost file anew.
2. Every change is one transaction that begins by taking the right to write, so that two `iod` never act on the same
   old picture.
3. The schema grows by migrations, counted by `user_version`; a file of a newer `iod` is left alone.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from submitter.jobs import Job, Part, State
from submitter.migrations import MIGRATIONS
from submitter.state_rows import (
    INSERT_JOB,
    INSERT_PART,
    SELECT_JOB,
    SELECT_PART,
    job_of_row,
    job_row,
    part_of_row,
    part_row,
    settle_job,
    update_part,
)
from submitter.troubles import IodError, Trouble

_BUSY_S = 30.0


class Line(NamedTuple):
    """A job in a list of thousands."""

    name: str
    user: str
    task: str
    release: str
    backend: str
    site: str
    base: str
    comment: str
    state: str
    message: str
    submitted_s: float
    changed_s: float
    n_units: int
    n_done: int


class Store:
    """Jobs and their parts. Safe for threads; close it. Raises `IodError` STATE_UNUSABLE everywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise _unusable(path, error) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ------------------------------------------------------------ jobs
    def add_job(self, job: Job, parts: Sequence[Part] = ()) -> Job:
        """Remember a new job with its parts; it gets its number. Raises `IodError` also for a name that is taken."""
        (added,) = self.add_jobs([(job, parts)])
        return added

    def add_jobs(self, jobs: Iterable[tuple[Job, Sequence[Part]]]) -> list[Job]:
        """The same for many, all or none."""
        added = []
        with self.change() as db:
            for job, parts in jobs:
                cursor = db.execute(INSERT_JOB, job_row(job))
                added.append(replace(job, id=cursor.lastrowid or 0))
                self._add_parts(db, [replace(part, job_id=added[-1].id) for part in parts])
        return added

    def job(self, name: str) -> Job:
        """The job of that name. Raises `IodError` JOB_UNKNOWN."""
        found = self.find_job(name=name)
        if found is None:
            raise IodError(Trouble.JOB_UNKNOWN, f"no job '{name}'" + self._close_to(name))
        return found

    def find_job(self, *, name: str | None = None, key: str | None = None, id: int | None = None) -> Job | None:  # noqa: A002
        """The job with that name, key or number; None if there is none."""
        column, value = ("name", name) if name is not None else ("key", key) if key is not None else ("id", id)
        rows = self.rows(f"{SELECT_JOB} WHERE {column} = ?", (value,))
        return job_of_row(rows[0]) if rows else None

    def same_requests(self, digest: str) -> list[Job]:
        """Earlier jobs that asked for the same, the last first."""
        rows = self.rows(f"{SELECT_JOB} WHERE digest = ? ORDER BY id DESC", (digest,))
        return [job_of_row(row) for row in rows]

    def overview(self, where: str = "1", values: Sequence[object] = ()) -> list[Line]:
        """A line for each job, the last first; `where` is a condition on columns of jobs, never text from outside."""
        sql = (
            "SELECT job.name, job.user, job.task, job.release, job.backend, job.site, job.base, job.comment, job.state,"
            " job.message, job.submitted_s, job.changed_s, job.n_units, coalesce(sum(part.n_done), 0) FROM job"
            " LEFT JOIN part ON part.job_id = job.id AND part.replaced = 0"
            f" WHERE {where} GROUP BY job.id ORDER BY job.id DESC"
        )
        return [Line(*row) for row in self.rows(sql, values)]  # type: ignore[arg-type]

    def active(self, backend: str) -> list[Job]:
        """Jobs of that backend that are not over, the first first."""
        sql = f"{SELECT_JOB} WHERE state IN ('waiting', 'running') AND backend = ? ORDER BY id"
        return [job_of_row(row) for row in self.rows(sql, (backend,))]

    def tended(self, backend: str) -> list[Job]:
        """Jobs of that backend that a watcher looks after: not over, or with parts that failed."""
        sql = (
            f"{SELECT_JOB} WHERE backend = ? AND (state IN ('waiting', 'running') OR id IN"
            " (SELECT job_id FROM part WHERE state = 'failed' AND replaced = 0 AND attempt < 3)) ORDER BY id"
        )
        return [job_of_row(row) for row in self.rows(sql, (backend,))]

    def names(self) -> list[str]:
        """Of all jobs, the last first."""
        return [str(row[0]) for row in self.rows("SELECT name FROM job ORDER BY id DESC")]

    # ------------------------------------------------------------ parts
    def add_parts(self, job_id: int, parts: Sequence[Part]) -> None:
        """Remember further parts."""
        with self.change() as db:
            self._add_parts(db, parts)
            settle_job(db, job_id)

    def parts(self, job_id: int) -> list[Part]:
        """A job's parts in order."""
        return [part_of_row(row) for row in self.rows(f"{SELECT_PART} WHERE job_id = ? ORDER BY number", (job_id,))]

    def settle_part(self, part: Part) -> bool:
        """Write what became of a part that runs; False if it does so no more, because it was killed meanwhile."""
        with self.change() as db:
            changed = update_part(db, part, " AND state IN ('waiting', 'running')")
            settle_job(db, part.job_id)
        return changed

    def settle_parts(self, job_id: int, parts: Sequence[Part]) -> None:
        """The same for many parts of a job, in one go."""
        with self.change() as db:
            for part in parts:
                update_part(db, part, " AND state IN ('waiting', 'running')")
            settle_job(db, job_id)

    def revive_parts(self, job_id: int, parts: Sequence[Part]) -> None:
        """Parts that were over begin again."""
        with self.change() as db:
            for part in parts:
                update_part(db, replace(part, state=State.WAITING, message="", ended_s=None))
                db.execute("UPDATE part SET kill_asked = 0 WHERE id = ?", (part.id,))
            settle_job(db, job_id)

    def replace_old(self, job_id: int, part_ids: Sequence[int]) -> None:
        """These parts count no more."""
        with self.change() as db:
            db.executemany("UPDATE part SET replaced = 1 WHERE id = ?", ((part_id,) for part_id in part_ids))
            settle_job(db, job_id)

    def ask_to_kill(self, job_id: int) -> None:
        """Mark the parts that are not over."""
        with self.change() as db:
            db.execute("UPDATE part SET kill_asked = 1 WHERE job_id = ? AND state IN ('waiting', 'running')", (job_id,))

    def end_killed_parts(self, job_id: int) -> None:
        """What was to be killed is over."""
        with self.change() as db:
            db.execute(
                "UPDATE part SET state = 'killed', pid = NULL, ended_s = ? WHERE job_id = ? AND kill_asked = 1"
                " AND state IN ('waiting', 'running')",
                (time.time(), job_id),
            )
            settle_job(db, job_id)

    def end_if_idle(self, job_id: int) -> None:
        """A job that was never handed over is killed by that word alone."""
        with self.change() as db:
            db.execute(
                "UPDATE job SET state = 'killed', changed_s = ? WHERE id = ? AND state = 'waiting'"
                " AND NOT EXISTS (SELECT 1 FROM part WHERE part.job_id = job.id)",
                (time.time(), job_id),
            )

    def replace_parts(self, job_id: int, parts: Sequence[Part]) -> None:
        """Go on with new parts, numbered after the old ones, which count no more."""
        with self.change() as db:
            last = db.execute("SELECT coalesce(max(number), 0) FROM part WHERE job_id = ?", (job_id,)).fetchone()[0]
            db.execute("UPDATE part SET replaced = 1 WHERE job_id = ?", (job_id,))
            numbered = [replace(part, job_id=job_id, number=last + at) for at, part in enumerate(parts, start=1)]
            self._add_parts(db, numbered)
            settle_job(db, job_id)

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the right to write."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise _unusable(self.path, error) from None

    # ------------------------------------------------------------ inside
    def _prepare(self) -> None:
        if self.path.stat().st_mode & 0o077:
            self.path.chmod(0o600)
        if self._db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            self._begin_wal()
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        if self._version() < len(MIGRATIONS):
            with self.change() as db:
                for script in MIGRATIONS[self._version() :]:  # another `iod` may have been faster
                    for statement in script.split(";"):
                        db.execute(statement)
                db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        if self._version() > len(MIGRATIONS):
            raise IodError(Trouble.STATE_UNUSABLE, f"{self.path} was written by a newer iod")

    def _begin_wal(self) -> None:
        """Of two that make the file at once, one is told at once that it is busy, without any patience."""
        end = time.monotonic() + _BUSY_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """The answer to a question that changes nothing."""
        with self._lock:
            try:
                return self._db.execute(sql, tuple(values)).fetchall()
            except sqlite3.Error as error:
                raise _unusable(self.path, error) from None

    def _add_parts(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        db.executemany(INSERT_PART, map(part_row, parts))

    def _close_to(self, name: str) -> str:
        import difflib

        close = difflib.get_close_matches(name, self.names()[:1000], n=1)
        return f"; did you mean '{close[0]}'?" if close else ""


def _unusable(path: Path, error: sqlite3.Error) -> IodError:
    return IodError(Trouble.STATE_UNUSABLE, f"{path}: {error}")
