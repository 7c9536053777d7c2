"""One line that says how a job is doing, for whoever sends it SIGUSR1. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from transformation.model.report import ProgressReport, UnitReport

_NAMED = 4


def status_line(units: Sequence[UnitReport], whole: ProgressReport, resources: str, slot: str) -> str:
    """Units by state, those that run, how far the work is, what it takes, and how long the slot still lasts."""
    counts = Counter(unit.state for unit in units)
    done = counts["committed"] + counts["empty"]
    parts = [f"{done} of {len(units)} units done" if units else "setting up"]
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    running = [unit for unit in units if unit.state == "running"]
    if running:
        named = [f"{unit.id}{_part(unit.progress)}" for unit in running[:_NAMED]]
        more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
        parts.append(f"{len(running)} running: {', '.join(named)}{more}")
    if whole.progress is not None:
        parts.append(f"{whole.progress:.0%} of the work{_left(whole.eta_s)}")
    return "status   " + "; ".join([*parts, resources, *([slot] if slot else [])])


def _part(progress: float | None) -> str:
    return "" if progress is None else f" {progress:.0%}"


def _left(eta_s: float | None) -> str:
    return "" if eta_s is None else f", about {span(eta_s)} left"


def span(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    if seconds < 100.0:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000.0 else f"{seconds / 3600:.1f} h"
