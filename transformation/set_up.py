"""What a visit needs once before its units: the simulator's own set-up, and catalogs trimmed for groups of sensors."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transformation.instance_catalog import header_lines
from transformation.model.failures import Failed, Failure, Remedy
from transformation.model.focal_plane import Sensor
from transformation.model.work import Unit
from transformation.process import Command, EndedBy, Finished, Processes, StartFailed
from transformation.simulator.grid_mode import (
    GridFilesInvalid,
    TrimJob,
    VisitGraph,
    read_graph,
    set_up_argv,
    sources_found,
    trimmed_catalog,
)
from transformation.simulator.release import Release
from transformation.stage_in import StagedVisit
from transformation.workdir import VisitDir, WorkDir

_SECRET = re.compile(r"TOKEN|PASSW|SECRET|PROXY|KEYTAB|CREDENTIAL|SSSKT|PRIVATE|API_?KEY|COOKIE", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorBench:
    """What every simulator process of the job shares."""

    release: Release
    workdir: WorkDir
    processes: Processes
    amplifiers: bool
    attempts: int
    wall_limit_s: float

    def command(self, argv: tuple[str, ...], folder: Path, log: Path, stdin: Path | None = None) -> Command:
        """A simulator process with its output in `<log>.out` and `<log>.err`."""
        return Command(
            argv=argv,
            folder=folder,
            stdin=stdin,
            stdout=log.with_name(f"{log.name}.out"),
            stderr=log.with_name(f"{log.name}.err"),
            environment=simulator_environment(os.environ, self.workdir),
            wall_limit_s=self.wall_limit_s,
        )


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


@dataclass(slots=True, kw_only=True)
class ReadyVisit:
    """A visit whose set-up is done."""

    staged: StagedVisit
    folder: VisitDir
    graph: VisitGraph
    sources: dict[str, int] = field(default_factory=dict)
    """Sources near each sensor, by trim's count; filled in group by group."""

    def trimmed(self, sensor: str) -> Path:
        """The sensor's trimmed catalog."""
        return trimmed_catalog(self.folder.work, self.staged.visit, sensor)

    def needs_no_simulation(self, sensor: str) -> bool:
        """True for a sensor that PhoSim skips for want of sources: fewer than `minsource`, with the dome open.

        Flats, darks and `minsource 0` simulate sensors without objects.
        """
        catalog = self.staged.catalog
        return catalog.telconfig == 0 and self.sources.get(sensor, 0) < catalog.minsource


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
    for fresh in (folder.work, folder.output):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    log = folder.set_up_log("set-up", attempt)
    argv = set_up_argv(bench.release, folder, names, amplifiers=bench.amplifiers)
    try:
        finished = bench.processes.run(bench.command(argv, folder.root, log))
        if not finished.good:
            return explain(finished, f"visit {staged.visit}: set-up", log, folder.work, Failure.SET_UP_FAILED)
        graph = read_graph(folder.work, staged.visit)
    except StartFailed as error:
        return Failed(failure=Failure.RELEASE_BROKEN, detail=f"visit {staged.visit}: set-up: {error}")
    except GridFilesInvalid as error:
        return Failed(failure=Failure.SET_UP_FAILED, detail=f"visit {staged.visit}: set-up: {error}, see {log}.err")
    unmade = [unit.id for unit in units if (unit.sensor, unit.exposure_id) not in graph.units]
    if unmade:
        detail = f"visit {staged.visit}: set-up prepared no job for {unmade[0]} ({len(unmade)} such units)"
        return Failed(failure=Failure.SET_UP_FAILED, detail=detail)
    return ReadyVisit(staged=staged, folder=folder, graph=graph)


def _write_inputs(folder: VisitDir, staged: StagedVisit, groups: set[int]) -> None:
    """The simulator's catalog: our own header file that includes the object lines, so that PhoSim, which finds header
    words anywhere in a line, never looks for them in objects. `camconfig` is widened to the groups that are wanted."""
    wanted = sum(1 << group for group in groups)
    header = dict(staged.catalog.given)
    if staged.catalog.camconfig and wanted & ~staged.catalog.camconfig:
        header["camconfig"] = str(staged.catalog.camconfig | wanted)
    lines = header_lines(header)
    if staged.catalog.n_objects:
        lines.append(f"includeobj {folder.objects.name}")
    folder.catalog.write_text("".join(f"{line}\n" for line in lines))
    folder.commands.write_text("".join(f"{line}\n" for line in staged.commands.lines))


