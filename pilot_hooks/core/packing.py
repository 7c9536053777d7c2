"""Keep the pilot from packing a work folder in which the payload, or what follows it, is still at work.

Its threads do not wait for each other: after a payload's failure, or a signal to the pilot itself, one of them may
rename and pack the folder while another still runs the postprocess and reads the reports (seen in pilot 3.7.0.36:
`job_monitor` orders the log while `execute_payloads` goes on). Both ask here first.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Dict

LIMIT_S = 150.0
"""The postprocess may take two minutes."""
_LONGEST_PACKING_S = 60.0
_LOOK_S = 0.1

_at_work: Dict[Path, threading.Event] = {}


def begin(workdir: Path) -> None:
    """A payload is about to start there."""
    _at_work.setdefault(workdir, threading.Event())


def end(workdir: Path) -> None:
    """Everything that belongs to it is done."""
    if workdir in _at_work:
        _at_work[workdir].set()


def wait_for_end(workdir: Path, limit_s: float = LIMIT_S) -> bool:
    """Whether the folder may be packed: at once if no payload was begun there, else when it has come to its end."""
    return workdir not in _at_work or _at_work[workdir].wait(limit_s)


def wait_for_folder(workdir: Path, limit_s: float = _LONGEST_PACKING_S) -> bool:
    """Whether the folder is there: a pilot that packs it all the same gives it back under its name."""
    end_s = time.monotonic() + limit_s
    while not workdir.is_dir():
        if time.monotonic() > end_s:
            return False
        time.sleep(_LOOK_S)
    return True
