"""Lines for a person on stdout and stderr: files on a disk that may be full, or pipes that nobody reads any more.

A job goes on, and ends with its own code, whether or not it can be heard: what cannot be written is dropped, also from
Python's buffer, which would otherwise end the process with code 120, or 1, in the last moment.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


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
