"""Boxes of the kernel's: with files that stand for a control group, and in a real one where this machine has any."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from transformation.cgroup import Boxes, BoxFacts, count_oom_kills, open_boxes
from transformation.limits import Budget
from transformation.process import Command, Processes


class FakeGroup:
    """The job's group below a root, as a systemd unit with `Delegate=yes` has it."""

    def __init__(self, root: Path, controllers: str = "cpu memory pids", pids: str | None = None) -> None:
        self.root = root / "cgroup"
        self.folder = self.root / "system.slice/job.scope"
        self.folder.mkdir(parents=True)
        self.membership = root / "membership"
        self.membership.write_text("4:memory:/old\n0::/system.slice/job.scope\n")
        (self.folder / "cgroup.controllers").write_text(f"{controllers}\n")
        (self.folder / "cgroup.subtree_control").write_text("")
        (self.folder / "cgroup.procs").write_text(f"{os.getpid()}\n" if pids is None else pids)

    def open(self) -> Boxes | None:
        return open_boxes(self.root, self.membership)


def test_a_box_is_made_counted_and_emptied(tmp_path: Path) -> None:
    group = FakeGroup(tmp_path)
    boxes = group.open()
    assert boxes is not None
    assert (group.folder / "cgroup.subtree_control").read_text() == "+memory"
    assert (boxes.leaf / "cgroup.procs").read_text() == str(os.getpid()), "the kernel wants processes in leaves"
    box = boxes.open(2_000_000_000)
    assert box is not None
    assert (box.folder / "memory.max").read_text() == "2000000000"
    assert (box.folder / "memory.oom.group").read_text() == "1"
    box.put(4711)
    assert (box.folder / "cgroup.procs").read_text() == "4711"
    (box.folder / "memory.peak").write_text("123456\n")
    (box.folder / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n")
    assert box.close() == BoxFacts(most_memory_bytes=123456, n_oom_kills=3)
    assert (box.folder / "cgroup.kill").read_text() == "1"


def test_two_boxes_are_two_groups(tmp_path: Path) -> None:
    boxes = FakeGroup(tmp_path).open()
    assert boxes is not None
    one, two = boxes.open(1), boxes.open(1)
    assert one is not None
    assert two is not None
    assert one.folder != two.folder
    assert two.folder.parent == boxes.folder


@pytest.mark.parametrize(
    "group",
    [
        {"controllers": "cpu pids"},
        {"pids": "0\n"},  # a process outside of our namespace
        {"pids": ""},
    ],
    ids=["no memory controller", "foreign", "empty"],
)
def test_no_boxes_where_the_node_does_not_allow_them(tmp_path: Path, group: dict[str, str]) -> None:
    one = FakeGroup(tmp_path, **group)
    before = sorted(one.folder.iterdir())
    assert one.open() is None
    assert sorted(one.folder.iterdir()) == before
    assert (one.folder / "cgroup.subtree_control").read_text() == ""


@pytest.mark.allow_processes
def test_no_process_of_somebody_else_is_moved(tmp_path: Path) -> None:
    """Process 1 will not do for somebody else: without a terminal, we may be of its session."""
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        one = FakeGroup(tmp_path, pids=f"{os.getpid()}\n{stranger.pid}\n")
        assert one.open() is None
        assert (one.folder / "cgroup.subtree_control").read_text() == ""
    finally:
        stranger.kill()
        stranger.wait()


def test_no_boxes_without_cgroup_v2(tmp_path: Path) -> None:
    (tmp_path / "v1").write_text("4:memory:/job\n")
    assert open_boxes(tmp_path, tmp_path / "v1") is None
    assert open_boxes(tmp_path, tmp_path / "missing") is None


def test_a_group_that_refuses_is_left_as_it_was(tmp_path: Path) -> None:
    group = FakeGroup(tmp_path)
    control = group.folder / "cgroup.subtree_control"
    control.unlink()
    control.mkdir()  # cannot be written, as where a parent does not hand the controller on
    assert group.open() is None
    assert (group.folder / "cgroup.procs").read_text() == str(os.getpid())


# -- the kernel's own count


def test_the_count_of_both_versions(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("9:cpu,cpuacct:/x\n4:hugetlb,memory:/old\n0::/system.slice/job.scope\n")
    assert count_oom_kills(tmp_path, membership) == 0
    for name, text in (
        ("memory/old/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        ("system.slice/job.scope/memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    assert count_oom_kills(tmp_path, membership) == 5
    assert count_oom_kills(tmp_path, tmp_path / "missing") == 0


LIMITED = """
import sys
from pathlib import Path
(group, folder), own = map(Path, sys.argv[1:]), Path("/proc/self").resolve().name
(group / "cgroup.procs").write_text(own)
from transformation.process import Command, Processes
processes = Processes()
def run(script):
    return processes.run(Command(
        argv=(sys.executable, "-c", script), folder=folder, stdout=folder / "out", stderr=folder / "err"))
hog, other = run("x = bytearray(b'x') * 400_000_000"), run("import os; os.kill(os.getpid(), 9)")
processes.close()
print(hog.signal, hog.oom_nearby, other.signal, other.oom_nearby)
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A real control group of version 1, or of version 2 with a memory controller, that holds 120 MB."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    own = next((path for _, controllers, path in lines if "memory" in controllers.split(",")), None)
    group = Path("/sys/fs/cgroup/memory") / (own or "").lstrip("/") / f"imsim-test-{os.getpid()}"
    try:
        if own is None:
            raise FileNotFoundError
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("120000000")
    except OSError:
        pytest.skip("this machine lets the tests make no control group for memory")
    yield group
    group.rmdir()


@pytest.mark.allow_processes
def test_a_real_kernel_ends_a_real_process_for_memory(small_group: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(small_group), str(tmp_path)], cwd=Path(__file__).parents[2],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "9 True 9 False\n", done.stderr


@pytest.fixture
def real_boxes() -> Iterator[Boxes]:
    boxes = open_boxes()
    if boxes is None:
        pytest.skip("this machine hands no cgroup v2 with a memory controller over to the tests")
    yield boxes
    boxes.close()


@pytest.mark.allow_processes
def test_the_kernel_says_that_it_ended_one_for_memory(real_boxes: Boxes, tmp_path: Path) -> None:
    processes = Processes()
    processes._boxes = real_boxes
    processes.supervisor.budget = Budget(memory_bytes=100_000_000, part_bytes=100_000_000, scratch=tmp_path)
    script = "x = bytearray(b'x') * 400_000_000"
    try:
        finished = processes.run(
            Command(
                argv=(sys.executable, "-c", script),
                folder=tmp_path,
                stdout=tmp_path / "out",
                stderr=tmp_path / "err",
                environment={},
            )
        )
    finally:
        processes._boxes = None
        processes.close()
    assert finished.oom_killed
    assert finished.signal == 9
