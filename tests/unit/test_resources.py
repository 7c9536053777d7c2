"""Cores, memory and disk that a job may use."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.resources import (
    Cgroup,
    Share,
    affinity_cores,
    decide_share,
    free_bytes,
    read_cgroup,
    units_at_once,
    units_on_disk,
)

GB = 1_000_000_000


class Known(TypedDict):
    asked_cores: int | None
    asked_memory_mb: int | None
    cgroup: Cgroup
    site_cores: int | None
    site_memory_mb: int | None
    affinity_cores: int


def known(
    *, asked_cores: int | None = None, asked_memory_mb: int | None = None, cgroup: Cgroup | None = None,
    site_cores: int | None = None, site_memory_mb: int | None = None, affinity: int = 64,
) -> Known:  # fmt: skip
    return Known(
        asked_cores=asked_cores, asked_memory_mb=asked_memory_mb, cgroup=cgroup or Cgroup(), site_cores=site_cores,
        site_memory_mb=site_memory_mb, affinity_cores=affinity,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "cores", "cores_from"),
    [
        (known(), 64, "CPU affinity"),
        (known(site_cores=8), 8, "site file"),
        (known(cgroup=Cgroup(cores=4.0), site_cores=8), 4, "cgroup"),
        (known(cgroup=Cgroup(cores=3.9)), 3, "cgroup"),
        (known(cgroup=Cgroup(cores=0.5)), 1, "cgroup"),
        (known(asked_cores=2, cgroup=Cgroup(cores=4.0), site_cores=8), 2, "--cores"),
        # asking for more than there is gives what there is
        (known(asked_cores=16, cgroup=Cgroup(cores=4.0), site_cores=8), 4, "cgroup"),
        (known(asked_cores=16, affinity=2), 2, "CPU affinity"),
    ],
)
def test_cores(facts: Known, cores: int, cores_from: str) -> None:
    share = decide_share(**facts)
    assert (share.cores, share.cores_from) == (cores, cores_from)


@pytest.mark.parametrize(
    ("facts", "memory_bytes", "memory_from"),
    [
        (known(affinity=3), 6 * GB, "2 GB a core x 3"),
        (known(asked_cores=2), 4 * GB, "2 GB a core x 2"),
        (known(site_memory_mb=16_000), 16 * GB, "site file"),
        (known(cgroup=Cgroup(memory_bytes=5 * GB), site_memory_mb=16_000), 5 * GB, "cgroup"),
        (known(asked_memory_mb=3_000, cgroup=Cgroup(memory_bytes=5 * GB)), 3 * GB, "--memory-mb"),
        (known(asked_memory_mb=30_000, cgroup=Cgroup(memory_bytes=5 * GB)), 5 * GB, "cgroup"),
        (known(asked_memory_mb=30_000, affinity=1), 30 * GB, "--memory-mb"),
    ],
)
def test_memory(facts: Known, memory_bytes: int, memory_from: str) -> None:
    share = decide_share(**facts)
    assert (share.memory_bytes, share.memory_from) == (memory_bytes, memory_from)


counts = st.none() | st.integers(1, 500)


@given(counts, counts, counts, st.integers(1, 500))
def test_the_smallest_known_figure_wins(asked: int | None, site: int | None, group: int | None, affinity: int) -> None:
    cgroup = Cgroup(cores=None if group is None else float(group))
    share = decide_share(**known(asked_cores=asked, site_cores=site, cgroup=cgroup, affinity=affinity))
    assert share.cores == min(figure for figure in (asked, site, group, affinity) if figure is not None)


@pytest.mark.parametrize(
    ("cores", "memory_gb", "unit_gb", "at_once"),
    [(8, 16, 2.2, 7), (4, 16, 2.2, 4), (8, 2.2, 2.2, 1), (8, 2.1, 2.2, 0), (1, 100, 2.2, 1), (3, 1, 0, 3)],
)
def test_units_at_once(cores: int, memory_gb: float, unit_gb: float, at_once: int) -> None:
    share = Share(cores=cores, memory_bytes=int(memory_gb * GB), cores_from="", memory_from="")
    assert units_at_once(share, unit_memory_bytes=int(unit_gb * GB)) == at_once


@pytest.mark.parametrize(
    ("free", "visit", "unit", "fit"),
    [(1000, 300, 100, 7), (399, 300, 100, 0), (400, 300, 100, 1), (100, 300, 100, 0), (100, 0, 0, 100)],
)
def test_units_on_disk(free: int, visit: int, unit: int, fit: int) -> None:
    assert units_on_disk(free, visit_scratch_bytes=visit, unit_scratch_bytes=unit) == fit


def test_free_space_is_what_df_says(tmp_path: Path) -> None:
    import shutil

    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)
    assert affinity_cores() >= 1


class CgroupTree:
    """A fake /sys/fs/cgroup and /proc/self/cgroup."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "cgroup"
        self.root.mkdir()
        self.membership = folder / "self"

    def limit(self, group: str, **limits: str) -> None:
        """Write limits of a group, e.g. `cpu_max="200000 100000"`."""
        place = self.root / group.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for name, text in limits.items():
            (place / name.replace("_", ".")).write_text(text + "\n")

    def read(self, membership: str) -> Cgroup:
        self.membership.write_text(membership)
        return read_cgroup(self.root, self.membership)


