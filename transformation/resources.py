"""Cores and memory that a job may use (DESIGN rule 9): the smallest known figure wins, never the node's totals.

Order of asking: the command line, the cgroup's limits, the site file, then CPU affinity and 2 GB a core. The PanDA
pilot does not tell a payload its share, so a guess must be a small one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

MEMORY_PER_CORE_BYTES = 2_000_000_000
"""What grid sites give a core when nobody says otherwise."""

_NO_LIMIT_BYTES = 1 << 60


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What this job may use, and which rule said so."""

    cores: int
    memory_bytes: int
    cores_from: str
    memory_from: str


class Cgroup(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the control group that holds us; None = no limit seen."""

    cores: float | None = None
    memory_bytes: int | None = None


def decide_share(
    *, asked_cores: int | None, asked_memory_mb: int | None, cgroup: Cgroup, site_cores: int | None,
    site_memory_mb: int | None, affinity_cores: int,
) -> Share:  # fmt: skip
    """The job's share: for each resource the smallest of the figures that are known."""
    cores_known = {
        "--cores": asked_cores,
        "cgroup": None if cgroup.cores is None else max(1, int(cgroup.cores)),
        "site file": site_cores,
        "CPU affinity": affinity_cores,
    }
    cores_from, cores = _smallest(cores_known)
    memory_known = {
        "--memory-mb": None if asked_memory_mb is None else asked_memory_mb * 1_000_000,
        "cgroup": cgroup.memory_bytes,
        "site file": None if site_memory_mb is None else site_memory_mb * 1_000_000,
    }
    if all(value is None for value in memory_known.values()):
        memory_known[f"2 GB a core x {cores}"] = cores * MEMORY_PER_CORE_BYTES
    memory_from, memory_bytes = _smallest(memory_known)
    return Share(cores=cores, memory_bytes=memory_bytes, cores_from=cores_from, memory_from=memory_from)


def units_at_once(share: Share, *, unit_memory_bytes: int) -> int:
    """How many simulator processes may run together; 0 if not even one fits."""
    return min(share.cores, share.memory_bytes // max(1, unit_memory_bytes))


def units_on_disk(free_bytes: int, *, visit_scratch_bytes: int, unit_scratch_bytes: int) -> int:
    """How many units' work files fit beside one visit's; 0 if not even one fits."""
    return max(0, free_bytes - visit_scratch_bytes) // max(1, unit_scratch_bytes)


def free_bytes(folder: Path) -> int:
    """Space that we may still write in a folder's file system."""
    free = os.statvfs(folder)
    return free.f_bavail * free.f_frsize


def affinity_cores() -> int:
    """CPUs this process may run on."""
    return len(os.sched_getaffinity(0))


def read_cgroup(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Cgroup:
    """The tightest limits of cgroup, version 2 and 1, on the way from our group up to the root."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return Cgroup()
    cores: list[float] = []
    memory: list[int] = []
    for _, names, own in lines or [["0", "", "/"]]:
        controllers = names.split(",") if names else []
        for level in _levels(root / names if controllers else root, own):
            cores += _quota(_words(level / "cpu.max"))
            memory += _limit(_words(level / "memory.max"))
            if "cpu" in controllers:
                quota, period = _words(level / "cpu.cfs_quota_us"), _words(level / "cpu.cfs_period_us")
                cores += _quota([*quota, *period])
            if "memory" in controllers:
                memory += _limit(_words(level / "memory.limit_in_bytes"))
    return Cgroup(cores=min(cores, default=None), memory_bytes=min(memory, default=None))


def _levels(hierarchy: Path, own: str) -> list[Path]:
    """Our group in a hierarchy, and those above it."""
    folder = hierarchy / own.lstrip("/")
    return [level for level in (folder, *folder.parents) if level.is_relative_to(hierarchy)]


def _quota(words: Sequence[str]) -> list[float]:
    """Cores by a quota and its period; none for `max`, or -1, which is version 1's word for it."""
    return [int(words[0]) / int(words[1])] if len(words) == 2 and words[0].isdecimal() else []


def _limit(words: Sequence[str]) -> list[int]:
    """Bytes; none for `max`, or for the 8 exabytes that are version 1's word for it."""
    return [int(words[0])] if words and words[0].isdecimal() and int(words[0]) < _NO_LIMIT_BYTES else []


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _smallest(known: Mapping[str, int | None]) -> tuple[str, int]:
    return min(((name, value) for name, value in known.items() if value is not None), key=lambda item: item[1])
