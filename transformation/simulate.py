"""One attempt at one unit: raytrace and e2adc in a fresh folder, then the judge's verdict on what they made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from transformation.fits_facts import Facts, Request
from transformation.judge import Light, electrons_due, judge, keys_of
from transformation.model.failures import Failed, Failure
from transformation.model.focal_plane import Sensor
from transformation.model.work import ExpectedFile, MadeFile, Role, Unit
from transformation.process import Finished, Helper, HelperFailed, StartFailed
from transformation.set_up import ReadyVisit, SimulatorBench, disk_is_full, explain
from transformation.simulator.grid_mode import Job, find_output, prepare_attempt

_FACTS_TIMEOUT_S = 300.0
"""For one file; the largest takes a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try at a unit, as far as the simulator is concerned."""

    number: int
    folder: Path
    runs: tuple[Finished, ...]
    failed: Failed | None = None
    """None says only that nothing is known against it: the judge decides."""

    @property
    def wall_s(self) -> float:
        """Seconds of all its processes."""
        return sum(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its processes."""
        return sum(run.cpu_s for run in self.runs)

    @property
    def max_rss_bytes(self) -> int:
        """Peak memory of its largest process."""
        return max((run.max_rss_bytes for run in self.runs), default=0)


def simulate(bench: SimulatorBench, ready: ReadyVisit, unit: Unit, number: int) -> Attempt:
    """Run the unit's stages in a fresh folder."""
    folder = ready.folder.attempt(unit, number)
    jobs = ready.graph.units[unit.sensor, unit.exposure_id]
    runs: list[Finished] = []
    failed: Failed | None = None
    try:
        folder.mkdir(parents=True)
        pars = prepare_attempt(folder, ready.graph, jobs, ready.trimmed(unit.sensor))
        failed = _run(bench, ready, unit, number, "raytrace", jobs.raytrace, pars, runs)
        if failed is None and bench.amplifiers and jobs.e2adc is not None:
            failed = _run(bench, ready, unit, number, "e2adc", jobs.e2adc, jobs.e2adc.pars, runs)
    except OSError as error:
        full = disk_is_full(ready.folder.root)
        failed = Failed(
            failure=Failure.DISK_FULL if full else Failure.WORKDIR_UNUSABLE,
            detail=f"{unit.id}: {error.filename}: {error.strerror}",
        )
    return Attempt(number=number, folder=folder, runs=tuple(runs), failed=failed)


def _run(
    bench: SimulatorBench, ready: ReadyVisit, unit: Unit, number: int, stage: str, job: Job, pars: Path,
    runs: list[Finished],
) -> Failed | None:  # fmt: skip
    folder = ready.folder.attempt(unit, number)
    log = ready.folder.unit_log(unit, stage, number)
    try:
        finished = bench.processes.run(bench.command((job.executable,), folder, log, stdin=pars))
    except StartFailed as error:
        failure = Failure.TERMINATED if bench.processes.stopping else Failure.RELEASE_BROKEN
        return Failed(failure=failure, detail=f"{unit.id}: {stage}: {error}")
    runs.append(finished)
    if finished.good:
        return None
    return explain(finished, f"{unit.id}: {stage}", log, folder, Failure.SIMULATOR_CRASHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A unit's images, judged."""

    files: tuple[MadeFile, ...]
    notes: tuple[str, ...]


def examine(
    helper: Helper, ready: ReadyVisit, unit: Unit, attempt: Attempt, light: Light, sensor: Sensor
) -> Good | Failed:
    """Gather the facts of every expected file and judge them."""
    facts: dict[str, Facts | None] = {}
    made: list[MadeFile] = []
    for file in unit.files:
        path = find_output(attempt.folder, file, unit.filter)
        if path is None:
            facts[file.name] = None
            continue
        try:
            found = _facts(helper, path, file)
        except HelperFailed as error:
            return Failed(failure=Failure.OUTPUT_DAMAGED, detail=f"{unit.id}: {file.name} cannot be examined: {error}")
        facts[file.name] = found
        made.append(
            MadeFile(
                name=file.name,
                path=path,
                role=file.role,
                size_bytes=found.size_bytes,
                adler32=found.adler32,
                amplifier=file.amplifier,
            )
        )
    verdict = judge(unit, facts, _due(ready, unit, facts, light, sensor))
    if isinstance(verdict, Failed):
        # PhoSim writes truncated files without a word when the disk is full.
        if disk_is_full(attempt.folder):
            return Failed(failure=Failure.DISK_FULL, detail=f"{verdict.detail}; {attempt.folder} is full")
        return verdict
    return Good(files=tuple(made), notes=verdict)


def _facts(helper: Helper, path: Path, file: ExpectedFile) -> Facts:
    question = Request(str(path), file.shape is not None, list(keys_of(file)))
    answer = helper.ask(msgspec.json.encode(question), timeout_s=_FACTS_TIMEOUT_S)
    return msgspec.json.decode(answer, type=Facts)


def _due(ready: ReadyVisit, unit: Unit, facts: dict[str, Facts | None], light: Light, sensor: Sensor) -> float:
    """Electrons due on the sensor; asked only for an image that is all zero."""
    images = [facts[file.name] for file in unit.files if file.role is Role.ELECTRON_IMAGE]
    if not any(found is not None and found.all_zero for found in images):
        return 0.0
    with ready.trimmed(unit.sensor).open(encoding="utf-8", errors="replace") as lines:
        return electrons_due(unit, light, sensor, lines)
