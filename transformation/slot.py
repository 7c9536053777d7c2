"""When the slot of this job ends, and what may still begin in it. Pure.

The end is fixed once, when the job starts, on a clock that nobody sets: seconds since boot, suspended time included
(`CLOCK_BOOTTIME`). So a wall clock that jumps, because an administrator or NTP sets it, neither ends the job nor makes
it miss its end; batch systems count elapsed time in the same way. A jump is noted in the journal, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

MARGIN_S = 20.0
"""To end in order before the batch system ends us."""
_NOTED_JUMP_S = 60.0
_END_VARIABLES = ("IOD_SLOT_END", "SLURM_JOB_END_TIME")
"""Seconds since 1970. The first is ours, for wrappers that know better; the second is Slurm's (sbatch(1))."""


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """Both clocks, read together."""

    epoch_s: float
    """Wall clock, since 1970: can be set, and jump."""
    boot_s: float
    """Since boot: cannot."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """The time that this job has."""

    end_s: float
    """On the clock since boot."""
    said_by: str
    """Who set the end."""

    def left_s(self, boot_s: float) -> float:
        """Seconds until the work has to be laid down, the margin left out."""
        return self.end_s - MARGIN_S - boot_s

    def fits(self, wall_s: float, boot_s: float) -> bool:
        """Whether something that takes so long can still end in order."""
        return wall_s <= self.left_s(boot_s)


def find_slot(
    *, deadline_s: float | None, max_job_hours: float | None, queue_hours: float | None,
    environment: Mapping[str, str], now: Clocks,
) -> Slot | None:  # fmt: skip
    """The earliest end that anybody sets; None if nobody does. `deadline_s` is in seconds since 1970."""
    left_s = {
        "--deadline": None if deadline_s is None else deadline_s - now.epoch_s,
        "worker.max_job_hours of the site": None if max_job_hours is None else 3600.0 * max_job_hours,
        "max_wall_hours of the queue": None if queue_hours is None else 3600.0 * queue_hours,
    }
    for name in _END_VARIABLES:
        if (text := environment.get(name, "")).isdecimal():
            left_s[name] = float(text) - now.epoch_s
    known = [(seconds, name) for name, seconds in left_s.items() if seconds is not None]
    if not known:
        return None
    seconds, name = min(known)
    return Slot(end_s=now.boot_s + seconds, said_by=name)


def clock_jump_s(before: Clocks, now: Clocks) -> float:
    """By how much the wall clock was set between two readings; 0 for the drift that is normal."""
    jump_s = (now.epoch_s - before.epoch_s) - (now.boot_s - before.boot_s)
    return jump_s if abs(jump_s) >= _NOTED_JUMP_S else 0.0
