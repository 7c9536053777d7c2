"""Make all checks at once, each in a child process that can be left behind.

A process that waits for a network file system cannot be ended, not even by SIGKILL, until the file system answers. So
nobody waits for a child: one that is late is killed and forgotten. The children are forks: this program has one thread
and no network library by then, and a fresh interpreter for each would take longer than most checks.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil

import msgspec

from transformation.doctor.reading import Case, Check, Checked, Reading, bad
from transformation.model import documents

_BLOCK_BYTES = 1 << 16
_ORPHAN_GRACE_S = 5
"""A child that lost its parent ends itself by then."""


class _Note(msgspec.Struct, frozen=True, tag="note"):
    text: str


class _Answer(msgspec.Struct, frozen=True, tag="answer"):
    reading: Reading


class _Child(msgspec.Struct, kw_only=True):
    check: Check
    pid: int
    pipe: int
    begun_s: float
    said: bytearray = msgspec.field(default_factory=bytearray)

    @property
    def late_s(self) -> float:
        """When it is given up (`time.monotonic`)."""
        return self.begun_s + self.check.limit_s


def examine(checks: Sequence[Check], case_of: Callable[[Check, Callable[[str], None]], Case]) -> list[Checked]:
    """What each check found, in their order; takes no longer than the longest limit."""
    children = [_start(check, case_of) for check in checks]
    found: dict[int, Checked] = {}
    try:
        with selectors.DefaultSelector() as selector:
            for child in children:
                selector.register(child.pipe, selectors.EVENT_READ, child)
            while len(found) < len(children):
                _listen(selector, [child for child in children if child.pid not in found], found)
    finally:
        for child in children:
            if child.pid not in found:  # somebody has interrupted us
                _kill(child)
    return [found[child.pid] for child in children]


def _listen(selector: selectors.BaseSelector, waiting: Sequence[_Child], found: dict[int, Checked]) -> None:
    """Take what comes until the next one is late."""
    next_late_s = min(child.late_s for child in waiting)
    for key, _ in selector.select(max(0.0, next_late_s - time.monotonic())):
        block = os.read(key.fd, _BLOCK_BYTES)
        key.data.said += block
        if not block:
            found[key.data.pid] = _end(key.data, selector)
    for child in waiting:
        if child.pid not in found and time.monotonic() >= child.late_s:
            found[child.pid] = _end(child, selector)


def _start(check: Check, case_of: Callable[[Check, Callable[[str], None]], Case]) -> _Child:
    pipe, child_end = os.pipe()
    begun_s = time.monotonic()
    pid = os.fork()
    if pid:
        os.close(child_end)
        return _Child(check=check, pid=pid, pipe=pipe, begun_s=begun_s)
    try:
        os.close(pipe)
        os.setsid()
        _let_go_of_our_output()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(ceil(check.limit_s) + _ORPHAN_GRACE_S)
        _tell(child_end, _Answer(_look(check, case_of(check, lambda text: _tell(child_end, _Note(text))))))
    finally:
        os._exit(0)


def _let_go_of_our_output() -> None:
    """Whoever reads what we print waits until nobody can print any more: a child that hangs must not be able to."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)


def _look(check: Check, case: Case) -> Reading:
    try:
        return check.look(case)
    except Exception as error:  # noqa: BLE001 - the border of this process: a bug is a finding like any other
        return bad(f"the check itself failed: {type(error).__name__}: {error}", "report this as a bug of lsst-trf")


def _tell(pipe: int, word: _Note | _Answer) -> None:
    line = memoryview(msgspec.json.encode(word) + b"\n")
    while line:
        line = line[os.write(pipe, line) :]


def _end(child: _Child, selector: selectors.BaseSelector) -> Checked:
    """Take what it said, and see to it that it ends; an answer that came with the last breath counts."""
    wall_s = time.monotonic() - child.begun_s
    selector.unregister(child.pipe)
    _kill(child)
    reading = _reading(child, wall_s)
    return Checked(
        name=child.check.name,
        subject=child.check.subject,
        verdict=reading.verdict,
        found=reading.found,
        action=reading.action,
        wall_s=round(wall_s, 3),
        facts=reading.facts,
    )


def _kill(child: _Child) -> None:
    os.close(child.pipe)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)


def _reading(child: _Child, wall_s: float) -> Reading:
    words = [
        documents.decode(line, _Note | _Answer) for line in bytes(child.said).split(b"\n")[:-1] if line
    ]  # what follows the last newline was cut off
    for word in words:
        if isinstance(word, _Answer):
            return word.reading
    noted = "".join(f"; last: {word.text}" for word in words[-1:] if isinstance(word, _Note))
    late = time.monotonic() >= child.late_s
    what = f"no answer in {wall_s:.0f} s" if late else "ended without an answer"
    about = f" ({child.check.subject})" if child.check.subject else ""
    return bad(f"{what}{about}{noted}", "see whether it hangs for other programs too; try another worker")
