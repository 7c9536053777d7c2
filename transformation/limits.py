"""What a simulator process may take, and who has to go when all together take too much. Pure.

Three kinds of bounds. A process's own limits (wall, CPU, scratch, logs). The job's share of memory and scratch, which
belongs to all of them: when it runs out, the greediest one is ended, so that the node has no reason to end the job. And
the disk, which others fill too: PhoSim cuts files short without a word when it is full, so something is done before.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

_MEMORY_IS_NEAR = 0.95
"""Of the share: from there on, one that takes more than its part is ended."""


class EndedBy(StrEnum):
    """Why a process is over."""

    ITSELF = "itself"
    WALL_LIMIT = "wall limit"
    CPU_LIMIT = "CPU limit"
    NO_CPU_TIME = "no CPU time used"
    SCRATCH_LIMIT = "scratch limit"
    LOG_LIMIT = "log limit"
    MEMORY = "the job's memory ran out"
    SCRATCH = "the job's scratch ran out"
    DISK = "the disk ran full"
    STOP = "stop"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process and all it starts; None = no such limit."""

    wall_s: float | None = None
    idle_s: float | None = None
    """After so long without any CPU time used, it counts as hung."""
    cpu_s: float | None = None
    scratch_bytes: int | None = None
    """Of its working directory; no single file may grow larger either (the kernel sees to that: RLIMIT_FSIZE)."""
    log_bytes: int | None = None
    """Of each of its output streams."""


NO_LIMITS = Limits()


class Usage(msgspec.Struct, kw_only=True):
    """What a process and all it started have taken, when last looked at."""

    cpu_s: float = 0.0
    memory_bytes: int = 0
    most_memory_bytes: int = 0
    scratch_bytes: int = 0
    log_bytes: int = 0
    """Of the longer stream."""


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that was passed, in words that give figures."""

    ended_by: EndedBy
    remark: str = ""


def passed(limits: Limits, usage: Usage, *, lived_s: float, idle_s: float) -> Passed | None:
    """The first limit that a process has passed."""
    if limits.wall_s is not None and lived_s > limits.wall_s:
        return Passed(ended_by=EndedBy.WALL_LIMIT)
    if limits.idle_s is not None and idle_s > limits.idle_s:
        return Passed(ended_by=EndedBy.NO_CPU_TIME)
    if limits.cpu_s is not None and usage.cpu_s > limits.cpu_s:
        return Passed(ended_by=EndedBy.CPU_LIMIT, remark=f"it may use {limits.cpu_s:,.0f} s of CPU time")
    if limits.scratch_bytes is not None and usage.scratch_bytes > limits.scratch_bytes:
        remark = f"its folder had {_mb(usage.scratch_bytes)}, it may have {_mb(limits.scratch_bytes)}"
        return Passed(ended_by=EndedBy.SCRATCH_LIMIT, remark=remark)
    if limits.log_bytes is not None and usage.log_bytes > limits.log_bytes:
        remark = f"it had printed {_mb(usage.log_bytes)}, it may print {_mb(limits.log_bytes)}"
        return Passed(ended_by=EndedBy.LOG_LIMIT, remark=remark)
    return None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What all processes of a job may take together."""

    memory_bytes: int
    part_bytes: int
    """Of one process, when as many run as may run."""
    scratch: Path
    """Folder of all work files."""
    scratch_bytes: int | None = None
    """The job's share of it; None = what the disk has."""
    reserve_bytes: int = 0
    """To be left free on that disk."""
    unit_scratch_bytes: int = 0
    """What a unit is expected to write: none is begun without it."""


class Victim(msgspec.Struct, frozen=True, kw_only=True):
    """Who has to go, and why."""

    pid: int
    why: Passed


def out_of_memory(budget: Budget, usages: Mapping[int, Usage], *, own_bytes: int) -> Victim | None:
    """The greediest process if all together have taken the job's share, or nearly so and it more than its part.

    `own_bytes` is the memory of `lsst-trf` and its helpers. It belongs to the same share, but the plan gives the whole
    of that to the simulators (as PhoSim's needs are round figures, there is room): who keeps to the plan is left alone.
    """
    if not usages:
        return None
    simulators = sum(usage.memory_bytes for usage in usages.values())
    pid = max(usages, key=lambda one: usages[one].memory_bytes)
    most = usages[pid].memory_bytes
    near = own_bytes + simulators > _MEMORY_IS_NEAR * budget.memory_bytes and most > budget.part_bytes
    if simulators <= budget.memory_bytes and not near:
        return None
    total = own_bytes + simulators
    remark = f"it had taken {_mb(most)}, all together {_mb(total)} of the job's {_mb(budget.memory_bytes)}"
    return Victim(pid=pid, why=Passed(ended_by=EndedBy.MEMORY, remark=remark))


def out_of_scratch(budget: Budget, usages: Mapping[int, Usage], *, taken_bytes: int, free_bytes: int) -> Victim | None:
    """The process with the most work files if the job's share of scratch, or the disk, runs out.

    `taken_bytes` is what the job has in its scratch folder, `free_bytes` what its disk has left.
    """
    if not usages:
        return None
    pid = max(usages, key=lambda one: usages[one].scratch_bytes)
    own = f"its folder had {_mb(usages[pid].scratch_bytes)}"
    if free_bytes < budget.reserve_bytes:
        remark = f"{own}, {budget.scratch} has {_mb(free_bytes)} free, {_mb(budget.reserve_bytes)} are kept in reserve"
        return Victim(pid=pid, why=Passed(ended_by=EndedBy.DISK, remark=remark))
    if budget.scratch_bytes is not None and taken_bytes > budget.scratch_bytes:
        remark = f"{own}, the job had {_mb(taken_bytes)} in {budget.scratch} and may have {_mb(budget.scratch_bytes)}"
        return Victim(pid=pid, why=Passed(ended_by=EndedBy.SCRATCH, remark=remark))
    return None


def reason_to_wait(budget: Budget, usages: Mapping[int, Usage], *, taken_bytes: int, free_bytes: int) -> EndedBy | None:
    """Why no further process should begin now; None if one may.

    A process that was not looked at yet counts with its part, as does the one that is to begin.
    """
    if free_bytes < budget.reserve_bytes + budget.unit_scratch_bytes:
        return EndedBy.DISK
    if budget.scratch_bytes is not None and taken_bytes + budget.unit_scratch_bytes > budget.scratch_bytes:
        return EndedBy.SCRATCH
    booked = sum(max(usage.memory_bytes, budget.part_bytes) for usage in usages.values())
    return EndedBy.MEMORY if usages and booked + budget.part_bytes > budget.memory_bytes else None


def seconds_to_next_look(budget: Budget | None, total: int, before: int, past_s: float, planned_s: float) -> float:
    """Sooner than planned if the memory of all, growing as it did in the last `past_s` seconds, could reach the share:
    at half the time that it would take."""
    if budget is None or total <= before or past_s <= 0.0:
        return planned_s
    full_in_s = max(0.0, budget.memory_bytes - total) * past_s / (total - before)
    return min(planned_s, 0.5 * full_in_s)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
