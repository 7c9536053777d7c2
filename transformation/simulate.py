"""One run for one unit, or for several of a sensor, in a fresh folder; then the judge's verdict on what was made."""

from __future__ import annotations

from pathlib import Path

import msgspec

from transformation.checkpoints import Checkpoints
from transformation.corrections import Attempted, Correction
from transformation.fits_facts import Facts, Request
from transformation.helper import Helper, HelperFailed
from transformation.judge import Light, electrons_due, judge, keys_of
from transformation.limits import EndedBy
from transformation.model import documents
from transformation.model.failures import Failed, Failure
from transformation.model.focal_plane import Pointing, Sensor
from transformation.model.work import Batch, ExpectedFile, MadeFile, Role, Unit
from transformation.process import Command, Finished, StartFailed
from transformation.set_up import ReadyVisit, SimulatorBench, disk_is_full
from transformation.stage_in import StagedVisit
from transformation.supervise import Observer

_FACTS_TIMEOUT_S = 300.0
"""For one file; the largest takes a second."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as far as the simulator is concerned."""

    number: int
    batch: Batch
    folder: Path
    runs: tuple[Finished, ...]
    logs: tuple[Path, ...] = ()
    """Of each process, without ending."""
    failed: Failed | None = None
    """None says only that nothing is known against it: the judge decides."""
    skipped: bool = False
    """The run found too few sources near its sensor, and made nothing."""
    alone: bool = False
    """No other simulator process ran meanwhile."""
    first_segment: int = 0
    """Not 0: it went on after a checkpoint."""

    @property
    def wall_s(self) -> float:
        """Seconds of all its processes, as one unit's share."""
        return sum(run.wall_s for run in self.runs) / len(self.batch.units)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its processes, as one unit's share."""
        return sum(run.cpu_s for run in self.runs) / len(self.batch.units)

    @property
    def max_rss_bytes(self) -> int:
        """Peak memory of its largest process."""
        return max((run.max_rss_bytes for run in self.runs), default=0)

    @property
    def correction(self) -> str:
        """What was done differently because of what came before; empty for a first attempt from the beginning."""
        words = ["from-checkpoint"] if self.first_segment else []
        if self.number > 1 or self.alone:
            words.append(Correction.ALONE if self.alone else Correction.AGAIN)
        return ", ".join(words)

    @property
    def facts(self) -> Attempted:
        """What decides what can still help."""
        last = self.runs[-1] if self.runs else None
        return Attempted(
            alone=self.alone or (last is not None and last.alone),
            disk=last is not None and last.ended_by is EndedBy.DISK,
            max_rss_bytes=self.max_rss_bytes,
        )


def simulate(
    bench: SimulatorBench, ready: ReadyVisit, batch: Batch, number: int, *, observer: Observer,
    checkpoints: Checkpoints, alone: bool = False,
) -> Attempt:  # fmt: skip
    """Run the batch's steps in a fresh folder, from the last checkpoint on."""
    folder = ready.folder.attempt(batch, number)
    runs: list[Finished] = []
    logs: list[Path] = []
    failed: Failed | None = None
    skipped = False
    first_segment = 0
    try:
        folder.mkdir(parents=True)
        first_segment = checkpoints.fetch(folder)
        for step in ready.jobs.steps(batch, folder, first_segment):
            logs.append(ready.folder.unit_log(batch, step.name, number))
            command = bench.command(step, folder, logs[-1], observer, of_unit=True)
            failed = _run(bench, ready, batch, command, logs[-1], runs)
            if failed is None and step.segment is not None:
                failed = checkpoints.keep(folder, step.segment)
            if failed is not None:
                break
        skipped = failed is None and _was_skipped(ready, batch, logs[-1])
    except OSError as error:
        full = disk_is_full(ready.folder.root)
        failed = Failed(
            failure=Failure.DISK_FULL if full else Failure.WORKDIR_UNUSABLE,
            detail=f"{batch.id}: {error.filename}: {error.strerror}",
        )
    return Attempt(
        number=number, batch=batch, folder=folder, runs=tuple(runs), logs=tuple(logs), failed=failed, skipped=skipped,
        alone=alone, first_segment=first_segment,
    )  # fmt: skip


