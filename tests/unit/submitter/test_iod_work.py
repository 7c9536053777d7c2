"""How a visit is cut into PanDA jobs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from submitter.camera import lsst_sensors
from submitter.jobs import Share
from submitter.work import LONGEST_SELECT, Cut, Slot, cut_visit, selects, share_for
from transformation.planning import parse_select

SCIENCE = [sensor.name for sensor in lsst_sensors() if sensor.group == 0]
HOUR = 3600.0


def slot(hands: int = 1, least_h: float = 1.0, most_h: float = 12.0) -> Slot:
    return Slot(share=Share(cores=hands), hands=hands, least_s=least_h * HOUR, most_s=most_h * HOUR)


def cut(hours: float | list[float], *, hands: int = 1, visit: str = "700000", spread: float = 1.5) -> Cut:
    """A visit on all science sensors of so many CPU-hours each."""
    each = hours if isinstance(hours, list) else [hours] * len(SCIENCE)
    costs = {name: (h * HOUR / spread, h * HOUR, h * HOUR * spread) for name, h in zip(SCIENCE, each, strict=True)}
    return cut_visit(visit, costs, (10.0, 20.0, 30.0), slot(hands))


@settings(max_examples=25, deadline=None)
@given(
    hours=st.lists(st.floats(0.0, 30.0), min_size=len(SCIENCE), max_size=len(SCIENCE)),
    hands=st.integers(1, 8),
    visit=st.from_regex(r"[0-9]{1,10}", fullmatch=True),
)
def test_every_sensor_is_in_exactly_one_job(hours: list[float], hands: int, visit: str) -> None:
    found = cut(hours, hands=hands, visit=visit)
    assert sum(found.sizes) == len(SCIENCE)
    assert min(found.sizes) > 0
    assert len(found.walls_s) == len(found.sizes)
    wanted = []
    for select in selects(visit, SCIENCE, found.sizes):
        assert len(select) <= LONGEST_SELECT
        pairs = parse_select(select)
        assert {pair[0] for pair in pairs} == {visit}
        places = {pair[1] for pair in pairs}
        wanted += [name for name in SCIENCE if name in places or name.partition("_")[0] in places]
    assert wanted == SCIENCE


@pytest.mark.parametrize("hours", [0.05, 0.3, 1.1, 3.6, 5.0])
@pytest.mark.parametrize("hands", [1, 4])
def test_a_job_lasts_between_one_hour_and_twelve(hours: float, hands: int) -> None:
    found = cut(hours, hands=hands)
    for low_s, mid_s, high_s in found.walls_s:
        assert low_s < mid_s < high_s <= 12 * HOUR
        assert mid_s >= 0.8 * HOUR


def test_a_short_visit_is_one_job_as_far_as_its_name_fits() -> None:
    assert len(cut(0.001, visit="42").sizes) == 1
    assert len(cut(0.001, visit="87393588").sizes) == 2


def test_a_sensor_of_a_day_stands_alone() -> None:
    found = cut(24.0)
    assert set(found.sizes) == {1}
    assert found.walls_s[0][1] > 12 * HOUR


def test_empty_visits_cost_nothing_and_are_still_made() -> None:
    assert sum(cut(0.0, visit="42").sizes) == len(SCIENCE)


def test_rafts_are_named_as_such_only_when_whole() -> None:
    some = ["R22_S11", "R22_S12", "R23_S00"]
    assert list(selects("7", some, [2, 1])) == ["v7:R22", "v7:R23"]
    assert list(selects("7", some, [1, 2])) == ["v7:R22_S11", "v7:R22_S12,v7:R23"]


@pytest.mark.parametrize(
    ("cores", "memory_mb", "most_mb", "expected"),
    [
        (1, None, None, (2500, 1)),
        (8, None, None, (18_600, 8)),
        (8, None, 16_000, (16_000, 6)),
        (8, 5000, None, (5000, 2)),
        (2, 1000, None, (1000, 0)),
    ],
)
def test_a_job_asks_for_memory_for_its_cores(
    cores: int, memory_mb: int | None, most_mb: int | None, expected: tuple[int, int]
) -> None:
    share, hands = share_for(cores=cores, memory_mb=memory_mb, most_memory_mb=most_mb, unit_bytes=2_300_000_000)
    assert (share.memory_mb, hands) == expected
    assert share.cores == cores
