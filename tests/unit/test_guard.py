"""The guard catches what it is there for."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.unit.process_guard import guard

CALLS: dict[str, Callable[[], object]] = {
    "subprocess": lambda: subprocess.run(["true"], check=False),
    "fork": lambda: os.fork() or os._exit(0),
    "posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "system": lambda: os.system("true"),
    "socket": socket.socket,
    "name look-up": lambda: socket.getaddrinfo("localhost", 80),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_forbidden_call_fails_at_once(call: Callable[[], object]) -> None:
    with guard() as seen, pytest.raises(pytest.fail.Exception, match="allow_processes"):
        call()
    assert len(seen) == 1


@pytest.mark.allow_processes
def test_marker_allows_processes() -> None:
    assert subprocess.run(["true"], check=False).returncode == 0