def _run(
    bench: SimulatorBench, ready: ReadyVisit, batch: Batch, command: Command, log: Path, runs: list[Finished]
) -> Failed | None:
    what = f"{batch.id}: {log.name}"
    try:
        finished = bench.processes.run(command)
    except StartFailed as error:
        return bench.not_started(what, error)
    runs.append(finished)
    if finished.good:
        return None
    n_objects = ready.sources.get(batch.sensor, 0)
    return bench.explain(finished, what, [log], command.folder, Failure.SIMULATOR_CRASHED, n_objects=n_objects)


def _was_skipped(ready: ReadyVisit, batch: Batch, log: Path) -> bool:
    """Whether a run that trims for itself found too few sources, by the lines that its trim printed."""
    counted = ready.jobs.sources_of_run(log.with_name(f"{log.name}.out").read_text(errors="replace"))
    if counted is None:
        return False
    ready.sources[batch.sensor] = counted.get(batch.sensor, 0)
    return ready.needs_no_simulation(batch.sensor)


class Good(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's images, judged."""

    files: tuple[MadeFile, ...]
    notes: tuple[str, ...]


def is_lost(bench: SimulatorBench, ready: ReadyVisit, attempt: Attempt) -> bool:
    """True if nothing that the attempt has made can be good."""
    return attempt.failed is not None and (
        ready.jobs.exit_status_counts or not attempt.runs or bench.processes.stopping
    )


def examine(
    bench: SimulatorBench, helper: Helper, ready: ReadyVisit, unit: Unit, attempt: Attempt, light: Light, sensor: Sensor
) -> Good | Failed:
    """What became of one unit of an attempt."""
    failed = attempt.failed
    if failed is not None and is_lost(bench, ready, attempt):
        return failed
    good = _judge_files(helper, ready, unit, attempt, light, sensor)
    if isinstance(good, Good):
        return good
    return failed or bench.explain(
        attempt.runs[-1], unit.id, attempt.logs, attempt.folder, good.failure,
        n_objects=ready.sources.get(unit.sensor, 0), verdict=good,
    )  # fmt: skip


def _judge_files(
    helper: Helper, ready: ReadyVisit, unit: Unit, attempt: Attempt, light: Light, sensor: Sensor
) -> Good | Failed:
    """Gather the facts of every expected file and judge them."""
    facts: dict[str, Facts | None] = {}
    made: list[MadeFile] = []
    for file in unit.files:
        path = ready.jobs.output(attempt.folder, file, unit.filter)
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
    return verdict if isinstance(verdict, Failed) else Good(files=tuple(made), notes=verdict)


def _facts(helper: Helper, path: Path, file: ExpectedFile) -> Facts:
    question = Request(str(path), file.shape is not None, list(keys_of(file)))
    answer = helper.ask(msgspec.json.encode(question), timeout_s=_FACTS_TIMEOUT_S)
    return documents.decode(answer, Facts)


def _due(ready: ReadyVisit, unit: Unit, facts: dict[str, Facts | None], light: Light, sensor: Sensor) -> float:
    """Electrons due on the sensor; asked only for an image that is all zero."""
    images = [facts[file.name] for file in unit.files if file.role is Role.ELECTRON_IMAGE]
    if not any(found is not None and found.all_zero for found in images):
        return 0.0
    with ready.jobs.trimmed(unit.sensor).open(encoding="utf-8", errors="replace") as lines:
        return electrons_due(unit, light, sensor, lines)


def light_of(staged: StagedVisit) -> Light:
    """What may shine on the sensors of a visit."""
    catalog = staged.catalog
    return Light(
        pointing=Pointing(ra_deg=catalog.ra_deg, dec_deg=catalog.dec_deg, rotskypos_deg=catalog.rotskypos_deg),
        has_sky=staged.facts.has_sky,
        has_dome_light=catalog.telconfig in {2, 3},
        dome_is_open=catalog.telconfig == 0,
        zenith_v=22.0 if staged.commands.zenith_v is None else staged.commands.zenith_v,
    )