@pytest.fixture
def tree(tmp_path: Path) -> CgroupTree:
    return CgroupTree(tmp_path)


def test_no_limits_anywhere(tree: CgroupTree) -> None:
    tree.limit("/a", cpu_max="max 100000", memory_max="max")
    assert tree.read("0::/a\n") == Cgroup()
    assert tree.read("0::/gone\n") == Cgroup()
    assert tree.read("") == Cgroup()
    assert read_cgroup(tree.root, tree.root / "nowhere") == Cgroup()


def test_limits_of_the_own_group(tree: CgroupTree) -> None:
    tree.limit("/a/b", cpu_max="250000 100000", memory_max="4000000000")
    assert tree.read("0::/a/b\n") == Cgroup(cores=2.5, memory_bytes=4 * GB)


def test_the_tightest_limit_on_the_way_up_counts(tree: CgroupTree) -> None:
    tree.limit("/", cpu_max="6400000 100000")
    tree.limit("/a", cpu_max="200000 100000", memory_max="8000000000")
    tree.limit("/a/b", cpu_max="max 100000", memory_max="6000000000")
    tree.limit("/a/b/c", cpu_max="800000 100000", memory_max="max")
    tree.limit("/other", cpu_max="100000 100000", memory_max="1")
    assert tree.read("0::/a/b/c\n") == Cgroup(cores=2.0, memory_bytes=6 * GB)


def test_a_mixed_hierarchy_has_a_v2_line_among_others(tree: CgroupTree) -> None:
    tree.limit("/job", memory_max="2000000000")
    assert tree.read("12:cpu,cpuacct:/x\n1:name=systemd:/y\n0::/job\n") == Cgroup(memory_bytes=2 * GB)
    assert tree.read("12:cpu,cpuacct:/job\n") == Cgroup()


def test_limits_of_version_1(tree: CgroupTree) -> None:
    for name, text in (
        ("cpu,cpuacct/job/cpu.cfs_quota_us", "150000\n"),
        ("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"),
        ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory/batch/memory.limit_in_bytes", "5000000000\n"),
        ("memory/batch/job/memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory/other/memory.limit_in_bytes", "1\n"),
    ):
        path = tree.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    membership = "9:name=systemd:/\n5:cpu,cpuacct:/job\n4:memory:/batch/job\n0::/\n"
    assert tree.read(membership) == Cgroup(cores=1.5, memory_bytes=5 * GB)


def test_a_namespace_shows_a_group_above_its_root(tree: CgroupTree) -> None:
    tree.limit("/", memory_max="3000000000")
    assert tree.read("0::/../../elsewhere\n").memory_bytes in {None, 3 * GB}
