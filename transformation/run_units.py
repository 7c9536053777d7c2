"""The loop over units: set up each visit, trim, simulate, judge, stage out, register; as many at once as fit.

Simulator processes take the hands of one crew, as many as the share allows; judging and staging out take those of a
second, so that the next simulation starts the moment a process ends. Work of an earlier visit goes first, units before
the set-up of the next visit, which fills the gap when the last units of a visit leave hands free.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transformation.crew import Crew
from transformation.destination import Destination
from transformation.journal import Journal
from transformation.judge import Light
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure, Remedy
from transformation.model.focal_plane import Pointing, Sensor
from transformation.model.report import AttemptReport
from transformation.model.work import Unit
from transformation.process import Helper
from transformation.set_up import ReadyVisit, SimulatorBench, set_up_visit, trim
from transformation.simulate import Attempt, Good, examine, simulate
from transformation.simulator.grid_mode import TrimJob
from transformation.stage_in import StagedVisit

_UNIT, _TRIM, _SET_UP = range(3)
"""Order of a visit's tasks when several are ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitWork:
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
    ) -> None:
        self._bench = bench
        self._destination = destination
        self._ledger = ledger
        self._journal = journal
        self._sensors: Mapping[str, Sensor] = {sensor.name: sensor for sensor in bench.release.sensors}
        self._simulators = Crew(hands, "simulate")
        self._finishers = Crew(max(1, min(8, hands // 2 + 1)), "finish")
        self._helpers = threading.local()
        self._all_helpers: list[Helper] = []
        self._keep_folders = keep_folders
        self._open_units: dict[str, int] = {}
        self._folders: dict[str, Path] = {}
        self._lock = threading.Lock()

    def begin(self, visits: Sequence[VisitWork]) -> None:
        """Queue everything; returns at once."""
        self._finishers.add((-1,), lambda: self._helper().warm_up())
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

    def stop(self) -> None:
        """End all simulator processes and start no more; units under way fail as TERMINATED."""
        for crew in (self._simulators, self._finishers):
            crew.drop_queued()
        self._bench.processes.stop()

    def end(self, patience_s: float) -> None:
        """Let the hands and helpers go."""
        self._simulators.end(patience_s)
        self._finishers.end(patience_s)
        for helper in self._all_helpers:
            helper.close()

    # -- one task each

    def _set_up(self, visit: VisitWork) -> None:
        folder = self._bench.workdir.visit(visit.staged.index)
        self._journal.write("visit_set_up", visit=visit.staged.visit)
        ready = set_up_visit(self._bench, visit.staged, folder, list(visit.units), self._sensors)
        if isinstance(ready, Failed):
            for unit in visit.units:
                self._give_up(unit, ready)
            return
        groups = {ready.graph.units[unit.sensor, unit.exposure_id].trim for unit in visit.units}
        for name, group in ready.graph.trims.items():
            if name in groups:
                units = [unit for unit in visit.units if ready.graph.units[unit.sensor, unit.exposure_id].trim == name]
                self._simulators.add((visit.staged.index, _TRIM), partial(self._trim, ready, group, units))

    def _trim(self, ready: ReadyVisit, group: TrimJob, units: Sequence[Unit]) -> None:
        failed = trim(self._bench, ready, group)
        for unit in units:
            if failed is not None:
                self._give_up(unit, failed)
            elif ready.needs_no_simulation(unit.sensor):
                self._finishers.add((ready.staged.index,), partial(self._record_empty, ready, unit))
            else:
                self._queue_attempt(ready, unit, 1)

    def _queue_attempt(self, ready: ReadyVisit, unit: Unit, number: int) -> None:
        self._simulators.add((ready.staged.index, _UNIT), partial(self._simulate, ready, unit, number))

    def _simulate(self, ready: ReadyVisit, unit: Unit, number: int) -> None:
        self._ledger.started(unit, number)
        attempt = simulate(self._bench, ready, unit, number)
        self._finishers.add((ready.staged.index,), partial(self._finish, ready, unit, attempt))

    def _finish(self, ready: ReadyVisit, unit: Unit, attempt: Attempt) -> None:
        good = attempt.failed or examine(
            self._helper(), ready, unit, attempt, _light(ready.staged), self._sensors[unit.sensor]
        )
        failed = good if isinstance(good, Failed) else None
        self._ledger.attempted(unit, self._report(ready, unit, attempt, failed))
        if isinstance(good, Good):
            failed = self._destination.commit(ready.staged, unit, attempt, good)
        if not self._keep_folders:
            shutil.rmtree(attempt.folder, ignore_errors=True)
        if failed is None:
            self._close_unit(ready.staged.visit)
        elif failed.failure.remedy is Remedy.HERE and attempt.number < self._bench.attempts:
            self._queue_attempt(ready, unit, attempt.number + 1)
        else:
            self._give_up(unit, failed)

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

    def _report(self, ready: ReadyVisit, unit: Unit, attempt: Attempt, failed: Failed | None) -> AttemptReport:
        log = ready.folder.unit_log(unit, "raytrace", attempt.number).parent
        return AttemptReport(
            number=attempt.number,
            outcome="good" if failed is None else failed.failure.name,
            detail="" if failed is None else failed.detail,
            log=str(log.relative_to(self._bench.workdir.root)),
            wall_s=round(attempt.wall_s, 3),
            cpu_s=round(attempt.cpu_s, 3),
            max_rss_bytes=attempt.max_rss_bytes,
        )

    def _helper(self) -> Helper:
        """This thread's own reader of FITS files."""
        helper: Helper | None = getattr(self._helpers, "helper", None)
        if helper is None:
            log = self._bench.workdir.logs / "fits_facts.err"
            helper = self._helpers.helper = Helper("transformation.fits_facts", log)
            self._all_helpers.append(helper)
        return helper


def _light(staged: StagedVisit) -> Light:
    catalog = staged.catalog
    return Light(
        pointing=Pointing(ra_deg=catalog.ra_deg, dec_deg=catalog.dec_deg, rotskypos_deg=catalog.rotskypos_deg),
        has_sky=staged.facts.has_sky,
        has_dome_light=catalog.telconfig in {2, 3},
        dome_is_open=catalog.telconfig == 0,
        zenith_v=22.0 if staged.commands.zenith_v is None else staged.commands.zenith_v,
    )
