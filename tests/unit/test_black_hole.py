"""When a worker is given up, and when it is not."""

from __future__ import annotations

import pytest

from transformation.black_hole import BlackHole
from transformation.model.failures import Failure, Remedy

CRASH = Failure.SIMULATOR_CRASHED


def hole(*failed: tuple[str, Failure], wall_s: float = 0.5, good: bool = False) -> BlackHole:
    one = BlackHole()
    for unit, failure in failed:
        one.failed(unit, failure, wall_s=wall_s)
    if good:
        one.succeeded()
    return one


def test_three_units_that_fail_at_once_and_one_of_them_twice() -> None:
    found = hole(("a", CRASH), ("b", CRASH), ("a", CRASH), ("c", CRASH)).verdict()
    assert found is not None
    assert found.failure is Failure.BAD_WORKER
    assert found.failure.remedy is Remedy.ELSEWHERE
    assert "the first 3 units all ended with SIMULATOR_CRASHED" in found.detail


@pytest.mark.parametrize(
    "one",
    [
        hole(),
        hole(("a", CRASH), ("b", CRASH), ("c", CRASH)),  # nobody tried again yet: the next attempts may succeed
        hole(("a", CRASH), ("a", CRASH), ("a", CRASH)),  # one unit may be bad itself
        hole(("a", CRASH), ("b", CRASH), ("a", CRASH), ("b", CRASH)),
        hole(("a", CRASH), ("b", CRASH), ("a", CRASH), ("c", Failure.OUTPUT_MISSING)),  # not in the same way
        hole(("a", CRASH), ("b", CRASH), ("a", CRASH), ("c", CRASH), good=True),
        hole(("a", CRASH), ("b", CRASH), ("a", CRASH), ("c", CRASH), wall_s=60.0),  # not at once
        # its own correction, or nothing that another worker would do better
        hole(*[(unit, Failure.OUT_OF_MEMORY) for unit in "abcabc"]),
        hole(*[(unit, Failure.SED_MISSING) for unit in "abcabc"]),
        hole(*[(unit, Failure.TERMINATED) for unit in "abcabc"]),
    ],
    ids=["nothing", "first attempts", "one unit", "two units", "two ways", "one good", "slow", "memory", "never", "us"],
)
def test_no_verdict(one: BlackHole) -> None:
    assert one.verdict() is None
