"""Cores and memory that a job may use (DESIGN rule 9): the smallest known figure wins, never the node's totals.

Order of asking: the command line, the cgroup's limits, the site file, then CPU affinity and 2 GB a core. The PanDA
pilot does not tell a payload its share, so a guess must be a small one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MEMORY_PER_CORE_BYTES = 2_000_000_000
"""What grid sites give a core when nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What this job may use, and which rule said so."""

    cores: int
    memory_bytes: int
    cores_from: str
    memory_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
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
    """The tightest limits of cgroup v2 on the way from our group up to the root."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return Cgroup()
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    cores: list[float] = []
    memory: list[int] = []
    folder = root / own.lstrip("/")
    for level in (folder, *folder.parents):
        if not level.is_relative_to(root):
            break
        quota = _words(level / "cpu.max")
        if len(quota) == 2 and quota[0] != "max":
            cores.append(int(quota[0]) / int(quota[1]))
        limit = _words(level / "memory.max")
        if limit and limit[0] != "max":
            memory.append(int(limit[0]))
    return Cgroup(cores=min(cores, default=None), memory_bytes=min(memory, default=None))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _smallest(known: Mapping[str, int | None]) -> tuple[str, int]:
    return min(((name, value) for name, value in known.items() if value is not None), key=lambda item: item[1])
