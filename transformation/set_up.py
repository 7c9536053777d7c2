"""What a visit needs once before its units: the simulator's own set-up, and catalogs trimmed for groups of sensors."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from transformation.disk_use import free_bytes
from transformation.evidence import SPACE_NEEDED_BYTES, Evidence, explain
from transformation.instance_catalog import header_lines
from transformation.limits import Limits
from transformation.model.failures import Failed, Failure, Remedy
from transformation.model.focal_plane import Sensor
from transformation.model.work import Unit
from transformation.process import Command, Finished, Processes, StartFailed
from transformation.simulator.choose import simulator_for
from transformation.simulator.names import sources_found
from transformation.simulator.release import Release
from transformation.simulator.seam import SetUpInvalid, Simulator, Step, TrimGroup, VisitJobs
from transformation.stage_in import StagedVisit
from transformation.supervise import Observer
from transformation.workdir import VisitDir, WorkDir

_SECRET = re.compile(
    r"TOKEN|PASSW|PGPASS|SECRET|PROXY|KEYTAB|CREDENTIAL|SSSKT|PRIVATE|KEY|COOKIE|KRB5CCNAME|SSH_AUTH|X509_USER",
    re.IGNORECASE,
)


class SimulatorBench(msgspec.Struct, frozen=True, kw_only=True):
    """What every simulator process of the job shares."""

    release: Release
    workdir: WorkDir
    processes: Processes
    amplifiers: bool
    attempts: int
    limits: Limits
    """Of each of them; that of scratch is for units only."""
    memory_limit_bytes: int = 1 << 62
    """What one process may take when as many run as may run."""
    checkpoints: int = 0
    """Segments of each raytrace that leave a checkpoint."""

    @property
    def simulator(self) -> Simulator:
        """How the release is driven."""
        return simulator_for(self.release, amplifiers=self.amplifiers, checkpoints=self.checkpoints)

    def command(
        self, step: Step, folder: Path, log: Path, observer: Observer | None = None, *, of_unit: bool = False
    ) -> Command:
        """A simulator process with its output in `<log>.out` and `<log>.err`."""
        return Command(
            argv=step.argv,
            folder=folder,
            stdin=step.stdin,
            stdout=log.with_name(f"{log.name}.out"),
            stderr=log.with_name(f"{log.name}.err"),
            environment=simulator_environment(os.environ, self.workdir),
            # A visit's own files are as large as its catalogs; what a unit writes is known beforehand.
            limits=self.limits if of_unit else replace(self.limits, scratch_bytes=None),
            observer=observer if step.prints_bands and self.release.facts.options.terminal else None,
        )

    def not_started(self, what: str, error: StartFailed) -> Failed:
        """Why a process could not even be started."""
        if self.processes.stopping:
            return Failed(failure=Failure.TERMINATED, detail=f"{what}: {error}")
        broken = Failure.RELEASE_BROKEN if self.release.is_visible() else Failure.RELEASE_LOST
        return Failed(failure=broken, detail=f"{what}: {error}")

    def explain(
        self, finished: Finished, what: str, logs: Sequence[Path], folder: Path, otherwise: Failure, *,
        n_objects: int = 0, verdict: Failed | None = None,
    ) -> Failed:  # fmt: skip
        """The failure that fits how a process ended, or, with the judge's verdict, what a run of several has made."""
        evidence = Evidence(
            what=what,
            finished=finished,
            errors="".join(read_end(log.with_name(f"{log.name}.err")) for log in logs),
            output="".join(read_end(log.with_name(f"{log.name}.out")) for log in logs),
            verdict=verdict,
            free_bytes=free_bytes(folder),
            folder=str(folder),
            has_file_at_limit=_has_file_at_limit(folder, self.limits.scratch_bytes),
            n_objects=n_objects,
            release_root=str(self.release.root),
            release_is_visible=self.release.is_visible(),
            memory_limit_bytes=self.memory_limit_bytes,
        )
        return explain(evidence, otherwise)


def simulator_environment(inherited: Mapping[str, str], workdir: WorkDir) -> dict[str, str]:
    """Environment of simulator processes: ours without what looks like a credential, one thread for each process,
    temporary files in scratch, and the shim for `condor_submit_dag` first on PATH."""
    kept = {name: value for name, value in inherited.items() if not _SECRET.search(name)}
    return {
        **kept,
        "PATH": f"{workdir.shim}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "TMPDIR": str(workdir.scratch),
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # quicksim's stages are Python programs: they run in the environment that runs us.
        "QUICKSIM_PYTHON": sys.executable,
    }


class ReadyVisit(msgspec.Struct, kw_only=True):
    """A visit whose set-up is done."""

    staged: StagedVisit
    folder: VisitDir
    jobs: VisitJobs
    sources: dict[str, int] = msgspec.field(default_factory=dict)
    """Sources near each sensor, by trim's count; filled in group by group."""

    def needs_no_simulation(self, sensor: str) -> bool:
        """True for a sensor that PhoSim skips for want of sources, with the dome open.

        Flats, darks and `minsource 0` simulate sensors without objects.
        """
        catalog = self.staged.catalog
        return catalog.telconfig == 0 and not self.jobs.has_enough(self.sources.get(sensor, 0), catalog.minsource)


