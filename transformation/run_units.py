"""The loop over units: set up each visit, trim, simulate, judge, stage out, register; as many at once as fit.

Simulator processes take the hands of one crew, as many as the share allows; judging and staging out take those of a
second, so that the next simulation starts the moment a process ends. Work of an earlier visit goes first, units before
the set-up of the next visit, which fills the gap when the last units of a visit leave hands free.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from transformation.black_hole import BlackHole
from transformation.corrections import Correction, correct, settle
from transformation.crew import Crew
from transformation.debug_bundle import pack
from transformation.destination import Destination
from transformation.helper import HelperOfThread
from transformation.journal import Journal
from transformation.layout import public_url
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure
from transformation.model.focal_plane import Sensor
from transformation.model.report import AttemptReport
from transformation.model.work import Batch, Unit
from transformation.ports import StorageError
from transformation.set_up import ReadyVisit, SimulatorBench, set_up_visit, trim
from transformation.simulate import Attempt, Good, examine, is_lost, light_of, simulate
from transformation.simulator.seam import TrimGroup
from transformation.stage_in import StagedVisit
from transformation.watch import Watch

_UNIT, _TRIM, _SET_UP = range(3)
"""Order of a visit's tasks when several are ready."""


class VisitWork(msgspec.Struct, frozen=True, kw_only=True):
    """What remains to be made of one visit."""

    staged: StagedVisit
    units: tuple[Unit, ...]


