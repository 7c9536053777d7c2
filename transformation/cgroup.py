"""A box of the kernel's for each simulator process: cgroup v2 with its memory controller, where the node allows it.

In a box a simulator can take no more than the job's share, whatever it starts; and the kernel says for certain whether
it ended one for memory. A node allows it where the job's own control group is handed over to it (`Delegate=yes` of
systemd, HTCondor, Slurm with cgroup v2) and holds nothing but the job. Everywhere else there are no boxes, and nobody
is told: the accounting over `/proc` holds by itself, and how many processes of the whole group the kernel has ended for
memory (versions 1 and 2) tells nearly as much. Files and rules: Linux, admin-guide/cgroup-v2.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import msgspec

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_REMOVAL_TRIES = 20
_REMOVAL_WAIT_S = 0.01


class BoxFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel counted."""

    most_memory_bytes: int = 0
    """Pages of files included, which it would have dropped under pressure."""
    n_oom_kills: int = 0
    """Processes that it ended because the box was full."""


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """Of one simulator process."""

    folder: Path

    def put(self, pid: int) -> None:
        """Move the process in; what it starts from now on is born there."""
        _write(self.folder / "cgroup.procs", str(pid))

    def close(self) -> BoxFacts:
        """End what is left in it, read what was counted, remove it."""
        _write(self.folder / "cgroup.kill", "1")
        facts = BoxFacts(
            most_memory_bytes=_number(_words(self.folder / "memory.peak")),
            n_oom_kills=_number(_value(self.folder / "memory.events", "oom_kill")),
        )
        _remove(self.folder)
        return facts


class Boxes(msgspec.Struct, frozen=True, kw_only=True):
    """Where boxes are made."""

    folder: Path
    """The job's own group; it holds groups only, since the kernel wants processes in leaves."""
    leaf: Path
    """The group where we are now."""
    numbers: count[int]

    def open(self, memory_bytes: int) -> Box | None:
        """A new box that holds so much; None if it cannot be made."""
        box = Box(folder=self.folder / f"lsst-trf-{os.getpid()}-{next(self.numbers)}")
        try:
            box.folder.mkdir()
            (box.folder / "memory.max").write_text(str(memory_bytes))
            # All of a simulator or nothing: half a tree would go on and leave half an image.
            (box.folder / "memory.oom.group").write_text("1")
        except OSError:
            _remove(box.folder)
            return None
        return box

    def close(self) -> None:
        """Put everything back as it was."""
        _write(self.folder / "cgroup.subtree_control", "-memory")
        for pid in _words(self.leaf / "cgroup.procs"):
            _write(self.folder / "cgroup.procs", pid)
        _remove(self.leaf)


def open_boxes(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> Boxes | None:
    """Make the job's group ready for boxes; None where the node does not allow it."""
    try:
        own = next(line[3:] for line in membership.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    folder = root / own.strip().lstrip("/")
    if "memory" not in _words(folder / "cgroup.controllers") or not _is_ours_alone(folder):
        return None
    leaf = folder / f"lsst-trf-{os.getpid()}"
    boxes = Boxes(folder=folder, leaf=leaf, numbers=count(1))
    try:
        leaf.mkdir()
        for pid in _words(folder / "cgroup.procs"):
            (leaf / "cgroup.procs").write_text(pid)
        (folder / "cgroup.subtree_control").write_text("+memory")
    except OSError:
        boxes.close()
        return None
    return boxes


def count_oom_kills(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """How many processes the kernel has ended for memory so far in the control group that holds us, of either version;
    0 where that cannot be known."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return 0
    total = 0
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers == "":
            total += _number(_value(root / own.lstrip("/") / "memory.events", "oom_kill"))
        elif "memory" in controllers.split(","):
            total += _number(_value(root / "memory" / own.lstrip("/") / "memory.oom_control", "oom_kill"))
    return total


def _is_ours_alone(folder: Path) -> bool:
    """True if we may write there and all its processes are of our session: nobody else is moved about."""
    files = (folder / "cgroup.procs", folder / "cgroup.subtree_control")
    pids = _words(files[0])
    try:
        alone = all(pid.isdecimal() and int(pid) > 0 and os.getsid(int(pid)) == os.getsid(0) for pid in pids)
    except ProcessLookupError:
        return False
    return bool(pids) and alone and all(os.access(path, os.W_OK) for path in (folder, *files))


def _remove(folder: Path) -> None:
    """A group can be removed once its last process is really gone, which takes a moment."""
    for _ in range(_REMOVAL_TRIES):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(_REMOVAL_WAIT_S)
        else:
            return


def _write(path: Path, text: str) -> None:
    with suppress(OSError):
        path.write_text(text)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _value(path: Path, key: str) -> list[str]:
    words = _words(path)
    return [value for name, value in zip(words[::2], words[1::2], strict=False) if name == key]


def _number(words: list[str]) -> int:
    return int(words[0]) if words and words[0].isdecimal() else 0