def trim(bench: SimulatorBench, ready: ReadyVisit, group: TrimJob) -> Failed | None:
    """Trim the catalog for one group of sensors; `ready.sources` then knows them."""
    result: Failed | None = None
    for attempt in range(1, bench.attempts + 1):
        result = _trim_once(bench, ready, group, attempt)
        if result is None or result.failure.remedy is not Remedy.HERE:
            break
    return result


def _trim_once(bench: SimulatorBench, ready: ReadyVisit, group: TrimJob, attempt: int) -> Failed | None:
    what = f"visit {ready.staged.visit}: {group.job.name}"
    for sensor in group.sensors:
        ready.trimmed(sensor).unlink(missing_ok=True)
    log = ready.folder.set_up_log(group.job.name, attempt)
    command = bench.command((group.job.executable,), ready.folder.work, log, stdin=group.job.pars)
    try:
        finished = bench.processes.run(command)
    except StartFailed as error:
        return Failed(failure=Failure.RELEASE_BROKEN, detail=f"{what}: {error}")
    if not finished.good:
        return explain(finished, what, log, ready.folder.work, Failure.SET_UP_FAILED)
    missing = [sensor for sensor in group.sensors if not ready.trimmed(sensor).is_file()]
    if missing:
        detail = f"{what}: exit status 0, but no trimmed catalog for {missing[0]}, see {log}.err"
        return Failed(failure=Failure.SET_UP_FAILED, detail=detail)
    ready.sources.update(sources_found(command.stdout.read_text(errors="replace")))
    return None


_SPACE_NEEDED_BYTES = 1_000_000
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|Errno 28|FITSIO status = (?:106|107|110)")


def explain(finished: Finished, what: str, log: Path, folder: Path, crashed: Failure) -> Failed:
    """The failure that fits how a simulator process ended; `crashed` is the row for an error of its own."""
    errors = read_end(log.with_name(f"{log.name}.err"))
    last_words = errors.strip().splitlines()[-1][:160] if errors.strip() else ""
    detail = f"{what}: {finished}" + (f": {last_words}" if last_words else "")
    if finished.ended_by is EndedBy.STOP:
        return Failed(failure=Failure.TERMINATED, detail=detail)
    if finished.ended_by is EndedBy.WALL_LIMIT:
        return Failed(failure=Failure.SIMULATOR_HUNG, detail=detail)
    if disk_is_full(folder) or _DISK_FULL.search(errors):
        return Failed(failure=Failure.DISK_FULL, detail=f"{detail}; {folder} is full")
    # A shell between us and the program reports a signal as 128 + its number.
    if finished.signal in _KILLS or (finished.exit_status or 0) - 128 in _KILLS:
        return Failed(failure=Failure.SIMULATOR_KILLED, detail=detail)
    if _SED_MISSING.search(errors):
        return Failed(failure=Failure.SED_MISSING, detail=detail)
    return Failed(failure=crashed, detail=detail)


_SED_MISSING = re.compile(r"Can't find SED file", re.IGNORECASE)
"""PhoSim 3.4's raytrace says so before it ends with an error."""
_KILLS = frozenset({1, 2, 9, 15, 24})
"""Signals that come from outside: HUP, INT, KILL, TERM, XCPU. Others (SEGV, ABRT, BUS, FPE) are the program's own."""


def disk_is_full(folder: Path) -> bool:
    """True if nothing more can be written there to speak of."""
    try:
        free = os.statvfs(folder)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < _SPACE_NEEDED_BYTES or (free.f_files > 0 and free.f_favail == 0)


def read_end(path: Path, most_bytes: int = 16_384) -> str:
    """The end of a log."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - most_bytes))
            return stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
