"""Who passes a limit, who has to go when the job's share runs out, and when nobody may begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.limits import (
    Budget,
    EndedBy,
    Limits,
    Usage,
    out_of_memory,
    out_of_scratch,
    passed,
    reason_to_wait,
    seconds_to_next_look,
)
from transformation.predict import ReleaseNeeds
from transformation.preflight import decide_hands
from transformation.resources import Cgroup, decide_share

GB = 1_000_000_000
PLENTY = 1 << 60
RAYTRACE_BYTES = 2_200_000_000


def budget(**changes: object) -> Budget:
    facts: dict[str, object] = {"memory_bytes": 16 * GB, "part_bytes": 16 * GB // 7, "scratch": Path("/scratch")}
    return Budget(**{**facts, **changes})  # type: ignore[arg-type]


def using(*memory_bytes: float) -> dict[int, Usage]:
    return {pid: Usage(memory_bytes=int(one)) for pid, one in enumerate(memory_bytes, start=1)}


def hands(cores: int, memory_bytes: int, n_units: int = 100) -> int:
    share = decide_share(
        asked_cores=None, asked_memory_mb=None, cgroup=Cgroup(), site_cores=cores, site_memory_mb=None,
        affinity_cores=128,
    )  # fmt: skip
    needs = ReleaseNeeds(memory_bytes=memory_bytes, visit_scratch_bytes=0, unit_scratch_bytes=1)
    return decide_hands("phosim-3.4", needs, share, PLENTY, "/scratch", n_units)


# -- how many at once


def test_eight_cores_at_two_gigabytes_run_seven_raytraces() -> None:
    assert hands(8, RAYTRACE_BYTES) == 7
    assert hands(8, RAYTRACE_BYTES, n_units=3) == 3
    assert hands(8, 500_000_000) == 8


def test_seven_raytraces_are_left_in_peace() -> None:
    """They take 96 % of the share by plan; real ones were seen with 2.17 and with 2.23 GB."""
    for each in (2.17 * GB, 2.23 * GB):
        assert out_of_memory(budget(), using(*[each] * 7), own_bytes=150_000_000) is None
    assert reason_to_wait(budget(), using(*[2.23 * GB] * 6), taken_bytes=0, free_bytes=PLENTY) is None


# -- limits of one process


@pytest.mark.parametrize(
    ("limits", "usage", "ended_by"),
    [
        (Limits(), Usage(cpu_s=1e9, scratch_bytes=PLENTY, log_bytes=PLENTY), None),
        (Limits(wall_s=50), Usage(), EndedBy.WALL_LIMIT),
        (Limits(wall_s=100), Usage(), None),
        (Limits(idle_s=5), Usage(), EndedBy.NO_CPU_TIME),
        (Limits(idle_s=20), Usage(), None),
        (Limits(cpu_s=10), Usage(cpu_s=10.5), EndedBy.CPU_LIMIT),
        (Limits(cpu_s=10), Usage(cpu_s=10.0), None),
        (Limits(scratch_bytes=100), Usage(scratch_bytes=101), EndedBy.SCRATCH_LIMIT),
        (Limits(log_bytes=100), Usage(log_bytes=101), EndedBy.LOG_LIMIT),
        (Limits(log_bytes=100), Usage(scratch_bytes=101), None),
    ],
)
def test_a_limit_of_one_process(limits: Limits, usage: Usage, ended_by: EndedBy | None) -> None:
    why = passed(limits, usage, lived_s=60.0, idle_s=10.0)
    assert (why and why.ended_by) == ended_by


def test_the_remark_has_both_figures() -> None:
    why = passed(Limits(scratch_bytes=2 * GB), Usage(scratch_bytes=3 * GB), lived_s=0.0, idle_s=0.0)
    assert why is not None
    assert why.remark == "its folder had 3,000 MB, it may have 2,000 MB"


# -- the job's share of memory


@pytest.mark.parametrize(
    ("memory", "victim"),
    [
        ([], None),
        ([15.9 * GB], 1),  # near, and more than its part
        ([15.0 * GB], None),  # more than its part, but the share is far
        ([2.28 * GB] * 7, None),  # near, and all within their parts
        ([2.2 * GB] * 6 + [2.5 * GB], 7),
        ([3.0 * GB, 2.0 * GB, 12.0 * GB], 3),
        ([2.0 * GB] * 9, 1),  # over, though each is within its part
    ],
)
def test_the_greediest_goes_before_the_share_is_used_up(memory: list[float], victim: int | None) -> None:
    found = out_of_memory(budget(), using(*memory), own_bytes=0)
    assert (found and found.pid) == victim


def test_our_own_memory_counts() -> None:
    usages = using(9 * GB, 4 * GB)
    assert out_of_memory(budget(), usages, own_bytes=0) is None
    found = out_of_memory(budget(), usages, own_bytes=4 * GB)
    assert found is not None
    assert found.why.ended_by is EndedBy.MEMORY
    assert found.why.remark == "it had taken 9,000 MB, all together 17,000 MB of the job's 16,000 MB"


@given(
    st.lists(st.integers(0, 8 * GB), min_size=1, max_size=20),
    st.integers(0, GB),
    st.integers(GB, 32 * GB),
)
def test_memory_over_the_share_always_ends_the_largest_and_only_that(memory: list[int], own: int, share: int) -> None:
    usages = using(*memory)
    found = out_of_memory(budget(memory_bytes=share, part_bytes=share // len(memory)), usages, own_bytes=own)
    if sum(memory) > share:
        assert found is not None
    if found is not None:
        assert usages[found.pid].memory_bytes == max(memory)
        assert own + sum(memory) > 0.95 * share


def test_one_that_keeps_to_the_plan_is_not_ended_for_our_own_memory() -> None:
    tight = budget(memory_bytes=2_300_000_000, part_bytes=2_300_000_000)
    assert out_of_memory(tight, using(2.23 * GB), own_bytes=150_000_000) is None


# -- scratch


def test_the_one_with_the_most_work_files_goes_when_the_disk_runs_full() -> None:
    usages = {1: Usage(scratch_bytes=5), 2: Usage(scratch_bytes=9), 3: Usage(scratch_bytes=2)}
    small = budget(reserve_bytes=1000)
    assert out_of_scratch(small, usages, taken_bytes=16, free_bytes=1000) is None
    found = out_of_scratch(small, usages, taken_bytes=16, free_bytes=999)
    assert found is not None
    assert (found.pid, found.why.ended_by) == (2, EndedBy.DISK)
    assert out_of_scratch(small, {}, taken_bytes=16, free_bytes=0) is None


def test_the_share_of_scratch() -> None:
    usages = {1: Usage(scratch_bytes=500), 2: Usage(scratch_bytes=600)}
    shared = budget(scratch_bytes=1000)
    assert out_of_scratch(shared, usages, taken_bytes=1000, free_bytes=PLENTY) is None
    found = out_of_scratch(shared, usages, taken_bytes=1100, free_bytes=PLENTY)
    assert found is not None
    assert (found.pid, found.why.ended_by) == (2, EndedBy.SCRATCH)


# -- who may begin


@pytest.mark.parametrize(
    ("changes", "memory", "taken", "free", "reason"),
    [
        ({}, [2.0 * GB] * 6, 0, PLENTY, None),
        ({}, [2.0 * GB] * 5 + [5.0 * GB], 0, PLENTY, EndedBy.MEMORY),
        ({}, [], 0, PLENTY, None),
        ({"memory_bytes": GB, "part_bytes": 2 * GB}, [], 0, PLENTY, None),  # alone, anything is tried
        ({"reserve_bytes": 100, "unit_scratch_bytes": 50}, [], 0, 150, None),
        ({"reserve_bytes": 100, "unit_scratch_bytes": 50}, [], 0, 149, EndedBy.DISK),
        ({"scratch_bytes": 100, "unit_scratch_bytes": 50}, [], 50, PLENTY, None),
        ({"scratch_bytes": 100, "unit_scratch_bytes": 50}, [], 51, PLENTY, EndedBy.SCRATCH),
    ],
)
def test_nobody_begins_without_room(
    changes: dict[str, object], memory: list[float], taken: int, free: int, reason: EndedBy | None
) -> None:
    assert reason_to_wait(budget(**changes), using(*memory), taken_bytes=taken, free_bytes=free) is reason


def test_who_was_not_looked_at_yet_counts_with_its_part() -> None:
    usages = using(*[0.0] * 7)
    assert reason_to_wait(budget(), usages, taken_bytes=0, free_bytes=PLENTY) is EndedBy.MEMORY
    del usages[1]
    assert reason_to_wait(budget(), usages, taken_bytes=0, free_bytes=PLENTY) is None


# -- how soon to look again


@pytest.mark.parametrize(
    ("total", "before", "past_s", "wait_s"),
    [
        (8 * GB, 8 * GB, 30.0, 30.0),  # nothing grows
        (8 * GB, 9 * GB, 30.0, 30.0),
        (8 * GB, 7 * GB, 30.0, 30.0),  # full in 240 s
        (8 * GB, 4 * GB, 10.0, 10.0),  # full in 20 s
        (15 * GB, 14 * GB, 1.0, 0.5),
        (17 * GB, 14 * GB, 1.0, 0.0),
    ],
)
def test_growing_memory_is_looked_at_in_time(total: int, before: int, past_s: float, wait_s: float) -> None:
    assert seconds_to_next_look(budget(), total, before, past_s, 30.0) == pytest.approx(wait_s)
    assert seconds_to_next_look(None, total, before, past_s, 30.0) == 30.0
