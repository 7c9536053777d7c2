"""Signals as an exception that comes at a good moment.

Under `watched()` SIGTERM, SIGINT and SIGHUP raise `Interrupted` in the main thread. What
must not be cut in two (opening a transaction, giving it up) runs under `shielded()`: a signal that comes then is raised
when the block has ended.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from types import FrameType
from typing import Iterator, Optional

from cvmfs_publish.exits import Exit, KitError

_CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(KitError):
    """A signal asked the kit to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(Exit.INTERRUPTED, f"stopped by {signal.Signals(number).name}")


class _Switch:
    """Whether a signal may strike now, and the one that came when it might not."""

    def __init__(self) -> None:
        self.shields = 0
        self.waiting: Optional[int] = None

    def on_signal(self, number: int, _frame: Optional[FrameType]) -> None:
        if self.shields:
            self.waiting = number
            return
        raise Interrupted(number)


_switch = _Switch()


@contextmanager
def watched() -> Iterator[None]:
    """Let the signals raise `Interrupted` while the block runs; those that are ignored, as under nohup, stay so."""
    before = {number: signal.getsignal(number) for number in _CAUGHT}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _switch.on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Hold signals back while the block runs; an error of the block goes before them."""
    _switch.shields += 1
    try:
        yield
    finally:
        _switch.shields -= 1
    waiting, _switch.waiting = (_switch.waiting, None) if not _switch.shields else (None, _switch.waiting)
    if waiting is not None:
        raise Interrupted(waiting)
