"""`python -m transformation.guardian WORD`: ends what `lsst-trf` leaves behind when it is killed.

The kernel ends a simulator with us (see `process`), but not what that has started, and after SIGKILL there is nobody
left to do it: PhoSim's driver would go on and write for hours. So this process waits at the end of a pipe. When the
pipe is closed, because `lsst-trf` is over in whatever way, it kills every process that carries the job's word in its
environment, and ends itself. It does nothing else, and never outlives the job by more than that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from transformation.family import COOKIE
from transformation.proc_table import read_table, variable_of

_PATIENCE_S = 5.0
_QUIET_S = 1.0
"""Nobody was found for so long: a process that was just being started has its environment by then."""
_LOOK_S = 0.02


def main(word: str) -> None:
    """Wait, then kill."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    end = time.monotonic() + _PATIENCE_S
    quiet_from = time.monotonic()
    while (now := time.monotonic()) < end and now < quiet_from + _QUIET_S:
        for pid in _carriers(word):
            quiet_from = now
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)


def _carriers(word: str) -> list[int]:
    own = os.getpid()
    return [
        process.pid
        for process in read_table().values()
        if process.pid != own and not process.is_over and variable_of(process.pid, COOKIE).startswith(f"{word}-")
    ]


if __name__ == "__main__":
    main(sys.argv[1])
