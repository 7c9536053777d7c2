"""Lines for a person on stdout and stderr: files on a disk that may be full, or pipes that nobody reads any more.

A job goes on, and ends with its own code, whether or not it can be heard: what cannot be written is dropped, also from
Python's buffer, which would otherwise end the process with code 120, or 1, in the last moment.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


def open_closed_streams() -> None:
    """Let those of stdin, stdout and stderr that were closed when we were started be empty, or go nowhere.

    Python has None in their place; and a file that is opened later would get the number of one, and with it what our
    processes print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            place = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: that of the stream
            os.set_inheritable(place, True)
            setattr(sys, name, open(place, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def tell(line: str, stream: TextIO) -> None:
    """Write one line, now; if that fails the line is lost."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        drain(stream)


def drain(stream: TextIO) -> None:
    """Let what is in its buffer go nowhere; the next line may be luckier."""
    with suppress(OSError, ValueError):  # ValueError: a stream without descriptor has nothing to be drained
        place = stream.fileno()
        kept, nowhere = os.dup(place), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, place)
            stream.flush()
            os.dup2(kept, place)
        finally:
            os.close(nowhere)
            os.close(kept)
