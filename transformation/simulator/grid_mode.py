"""PhoSim's grid mode, taken apart: the driver writes a DAG of jobs, we run them one by one.

`phosim.py CATALOG -g condor -u standard --checkpoint=0` runs the visit-level steps (atmosphere, instrument) and leaves
in its work folder `dag_OBS.dag`, and for each job a `.submit` file (executable, input) and a `.pars` file for stdin:
`trim_OBS_n` for nine sensors each, then `raytrace_OBS_SENSOR_Eeee_0` and `e2adc_OBS_SENSOR_Eeee` for each unit. The
DAG's post scripts do two things that we do ourselves: append the trimmed catalog to raytrace's input (exactly once: a
second time doubles the sky) and rename what was made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from transformation.model.work import Batch, ExpectedFile, Unit
from transformation.simulator.command_line import driver_argv
from transformation.simulator.names import find_output, trimmed_catalog
from transformation.simulator.release import Release
from transformation.simulator.seam import SetUpInvalid, Step, TrimGroup
from transformation.workdir import VisitDir


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the DAG."""

    name: str
    executable: str
    pars: Path


class TrimJob(msgspec.Struct, frozen=True, kw_only=True):
    """Cuts the catalog down for a group of sensors."""

    job: Job
    sensors: tuple[str, ...]


class UnitJobs(msgspec.Struct, frozen=True, kw_only=True):
    """Makes one unit once its sensor's catalog is trimmed."""

    trim: str
    """Name of the trim job that must come before."""
    raytrace: Job
    e2adc: Job | None


