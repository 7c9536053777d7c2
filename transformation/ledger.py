"""Where every unit of the job stands: the one place that changes it, and that writes journal and report.

Safe for threads. What is true of the images stands at their destination; the ledger is this run's account of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import msgspec

from transformation.journal import Journal
from transformation.model.failures import Failed, Failure, job_failure
from transformation.model.report import AttemptReport, FileReport, UnitReport
from transformation.model.work import StoredFile, Unit, UnitState

Listener = Callable[[str, UnitReport], None]
"""Told of each event: what happened ("started", "committed", ...) and the unit."""


class Ledger:
    """States of all units."""

    def __init__(self, journal: Journal, listener: Listener) -> None:
        self._journal = journal
        self._listener = listener
        self._lock = threading.Lock()
        self._records: dict[str, UnitReport] = {}
        self._failures: dict[str, Failure] = {}

    def plan(self, units: Iterable[Unit]) -> None:
        """Enter units as planned."""
        with self._lock:
            for unit in units:
                self._records[unit.id] = UnitReport(
                    id=unit.id, visit=unit.visit, sensor=unit.sensor, exposure=unit.exposure
                )

    def started(self, unit: Unit, attempt: int) -> None:
        """An attempt begins."""
        self._change(unit, "started", state=UnitState.RUNNING, attempt=attempt)

    def attempted(self, unit: Unit, attempt: AttemptReport) -> None:
        """An attempt is over, well or not."""
        with self._lock:
            record = self._records[unit.id]
            record.attempts = [*record.attempts, attempt]
            record.wall_s += attempt.wall_s
            record.cpu_s += attempt.cpu_s
            record.max_rss_bytes = max(record.max_rss_bytes, attempt.max_rss_bytes)
        self._tell(record, "attempted", attempt=attempt.number, outcome=attempt.outcome, detail=attempt.detail)

    def committed(
        self, unit: Unit, files: Sequence[StoredFile], *, made_in_this_run: bool, notes: Sequence[str] = ()
    ) -> None:
        """A unit's images are at their destination."""
        reported = [
            FileReport(name=file.name, role=file.role, size=file.size_bytes, adler32=file.adler32, url=file.url)
            for file in files
        ]
        with self._lock:
            record = self._records[unit.id]
            record.files = reported
            record.notes = [*record.notes, *notes]
            record.made_in_this_run = made_in_this_run
        self._change(unit, "committed", state=UnitState.COMMITTED, made_in_this_run=made_in_this_run)

    def empty(self, unit: Unit, *, made_in_this_run: bool) -> None:
        """A unit has no objects, and its receipt is at the destination."""
        with self._lock:
            self._records[unit.id].made_in_this_run = made_in_this_run
        self._change(unit, "empty", state=UnitState.EMPTY, made_in_this_run=made_in_this_run)

    def failed(self, unit: Unit, failed: Failed) -> None:
        """A unit is given up in this run."""
        with self._lock:
            record = self._records[unit.id]
            record.failure, record.detail = failed.failure.name, str(failed)
            self._failures[unit.id] = failed.failure
        self._change(unit, "failed", state=UnitState.FAILED, failure=failed.failure.name, detail=str(failed))

    def interrupt(self, failed: Failed) -> None:
        """Mark the units that are under way, because the job ends; planned ones stay planned."""
        with self._lock:
            running = [record for record in self._records.values() if record.state == "running"]
            for record in running:
                record.state, record.failure, record.detail = "failed", failed.failure.name, str(failed)
        for record in running:
            self._tell(record, "failed", failure=failed.failure.name, detail=failed.detail)

    def registered(self, unit_ids: Iterable[str]) -> None:
        """Units stand in the catalog."""
        for unit_id in unit_ids:
            with self._lock:
                record = self._records[unit_id]
                record.registered = True
            self._tell(record, "registered")

    def units(self) -> list[UnitReport]:
        """A copy of all records."""
        with self._lock:
            return [msgspec.structs.replace(record) for record in self._records.values()]

    def state(self, unit: Unit) -> UnitState:
        """Where a unit stands."""
        with self._lock:
            return UnitState(self._records[unit.id].state)

    def unregistered(self) -> list[str]:
        """Ids of committed units that the catalog does not know yet."""
        return [record.id for record in self.units() if record.state == "committed" and not record.registered]

    def verdict(self) -> Failure | None:
        """The row that speaks for the job as far as units are concerned."""
        with self._lock:
            done = sum(UnitState(record.state).done for record in self._records.values())
            return job_failure(list(self._failures.values()), n_done=done)

    def _change(self, unit: Unit, event: str, *, state: UnitState, **facts: str | int | bool) -> None:
        with self._lock:
            record = self._records[unit.id]
            record.state = state.value
        self._tell(record, event, **facts)

    def _tell(self, record: UnitReport, event: str, **facts: str | int | bool) -> None:
        self._journal.write(f"unit_{event}", unit=record.id, state=record.state, **facts)
        self._listener(event, record)
