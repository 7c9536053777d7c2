"""Where every unit of the job stands: the one place that changes it, and that writes journal and report.

Safe for threads. What is true of the images stands at their destination; the ledger is this run's account of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from transformation.journal import Journal
from transformation.model.failures import Failed, Failure, job_failure
from transformation.model.report import (
    AttemptReport,
    FileReport,
    ProgressReport,
    TransferReport,
    UnitPredictedReport,
    UnitReport,
)
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
        self.version = 0
        """Grows with every change."""
        self.whole = ProgressReport()
        """How far the job is."""

    def plan(self, units: Iterable[Unit]) -> None:
        """Enter units as planned."""
        with self._lock:
            for unit in units:
                self._records[unit.id] = UnitReport(
                    id=unit.id, visit=unit.visit, sensor=unit.sensor, exposure=unit.exposure
                )
            self.version += 1

    def predicted(self, predictions: Mapping[str, UnitPredictedReport]) -> None:
        """What units are expected to cost, by unit id."""
        with self._lock:
            for unit_id, prediction in predictions.items():
                self._records[unit_id].predicted = prediction

    def started(self, unit: Unit, attempt: int) -> None:
        """An attempt begins."""
        self._change(unit, "started", state=UnitState.RUNNING, attempt=attempt)

    def attempted(self, unit: Unit, attempt: AttemptReport) -> None:
        """An attempt is over, well or not."""
        with self._lock:
            record = self._records[unit.id]
            record.attempts = [*record.attempts, attempt]
            record.progress = record.eta_s = None
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

    def transferred(self, unit: Unit, transfer: TransferReport) -> None:
        """A try to send one of a unit's images is over."""
        with self._lock:
            record = self._records[unit.id]
            record.transfers = [*record.transfers, transfer]
            self.version += 1

    def kept(self, unit: Unit, folder: str) -> None:
        """Where a unit's images wait that could not be stored; empty: nowhere."""
        with self._lock:
            self._records[unit.id].kept = folder

    def noted(self, unit_id: str, note: str) -> None:
        """Something about a unit that a person should know."""
        with self._lock:
            record = self._records[unit_id]
            record.notes = [*record.notes, note]

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

    def last_outcome(self, unit: Unit) -> str:
        """How the unit's last attempt of this run ended; empty if there was none."""
        with self._lock:
            attempts = self._records[unit.id].attempts
        return attempts[-1].outcome if attempts else ""

    def progress(self, shown: Mapping[str, tuple[float, float | None]], *, least_step: float) -> None:
        """How far running units are, by id: part done and CPU-seconds left; smaller steps are not told."""
        for unit_id, (fraction, left_s) in shown.items():
            with self._lock:
                record = self._records[unit_id]
                if record.state != "running" or fraction - (record.progress or 0.0) < least_step:
                    continue
                record.progress = round(fraction, 4)
                record.eta_s = None if left_s is None else round(left_s, 1)
                self.version += 1
            self._listener("progress", record)

    def is_over(self, unit_id: str) -> bool:
        """True for a unit that is done or given up."""
        with self._lock:
            return self._records[unit_id].state in {"committed", "empty", "failed"}

    def stretch(self, lengths_s: Mapping[str, float]) -> float:
        """Wall seconds over CPU-seconds expected, of the units simulated in this run; 1 until there is one."""
        with self._lock:
            over = [record for record in self._records.values() if record.wall_s and record.id in lengths_s]
            expected_s = sum(lengths_s[record.id] * len(record.attempts) for record in over)
            return sum(record.wall_s for record in over) / expected_s if expected_s else 1.0

    def unregistered(self) -> list[str]:
        """Ids of committed units that the catalog does not know yet."""
        return [record.id for record in self.units() if record.state == "committed" and not record.registered]

    def summary(self) -> str:
        """How far the job came, in one sentence."""
        units = self.units()
        done = sum(unit.state in {"committed", "empty"} for unit in units)
        failed = [f"{unit.id} {unit.failure}" for unit in units if unit.state == "failed"]
        first = ", ".join(failed[:3]) + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
        return f"{done} of {len(units)} units are done" + (f"; failed: {first}" if failed else "")

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
        self.version += 1
        self._journal.write(f"unit_{event}", unit=record.id, state=record.state, **facts)
        self._listener(event, record)
