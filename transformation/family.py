"""Everything that a simulator process has started, found again however it hides.

A simulator leads a session. Whoever belongs to that session, or descends from one who does, is of its family. A child
that made a session of its own and outlived its parent (a daemon) would be nobody's: so this process adopts orphans
(`PR_SET_CHILD_SUBREAPER`, prctl(2)), and knows them by a word in their environment that each simulator is given.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import ClassVar

from transformation.proc_table import Process, Table, read_table, variable_of

COOKIE = "IOD_PROCESS"
"""The variable that marks a simulator process and all it starts."""
_PR_SET_CHILD_SUBREAPER = 36
_GONE_S = 5.0
"""How long to wait for killed processes to disappear before going on without it."""
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.001, 0.02

CookieOf = Callable[[Process], str]


class _Children:
    """Which children this program started itself, and whether it adopts others."""

    claimed: ClassVar[set[int]] = set()
    adopting: ClassVar[bool] = False
    lock: ClassVar[threading.RLock] = threading.RLock()
    """Held from a start to its claim, and from a look at who is unclaimed to what is done about it."""


def adopt_orphans(*, adopt: bool = True) -> bool:
    """From now on a process whose ancestors up to us are gone becomes our child; False where that cannot be had.

    Children that we have already are none of these: they were started by what ran in our place before.
    """
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) != 0:
        return False
    own = os.getpid()
    _Children.claimed |= {process.pid for process in read_table().values() if process.parent == own}
    _Children.adopting = adopt
    return True


def start_own(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a child of our own, which is not taken for an adopted one: who starts it also waits for it."""
    with _Children.lock:
        process = start()
        _Children.claimed.add(process.pid)
        return process


def release(pid: int) -> None:
    """A child of our own was waited for."""
    _Children.claimed.discard(pid)


def cookie_of(process: Process) -> str:
    """The word in the environment of a living process."""
    return variable_of(process.pid, COOKIE)


def families(table: Table, leaders: Mapping[int, str], word_of: CookieOf = cookie_of) -> dict[int, list[Process]]:
    """The living processes of each family; `leaders` has the word of each by its pid."""
    by_word = {word: leader for leader, word in leaders.items()}
    found: dict[int, list[Process]] = {leader: [] for leader in leaders}
    known: dict[int, int | None] = {}
    own = os.getpid()
    for process in table.values():
        leader = _leader(process, table, leaders, by_word, word_of, known, own)
        if leader is not None and not process.is_over:
            found[leader].append(process)
    return found


def _leader(
    process: Process, table: Table, leaders: Mapping[int, str], by_word: Mapping[str, int], word_of: CookieOf,
    known: dict[int, int | None], own: int,
) -> int | None:  # fmt: skip
    """Whose family a process is of; what was found out on the way stands in `known`, by pid."""
    way: list[int] = []
    leader: int | None = None
    one: Process | None = process
    while one is not None and one.pid != own and one.pid not in way:
        if one.pid in known:
            leader = known[one.pid]
            break
        way.append(one.pid)
        if one.session in leaders:
            leader = one.session
            break
        if one.parent == own:
            leader = None if one.pid in _Children.claimed else by_word.get(word_of(one))
            break
        one = table.get(one.parent)
    known.update(dict.fromkeys(way, leader))
    return leader


def end_family(leader: int, word: str) -> None:
    """Kill whatever is left of a family whose leader is over, and wait until it is gone."""
    _end(lambda table: families(table, {leader: word})[leader])


def end_strays() -> None:
    """Kill whatever we have adopted: to be called when no simulator is left."""
    _end(lambda table: [process for process in _adopted(table) if not process.is_over])


def reap_adopted() -> None:
    """Wait for adopted children that are over, so that no zombie is left."""
    with _Children.lock:
        for process in _adopted(read_table()):
            if process.is_over:
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group; no harm if it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end(left: Callable[[Table], list[Process]]) -> None:
    end, wait_s = time.monotonic() + _GONE_S, _SHORTEST_WAIT_S
    while _kill(left) and time.monotonic() < end:
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        reap_adopted()


def _kill(left: Callable[[Table], list[Process]]) -> bool:
    """Kill those that are left; whether there are any."""
    with _Children.lock:
        found = left(read_table())
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
        return bool(found)


def _adopted(table: Table) -> list[Process]:
    """Children of ours that nobody claims; what a library starts for itself stays in our own session."""
    if not _Children.adopting:
        return []
    own, session = os.getpid(), os.getsid(0)
    return [
        process
        for process in table.values()
        if process.parent == own and process.session != session and process.pid not in _Children.claimed
    ]