def set_up_visit(
    bench: SimulatorBench, staged: StagedVisit, folder: VisitDir, units: list[Unit], sensors: Mapping[str, Sensor]
) -> ReadyVisit | Failed:
    """Run the driver's visit-level steps, again if another try can help."""
    names = list(dict.fromkeys(unit.sensor for unit in units))
    _write_inputs(folder, staged, {sensors[name].group for name in names})
    result = _set_up_once(bench, staged, folder, names, units, 1)
    for attempt in range(2, bench.attempts + 1):
        if not isinstance(result, Failed) or result.failure.remedy is not Remedy.HERE:
            break
        result = _set_up_once(bench, staged, folder, names, units, attempt)
    return result


def _set_up_once(
    bench: SimulatorBench, staged: StagedVisit, folder: VisitDir, names: list[str], units: list[Unit], attempt: int
) -> ReadyVisit | Failed:
    what = f"visit {staged.visit}: set-up"
    for fresh in (folder.work, folder.output):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    log = folder.set_up_log("set-up", attempt)
    step = bench.simulator.set_up(folder, names)
    try:
        if step is not None:
            finished = bench.processes.run(bench.command(step, folder.root, log))
            if not finished.good:
                return bench.explain(finished, what, [log], folder.work, Failure.SET_UP_FAILED)
        jobs = bench.simulator.open_visit(folder, staged.visit)
    except StartFailed as error:
        return bench.not_started(what, error)
    except SetUpInvalid as error:
        return Failed(failure=Failure.SET_UP_FAILED, detail=f"{what}: {error}, see {log}.err")
    if unmade := jobs.unprepared(units):
        detail = f"{what} prepared no job for {unmade[0].id} ({len(unmade)} such units)"
        return Failed(failure=Failure.SET_UP_FAILED, detail=detail)
    return ReadyVisit(staged=staged, folder=folder, jobs=jobs)


def _write_inputs(folder: VisitDir, staged: StagedVisit, groups: set[int]) -> None:
    """The simulator's catalog: our own header file that includes the object lines, so that PhoSim, which finds header
    words anywhere in a line, never looks for them in objects. `camconfig` is widened to the groups that are wanted."""
    wanted = sum(1 << group for group in groups)
    header = dict(staged.catalog.given)
    if staged.catalog.camconfig and wanted & ~staged.catalog.camconfig:
        header["camconfig"] = str(staged.catalog.camconfig | wanted)
    if staged.catalog.telconfig != 0:
        # A dark or a flat has no sources, and PhoSim's driver would skip every sensor of it.
        header["minsource"] = "0"
    lines = header_lines(header)
    if staged.catalog.n_objects:
        lines.append(f"includeobj {folder.objects.name}")
    folder.catalog.write_text("".join(f"{line}\n" for line in lines))
    folder.commands.write_text("".join(f"{line}\n" for line in staged.commands.lines))


def trim(bench: SimulatorBench, ready: ReadyVisit, group: TrimGroup) -> Failed | None:
    """Trim the catalog for one group of sensors; `ready.sources` then knows them."""
    result: Failed | None = None
    for attempt in range(1, bench.attempts + 1):
        result = _trim_once(bench, ready, group, attempt)
        if result is None or result.failure.remedy is not Remedy.HERE:
            break
    return result


def _trim_once(bench: SimulatorBench, ready: ReadyVisit, group: TrimGroup, attempt: int) -> Failed | None:
    what = f"visit {ready.staged.visit}: {group.step.name}"
    for sensor in group.sensors:
        ready.jobs.trimmed(sensor).unlink(missing_ok=True)
    log = ready.folder.set_up_log(group.step.name, attempt)
    command = bench.command(group.step, ready.folder.work, log)
    try:
        finished = bench.processes.run(command)
    except StartFailed as error:
        return bench.not_started(what, error)
    if not finished.good:
        return bench.explain(finished, what, [log], ready.folder.work, Failure.SET_UP_FAILED)
    missing = [sensor for sensor in group.sensors if not ready.jobs.trimmed(sensor).is_file()]
    if missing:
        detail = f"{what}: exit status 0, but no trimmed catalog for {missing[0]}, see {log}.err"
        return Failed(failure=Failure.SET_UP_FAILED, detail=detail)
    ready.sources.update(sources_found(command.stdout.read_text(errors="replace")))
    return None


def _has_file_at_limit(folder: Path, limit_bytes: int | None) -> bool:
    if limit_bytes is None:
        return False
    with suppress(OSError):
        return any(path.lstat().st_size >= limit_bytes for path in folder.rglob("*"))
    return False


def disk_is_full(folder: Path) -> bool:
    """True if nothing more can be written there to speak of."""
    return free_bytes(folder) < SPACE_NEEDED_BYTES


def read_end(path: Path, most_bytes: int = 16_384) -> str:
    """The end of a log."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - most_bytes))
            return stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
