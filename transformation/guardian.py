"""`python -m transformation.guardian WORD PID`: ends what `lsst-trf` leaves behind when it is killed.

The kernel ends a simulator with us (see `process`), but not what that has started, and after SIGKILL there is nobody
left to do it: PhoSim's driver would go on and write for hours. So this process waits at the end of a pipe. When the
pipe is closed, because `lsst-trf` (PID) is over in whatever way, it kills every process that carries the job's word in
its environment, and whoever it has seen among the descendants of `lsst-trf` before: a daemon may have thrown its
environment away. Then it ends itself. It does nothing else, and never outlives the job by more than that.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress

from transformation.family import COOKIE
from transformation.proc_table import Process, Table, read_process, read_table, variable_of

_PATIENCE_S = 5.0
_QUIET_S = 1.0
"""Nobody was found for so long: a process that was just being started has its environment by then."""
_LOOK_S = 0.02
_REST_S = 10.0
"""Between two looks at who descends from `lsst-trf`."""


def main(word: str, parent: int) -> None:
    """Wait, then kill."""
    seen = _watch(parent)
    end = time.monotonic() + _PATIENCE_S
    quiet_from = time.monotonic()
    while (now := time.monotonic()) < end and now < quiet_from + _QUIET_S:
        for pid in _left(word, seen):
            quiet_from = now
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)


def _watch(parent: int) -> set[tuple[int, int]]:
    """Wait for the end of the pipe; who descended from the process while it lived, by pid and start."""
    seen: set[tuple[int, int]] = set()
    origin = read_process(parent)
    while True:
        if select.select([sys.stdin], [], [], _REST_S)[0] and not os.read(sys.stdin.fileno(), 4096):
            return seen
        table = read_table()
        if origin is not None and parent in table and table[parent].started == origin.started:
            seen = {(one.pid, one.started) for one in _descendants(parent, table)}


def _descendants(ancestor: int, table: Table) -> list[Process]:
    """Without this process."""
    children: dict[int, list[Process]] = {}
    for one in table.values():
        children.setdefault(one.parent, []).append(one)
    found: list[Process] = []
    todo = [ancestor]
    while todo:
        below = [one for one in children.get(todo.pop(), []) if one.pid != os.getpid()]
        found += below
        todo += [one.pid for one in below]
    return found


def _left(word: str, seen: set[tuple[int, int]]) -> list[int]:
    own = os.getpid()
    return [
        one.pid
        for one in read_table().values()
        if one.pid != own
        and not one.is_over
        and ((one.pid, one.started) in seen or variable_of(one.pid, COOKIE).startswith(f"{word}-"))
    ]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
