"""Values that several unit tests start from: the focal plane of the small release, a plan, a unit."""

from __future__ import annotations

from functools import cache

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
