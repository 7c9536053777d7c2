"""Makes every start of a process and every socket an error, by Python's audit events."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_FORBIDDEN = frozenset(
    {
        *("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "pty.spawn"),
        *("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"),
    }
)
"""These are raised whatever way the call is made, also from C."""

_guards: list[list[str]] = []
"""What was done against the rule, for each guard in force, the innermost last."""


@contextmanager
def guard() -> Iterator[list[str]]:
    """While the block runs, forbidden calls fail the test; they are also noted, for calls made in other threads."""
    seen: list[str] = []
    _guards.append(seen)
    try:
        yield seen
    finally:
        _guards.pop()


def _watch(event: str, _arguments: tuple[object, ...]) -> None:
    if _guards and event in _FORBIDDEN:
        _guards[-1].append(event)
        # Not an Exception: the code under test must not take it for a failure that it knows.
        pytest.fail(f"a unit test did {event}; is the marker allow_processes missing?")


sys.addaudithook(_watch)  # it cannot be taken away again
