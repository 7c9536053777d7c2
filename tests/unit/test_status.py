"""The line that SIGUSR1 asks for."""

from __future__ import annotations

from transformation.model.report import ProgressReport, UnitReport
from transformation.status import span, status_line


def unit(number: int, state: str, progress: float | None = None) -> UnitReport:
    return UnitReport(id=f"u{number}", visit="1", sensor="s", exposure=0, state=state, progress=progress)  # type: ignore[arg-type]


def test_before_anything_is_planned() -> None:
    assert status_line([], ProgressReport(), "0 of 4,000 MB of memory", "") == (
        "status   setting up; 0 of 4,000 MB of memory"
    )


def test_all_it_knows() -> None:
    units = [unit(1, "committed"), unit(2, "empty"), unit(3, "failed"), unit(4, "planned")]
    units += [unit(5, "running", 0.4), *[unit(at, "running") for at in range(6, 11)]]
    line = status_line(units, ProgressReport(progress=0.55, eta_s=720.0), "memory", "slot ends in 3.0 h")
    assert line == (
        "status   2 of 10 units done; 1 failed; 6 running: u5 40%, u6, u7, u8 and 2 more;"
        " 55% of the work, about 12 min left; memory; slot ends in 3.0 h"
    )


def test_lengths_of_time() -> None:
    assert [span(seconds) for seconds in (-3.0, 0.4, 99.0, 120.0, 7200.0)] == ["0 s", "0 s", "99 s", "2 min", "2.0 h"]