class VisitGraph(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs of a visit."""

    trims: Mapping[str, TrimJob]
    units: Mapping[tuple[str, str], UnitJobs]
    """By sensor and exposure, e.g. ("R22_S11", "E000")."""
    shared_files: tuple[Path, ...]
    """Screens and the like that each raytrace reads from its working directory."""


class GridMode(msgspec.Struct, frozen=True, kw_only=True):
    """Drives a release that has a grid mode: one set-up a visit, then each trim group and each unit on its own."""

    release: Release
    amplifiers: bool
    checkpoints: int = 0
    """Segments of a raytrace that leave a checkpoint for the next."""

    def set_up(self, folder: VisitDir, sensors: Sequence[str]) -> Step:
        """The driver; it does the visit-level steps and leaves the DAG."""
        return Step(name="set-up", argv=set_up_argv(self.release, folder, sensors, amplifiers=self.amplifiers))

    def open_visit(self, folder: VisitDir, visit: str) -> GridVisit:
        """What the driver left. Raises `SetUpInvalid`."""
        graph = read_graph(folder.work, visit)
        self._check_programs(graph)
        return GridVisit(
            work=folder.work, visit=visit, graph=graph, amplifiers=self.amplifiers, checkpoints=self.checkpoints
        )

    def _check_programs(self, graph: VisitGraph) -> None:
        """Only programs of the release are started, whatever the work folder says."""
        root = self.release.root.resolve()
        jobs = [trim.job for trim in graph.trims.values()]
        jobs += [job for unit in graph.units.values() for job in (unit.raytrace, unit.e2adc) if job is not None]
        for executable in sorted({job.executable for job in jobs}):
            if root not in Path(executable).resolve().parents:
                raise SetUpInvalid(f"{executable} is to be started, which is not in the release")


class GridVisit(msgspec.Struct, frozen=True, kw_only=True):
    """One visit's jobs."""

    work: Path
    visit: str
    graph: VisitGraph
    amplifiers: bool
    checkpoints: int = 0

    @property
    def exit_status_counts(self) -> bool:
        """Yes: raytrace and e2adc alone say so when they fail, mostly."""
        return True

    @property
    def trims(self) -> Mapping[str, TrimGroup]:
        """One for nine sensors each."""
        return {
            name: TrimGroup(step=_step(name, trim.job, trim.job.pars), sensors=trim.sensors)
            for name, trim in self.graph.trims.items()
        }

    def trim_of(self, unit: Unit) -> str | None:
        """Name of the group that the unit's sensor is in."""
        return self._jobs(unit).trim

    def unprepared(self, units: Sequence[Unit]) -> list[Unit]:
        """Units that the DAG has no job for."""
        return [unit for unit in units if (unit.sensor, unit.exposure_id) not in self.graph.units]

    def batches(self, units: Sequence[Unit]) -> list[Batch]:
        """Each unit on its own."""
        return [Batch(units=(unit,)) for unit in units]

    def steps(self, batch: Batch, folder: Path, first_segment: int) -> tuple[Step, ...]:
        """Raytrace, whole or in segments, then e2adc if amplifiers are wanted. Raises `OSError`."""
        (unit,) = batch.units
        jobs = self._jobs(unit)
        pars = prepare_attempt(folder, self.graph, jobs, self.trimmed(unit.sensor))
        raytrace = Step(name="raytrace", argv=(jobs.raytrace.executable,), stdin=pars, prints_bands=True)
        steps = [raytrace]
        if self.checkpoints:
            segments = range(first_segment, self.checkpoints + 1)
            steps = [segment_step(raytrace, pars, number, last=self.checkpoints) for number in segments]
        if self.amplifiers and jobs.e2adc is not None:
            steps.append(_step("e2adc", jobs.e2adc, jobs.e2adc.pars))
        return tuple(steps)

    def output(self, folder: Path, file: ExpectedFile, filter_number: int) -> Path | None:
        """Beside the attempt's input."""
        return find_output(folder, file, filter_number)

    def trimmed(self, sensor: str) -> Path:
        """The sensor's part of the catalog, written by its trim."""
        return trimmed_catalog(self.work, self.visit, sensor)

    def trimmed_in_run(self, sensor: str, folder: Path) -> Path:
        """The same."""
        del folder
        return self.trimmed(sensor)

    def has_enough(self, n_sources: int, minsource: int) -> bool:
        """Grid mode would simulate empty sensors too; `minsource` is applied here, as its name says."""
        return n_sources >= minsource

    def sources_of_run(self, stdout: str) -> Mapping[str, int] | None:
        """Nothing: the trims have counted before."""
        del stdout
        return None

    def _jobs(self, unit: Unit) -> UnitJobs:
        return self.graph.units[unit.sensor, unit.exposure_id]


def _step(name: str, job: Job, pars: Path) -> Step:
    return Step(name=name, argv=(job.executable,), stdin=pars)


def set_up_argv(release: Release, folder: VisitDir, sensors: Sequence[str], *, amplifiers: bool) -> tuple[str, ...]:
    """Command line of the visit set-up."""
    grid = ("-g", "condor", "-u", "standard", "--checkpoint=0")
    return driver_argv(release, folder, sensors, grid, folder.work, folder.output, amplifiers=amplifiers)


def read_graph(work: Path, visit: str) -> VisitGraph:
    """The jobs that the driver left in its work folder. Raises `SetUpInvalid`."""
    jobs, parents = _read_dag(work, work / f"dag_{visit}.dag")
    prefix = f"trim_{visit}_"
    trims = {name: TrimJob(job=job, sensors=_chips(job.pars)) for name, job in jobs.items() if name.startswith(prefix)}
    units = {}
    for name, job in jobs.items():
        found = re.fullmatch(rf"raytrace_{re.escape(visit)}_(?P<sensor>\w+)_(?P<exposure>E\d+)_0", name)
        if found is None:
            continue
        trim = next((parent for parent in parents.get(name, ()) if parent in trims), None)
        if trim is None:
            raise SetUpInvalid(f"dag_{visit}.dag: {name} has no trim job")
        units[found["sensor"], found["exposure"]] = UnitJobs(
            trim=trim,
            raytrace=job,
            e2adc=jobs.get(f"e2adc_{visit}_{found['sensor']}_{found['exposure']}"),
        )
    return VisitGraph(trims=trims, units=units, shared_files=_shared_files(work))


def _read_dag(work: Path, dag: Path) -> tuple[dict[str, Job], dict[str, list[str]]]:
    jobs: dict[str, Job] = {}
    parents: dict[str, list[str]] = {}
    try:
        for line in dag.read_text().splitlines():
            match line.split():
                case ["JOB", name, submit]:
                    jobs[name] = _read_submit(name, work, Path(submit))
                case ["PARENT", parent, "CHILD", child]:
                    parents.setdefault(child, []).append(parent)
                case _:
                    pass  # scripts and retries are ours to decide
    except OSError as error:
        raise SetUpInvalid(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise SetUpInvalid(f"{dag.name}, or a file that it names: {error}") from None
    return jobs, parents


def _read_submit(name: str, work: Path, submit: Path) -> Job:
    facts = {}
    for line in (work / submit.name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals:
            facts[key.strip().lower()] = value.strip()
    try:
        return Job(name=name, executable=facts["executable"], pars=work / Path(facts["input"]).name)
    except KeyError as missing:
        raise SetUpInvalid(f"{submit.name} names no {missing}") from None


def _chips(pars: Path) -> tuple[str, ...]:
    try:
        words = [line.split() for line in pars.read_text().splitlines()]
    except OSError as error:
        raise SetUpInvalid(f"{pars.name}: {error.strerror}") from None
    except ValueError as error:
        raise SetUpInvalid(f"{pars.name}: {error}") from None
    return tuple(line[2] for line in words if len(line) == 3 and line[0] == "chipid")


_OF_ONE_JOB = ("raytrace_", "e2adc_", "trim", "dag_", "objectcatalog_", "catlist_", "obs_", "chip_", "readout_")


def _shared_files(work: Path) -> tuple[Path, ...]:
    with os.scandir(work) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(_OF_ONE_JOB) and entry.is_file())
    return tuple(work / name for name in names)


def prepare_attempt(folder: Path, graph: VisitGraph, jobs: UnitJobs, trimmed: Path) -> Path:
    """Fill the fresh folder of an attempt: links to the visit's files, and raytrace's whole input, which is returned.

    The input is written anew for each attempt, so the trimmed catalog is in it exactly once whatever is retried.
    """
    for shared in graph.shared_files:
        (folder / shared.name).symlink_to(shared)
    pars = folder / jobs.raytrace.pars.name
    with pars.open("wb") as whole:
        for part in (jobs.raytrace.pars, trimmed):
            whole.write(part.read_bytes())
    return pars


def segment_step(raytrace: Step, whole: Path, number: int, *, last: int) -> Step:
    """One segment: the whole input and the two commands that say which; of equal keys raytrace takes the later."""
    pars = whole.with_name(f"{whole.stem}_segment-{number}{whole.suffix}")
    pars.write_bytes(whole.read_bytes() + f"\ncheckpointtotal {last}\ncheckpointcount {number}\n".encode())
    leaves = number if number < last else None
    return replace(raytrace, name=f"raytrace-{number}", stdin=pars, segment=leaves)
