"""Who was told of which end of which job: in the file of jobs, so that nobody is told twice by any number of `iod`.

Whoever is about to tell takes the turn first. One who dies with it, or could not deliver, holds it for ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from submitter.jobs import Job
from submitter.state import Store

TURN_S = 600.0


class Ledger:
    """Turns and deliveries. An end is told from another of the same job by its moment. Raises `IodError`."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def take_turn(self, job: Job, channel: str, *, now: bool = False) -> bool:
        """Whether it is ours to tell of this end; `now` does not wait for who failed before."""
        with self._store.change() as db:
            sql = "SELECT ended_s, claimed_s, told_s FROM notice WHERE job_id = ? AND channel = ?"
            row = db.execute(sql, (job.id, channel)).fetchone()
            if row is not None and row[0] == job.changed_s:
                _, claimed_s, told_s = row
                if told_s is not None or (not now and self._clock() - claimed_s < TURN_S):
                    return False
            db.execute(
                "INSERT OR REPLACE INTO notice (job_id, channel, ended_s, claimed_s, told_s) VALUES (?, ?, ?, ?, NULL)",
                (job.id, channel, job.changed_s, self._clock()),
            )
        return True

    def note_told(self, job: Job, channel: str) -> None:
        """It was delivered."""
        with self._store.change() as db:
            sql = "UPDATE notice SET told_s = ? WHERE job_id = ? AND channel = ?"
            db.execute(sql, (self._clock(), job.id, channel))

    def due(self, since_s: float) -> list[str]:
        """Names of jobs that ended since then, the first first."""
        where = "job.state NOT IN ('waiting', 'running') AND job.changed_s >= ?"
        lines = self._store.overview(where, (since_s,))
        return [line.name for line in sorted(lines, key=lambda line: line.changed_s)]