class UnitLoop:
    """Runs the remaining units of all visits."""

    def __init__(
        self,
        bench: SimulatorBench,
        destination: Destination,
        ledger: Ledger,
        journal: Journal,
        *,
        hands: int,
        keep_folders: bool,
        lengths_s: Mapping[str, float],
        watch: Watch,
        may_begin: Callable[[float], bool],
    ) -> None:
        """`lengths_s`: CPU-seconds expected of each unit; `may_begin` is asked before each, with its wall seconds."""
        self._bench = bench
        self._destination = destination
        self._ledger = ledger
        self._journal = journal
        self._sensors: Mapping[str, Sensor] = {sensor.name: sensor for sensor in bench.release.sensors}
        self._simulators = Crew(hands, "simulate")
        self._finishers = Crew(max(1, min(8, hands // 2 + 1)), "finish")
        self._readers = HelperOfThread("transformation.fits_facts", bench.workdir.logs / "fits_facts.err")
        self._keep_folders = keep_folders
        self._lengths_s = lengths_s
        self._watch = watch
        self._may_begin = may_begin
        self._black_hole = BlackHole()
        self._left: dict[str, float] = {}
        self._open_units: dict[str, int] = {}
        self._folders: dict[str, Path] = {}
        self._lock = threading.Lock()

    def begin(self, visits: Sequence[VisitWork]) -> None:
        """Queue everything; returns at once."""
        self._finishers.add((-1,), lambda: self._readers.get().warm_up())
        for visit in visits:
            self._open_units[visit.staged.visit] = len(visit.units)
            self._folders[visit.staged.visit] = self._bench.workdir.visit(visit.staged.index).root
            rank = (visit.staged.index, _SET_UP)
            self._simulators.add(rank, partial(self._set_up, visit))

    @property
    def idle(self) -> bool:
        """True when nothing remains to be done. Raises what a task raised, which is a bug."""
        # A finisher may queue another attempt, and a simulator always queues a finisher: ask both, twice.
        return all(crew.idle for _ in range(2) for crew in (self._simulators, self._finishers))

    def hold(self, held: bool) -> None:
        """Start no simulator process until it is said again with False; those under way go on."""
        self._simulators.hold(held)

    @property
    def is_stuck(self) -> bool:
        """True if nothing is under way that could change anything."""
        return not self._simulators.busy and self._finishers.idle and not self._simulators.idle

    @property
    def left(self) -> dict[str, float]:
        """Units that were not begun for want of time, with the wall seconds that they are expected to take."""
        with self._lock:
            return dict(self._left)

    def bad_worker(self) -> Failed | None:
        """Why no unit should be begun on this worker any more; None if it seems to be as good as any."""
        return self._black_hole.verdict()

    def stop(self) -> None:
        """End all simulator processes and start no more; units under way fail as TERMINATED."""
        for crew in (self._simulators, self._finishers):
            crew.drop_queued()
        self._bench.processes.stop()

    def end(self, patience_s: float) -> None:
        """Let the hands and helpers go."""
        self._simulators.end(patience_s)
        self._finishers.end(patience_s)
        self._readers.close()

    # -- one task each

    def _set_up(self, visit: VisitWork) -> None:
        if all(self._leave([unit]) for unit in visit.units):
            return
        folder = self._bench.workdir.visit(visit.staged.index)
        self._journal.write("visit_set_up", visit=visit.staged.visit)
        ready = set_up_visit(self._bench, visit.staged, folder, list(visit.units), self._sensors)
        if isinstance(ready, Failed):
            self._black_hole.failed(f"visit {visit.staged.visit}", ready.failure, wall_s=0.0)
            for unit in visit.units:
                self._give_up(unit, ready)
            return
        trims = {unit.id: ready.jobs.trim_of(unit) for unit in visit.units}
        self._queue_first(ready, [unit for unit in visit.units if trims[unit.id] is None])
        for name, group in ready.jobs.trims.items():
            units = [unit for unit in visit.units if trims[unit.id] == name]
            if units:
                rank = (visit.staged.index, _TRIM, self._longest_first(units))
                self._simulators.add(rank, partial(self._trim, ready, group, units))

    def _trim(self, ready: ReadyVisit, group: TrimGroup, units: Sequence[Unit]) -> None:
        failed = trim(self._bench, ready, group)
        to_simulate = []
        for unit in units:
            if failed is not None:
                self._give_up(unit, failed)
            elif ready.needs_no_simulation(unit.sensor):
                self._finishers.add((ready.staged.index,), partial(self._record_empty, ready, unit))
            else:
                to_simulate.append(unit)
        self._queue_first(ready, to_simulate)

    def _queue_first(self, ready: ReadyVisit, units: Sequence[Unit]) -> None:
        for batch in ready.jobs.batches(units):
            self._queue_attempt(ready, batch, 1)

    def _queue_attempt(self, ready: ReadyVisit, batch: Batch, number: int, *, alone: bool = False) -> None:
        task = partial(self._simulate, ready, batch, number, alone=alone)
        self._simulators.add((ready.staged.index, _UNIT, self._longest_first(batch.units)), task, alone=alone)

    def _longest_first(self, units: Sequence[Unit]) -> int:
        """Rank among tasks of a kind: a long unit that begins late keeps the other hands waiting for it."""
        return -round(1e3 * max(self._lengths_s.get(unit.id, 0.0) for unit in units))

    def _needed_s(self, units: Sequence[Unit]) -> float:
        """Wall seconds that they are expected to take one after the other."""
        return sum(self._lengths_s.get(unit.id, 0.0) for unit in units) * self._ledger.stretch(self._lengths_s)

    def _give_up_late(self, units: Sequence[Unit]) -> bool:
        """Give up units whose images could not be stored any more once they are made."""
        failed = self._destination.too_late(units[-1], self._needed_s(units))
        if failed is None:
            return False
        for unit in units:
            self._give_up(unit, failed)
        return True

    def _leave(self, units: Sequence[Unit]) -> bool:
        """Leave units as planned if they cannot end in time; nothing is lost but the wait for another slot."""
        pieces = self._bench.checkpoints + 1
        needed_s = self._needed_s(units)
        fits = self._may_begin(needed_s / pieces)
        with self._lock:
            for unit in units:
                self._left.pop(unit.id, None)
                if not fits:
                    self._left[unit.id] = needed_s
        return not fits

    def _simulate(self, ready: ReadyVisit, batch: Batch, number: int, *, alone: bool) -> None:
        if self._leave(batch.units) or self._give_up_late(batch.units):
            return
        for unit in batch.units:
            self._ledger.started(unit, number)
        with self._watch.over(ready, batch, number) as meter:
            checkpoints = self._destination.checkpoints(batch.units[0], number, last=self._bench.checkpoints)
            attempt = simulate(self._bench, ready, batch, number, observer=meter, checkpoints=checkpoints, alone=alone)
        if is_lost(self._bench, ready, attempt) and not self._keep_folders:
            # At once, not when a finisher has time: it may have been ended because the disk ran full.
            shutil.rmtree(attempt.folder, ignore_errors=True)
        self._finishers.add((ready.staged.index,), partial(self._finish, ready, attempt))

    def _finish(self, ready: ReadyVisit, attempt: Attempt) -> None:
        """Settle the units of an attempt; those for which another can help share that one too."""
        answers = {unit: self._finish_unit(ready, unit, attempt) for unit in attempt.batch.units}
        again = {unit: correction for unit, correction in answers.items() if correction is not None}
        if self._keep_folders:
            self._ship(ready, attempt)
        else:
            shutil.rmtree(attempt.folder, ignore_errors=True)
        if self._black_hole.verdict() is not None:
            self._simulators.drop_queued()
        elif again:
            alone = Correction.ALONE in again.values()
            self._queue_attempt(ready, Batch(units=tuple(again)), attempt.number + 1, alone=alone)

    def _finish_unit(self, ready: ReadyVisit, unit: Unit, attempt: Attempt) -> Correction | None:
        """Commit the unit or give it up; how it is to be tried again, if it is."""
        if attempt.skipped:
            self._ledger.attempted(unit, self._report(ready, attempt, None))
            self._record_empty(ready, unit)
            return None
        light = light_of(ready.staged)
        good = examine(self._bench, self._readers.get(), ready, unit, attempt, light, self._sensors[unit.sensor])
        failed = settle(good, attempt.facts) if isinstance(good, Failed) else None
        self._ledger.attempted(unit, self._report(ready, attempt, failed))
        if isinstance(good, Good):
            self._black_hole.succeeded()
            failed = self._destination.commit(ready.staged, unit, attempt, good)
        elif failed is not None:
            self._black_hole.failed(unit.id, failed.failure, wall_s=attempt.wall_s)
        if failed is None:
            self._close_unit(ready.staged.visit)
            return None
        most = self._bench.attempts
        correction = correct(failed.failure, number=attempt.number, most=most, alone=attempt.alone)
        if correction is None:
            self._give_up(unit, failed)
        return correction

    def _ship(self, ready: ReadyVisit, attempt: Attempt) -> None:
        """Send work files and logs of an attempt along, for a person; what goes wrong with that changes nothing."""
        unit = attempt.batch.units[0]
        archive = attempt.folder.with_name(f"{attempt.folder.name}.tar.gz")
        try:
            pack([attempt.folder, ready.folder.unit_log(attempt.batch, "any", attempt.number).parent], archive)
            url = self._destination.ship_debug(unit, attempt.number, archive)
            self._journal.write("debug_shipped", unit=unit.id, url=public_url(url), size_bytes=archive.stat().st_size)
        except (OSError, StorageError) as error:
            self._journal.write("debug_not_shipped", unit=unit.id, detail=str(error))
        archive.unlink(missing_ok=True)

    def _record_empty(self, ready: ReadyVisit, unit: Unit) -> None:
        failed = self._destination.commit_empty(ready.staged, unit)
        if failed is None:
            self._close_unit(ready.staged.visit)
        else:
            self._give_up(unit, failed)

    # -- bookkeeping

    def _give_up(self, unit: Unit, failed: Failed) -> None:
        if self._bench.processes.stopping:
            # Whatever it died of, it was us: the unit is as good as before.
            failed = Failed(failure=Failure.TERMINATED, detail=f"{unit.id}: the job was told to stop")
        self._ledger.failed(unit, failed)
        if failed.failure.lies_in_the_request:
            self._destination.remember_failure(unit, failed)
        self._close_unit(unit.visit)

    def _close_unit(self, visit: str) -> None:
        """Count a unit as over; the visit's scratch goes with its last one."""
        with self._lock:
            self._open_units[visit] -= 1
            last = self._open_units[visit] == 0
        if last and not self._keep_folders:
            shutil.rmtree(self._folders[visit], ignore_errors=True)

    def _report(self, ready: ReadyVisit, attempt: Attempt, failed: Failed | None) -> AttemptReport:
        log = ready.folder.unit_log(attempt.batch, "any", attempt.number).parent
        return AttemptReport(
            number=attempt.number,
            outcome="good" if failed is None else failed.failure.name,
            detail="" if failed is None else failed.detail,
            correction=attempt.correction,
            log=str(log.relative_to(self._bench.workdir.root)),
            wall_s=round(attempt.wall_s, 3),
            cpu_s=round(attempt.cpu_s, 3),
            max_rss_bytes=attempt.max_rss_bytes,
        )
