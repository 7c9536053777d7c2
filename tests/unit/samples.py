"""Values that several unit tests start from: the focal plane of the small release, a plan, a unit."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from quicksim.tables import FULL, TINY, focal_plane_layout, segmentation
from transformation.model.failures import Failure, JobError
from transformation.model.focal_plane import Sensor, read_focal_plane
from transformation.model.work import Unit
from transformation.planning import Selection, VisitFacts, plan_visit


@cache
def focal_plane(*, tiny: bool = False) -> tuple[Sensor, ...]:
    """All 205 devices."""
    size = TINY if tiny else FULL
    return read_focal_plane(focal_plane_layout(size), segmentation(size))


def visit_facts(
    *,
    visit: str = "87393588",
    seed: int = 1000,
    nsnap: int = 2,
    vistime_s: float = 33.0,
    has_sky: bool = True,
    centroids: bool = False,
    throughput: bool = False,
) -> VisitFacts:
    """A visit of two snaps of 15 s in r."""
    return VisitFacts(
        visit=visit, filter=2, seed=seed, nsnap=nsnap, vistime_s=vistime_s, has_sky=has_sky, centroids=centroids,
        throughput=throughput,
    )  # fmt: skip


def plan(
    sensors: str, facts: VisitFacts | None = None, *, amplifiers: bool = True, exposures: tuple[int, ...] | None = None,
    only: tuple[tuple[str, str], ...] = (),
) -> tuple[Unit, ...]:  # fmt: skip
    """The units of a visit on the full focal plane."""
    selection = Selection(sensors=sensors, exposures=exposures or "all", amplifiers=amplifiers, only=only)
    return plan_visit(facts or visit_facts(), selection, focal_plane())


def unit(sensor: str = "R22_S11", *, amplifiers: bool = True) -> Unit:
    """The first exposure of a sensor."""
    return plan(sensor, amplifiers=amplifiers, exposures=(0,))[0]


def failure_of(error: JobError) -> tuple[Failure, str]:
    """What a job error says."""
    return error.failed.failure, error.failed.detail


RELEASE_FACTS = {"name": "phosim-3.4.2", "simulator": "phosim", "version": "3.4.2", "future_key": [1]}


def make_release(folder: Path, **changes: object) -> Path:
    """A release with nothing to run in it."""
    facts = {**RELEASE_FACTS, "name": folder.name, **changes}
    tables = folder / "data" / str(facts.get("instrument", "lsst"))
    for place in (tables, folder / "bin", folder / "condor"):
        place.mkdir(parents=True)
    (tables / "focalplanelayout.txt").write_text(focal_plane_layout(TINY))
    (tables / "segmentation.txt").write_text(segmentation(TINY))
    for name in ("phosim.py", "default_instcat", "bin/trim", "bin/raytrace", "bin/e2adc"):
        (folder / name).write_text("")
    (folder / "release.json").write_text(json.dumps(facts))
    return folder


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond: writes stop in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
