"""PhoSim's grid mode, taken apart: the driver writes a DAG of jobs, we run them one by one.

`phosim.py CATALOG -g condor -u standard --checkpoint=0` runs the visit-level steps (atmosphere, instrument) and leaves
in its work folder `dag_OBS.dag`, and for each job a `.submit` file (executable, input) and a `.pars` file for stdin:
`trim_OBS_n` for nine sensors each, then `raytrace_OBS_SENSOR_Eeee_0` and `e2adc_OBS_SENSOR_Eeee` for each unit. The
DAG's post scripts do two things that we do ourselves: append the trimmed catalog to raytrace's input (exactly once: a
second time doubles the sky) and rename what was made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformation.model.work import Batch, ExpectedFile, Unit
from transformation.simulator.release import Release
from transformation.simulator.seam import SetUpInvalid, Step, TrimGroup
from transformation.workdir import VisitDir


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One node of the DAG."""

    name: str
    executable: str
    pars: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimJob:
    """Cuts the catalog down for a group of sensors."""

    job: Job
    sensors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitJobs:
    """Makes one unit once its sensor's catalog is trimmed."""

    trim: str
    """Name of the trim job that must come before."""
    raytrace: Job
    e2adc: Job | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitGraph:
    """All jobs of a visit."""

    trims: Mapping[str, TrimJob]
    units: Mapping[tuple[str, str], UnitJobs]
    """By sensor and exposure, e.g. ("R22_S11", "E000")."""
    shared_files: tuple[Path, ...]
    """Screens and the like that each raytrace reads from its working directory."""


def set_up_argv(release: Release, folder: VisitDir, sensors: Sequence[str], *, amplifiers: bool) -> tuple[str, ...]:
    """Command line of the visit set-up. All paths are absolute: PhoSim looks into its own install folder first."""
    return (
        *release.driver_argv,
        str(folder.catalog),
        # PhoSim 5/6 trips over a command file without lines.
        *(("-c", str(folder.commands)) if folder.commands.stat().st_size else ()),
        *("-s", "|".join(sensors)),
        *("-i", release.facts.instrument),
        *("-g", "condor", "-u", "standard", "--checkpoint=0"),
        *("-e", "1" if amplifiers else "0"),
        *("-w", str(folder.work)),
        *("-o", str(folder.output)),
    )


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
    return tuple(line[2] for line in words if len(line) == 3 and line[0] == "chipid")


_OF_ONE_JOB = ("raytrace_", "e2adc_", "trim", "dag_", "objectcatalog_", "catlist_", "obs_", "chip_", "readout_")


def _shared_files(work: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in work.iterdir() if path.is_file() and not path.name.startswith(_OF_ONE_JOB)))


_FOUND = re.compile(r"^Found (\d+) source\(s\) for chip (\S+?)\.?$", re.MULTILINE)


def sources_found(trim_output: str) -> dict[str, int]:
    """Sources a sensor, from what trim printed; sensors without any are not named there."""
    return {chip: int(count) for count, chip in _FOUND.findall(trim_output)}


def trimmed_catalog(work: Path, visit: str, sensor: str) -> Path:
    """The sensor's part of the catalog, written by trim."""
    return work / f"trimcatalog_{visit}_{sensor}.pars"


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


def find_output(folder: Path, file: ExpectedFile, filter_number: int) -> Path | None:
    """Where an attempt left an expected file; PhoSim 3.4-47 names files in its work folder without `_f<filter>`."""
    for name in (file.name, re.sub(rf"_f{filter_number}(?=_)", "", file.name, count=1)):
        if (folder / name).is_file():
            return folder / name
    return None
