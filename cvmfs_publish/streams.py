"""What is said on the way, and output that nobody takes any more: a closed pipe, a lost terminal, a full disk."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def narrate(line: str) -> None:
    """Tell the admin what happens; stdout is for results.

    Nothing stops halfway because nobody listens: a transaction that is open must come to its end.
    """
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        let_go(sys.stderr)


def open_what_is_closed() -> None:
    """Give stdout and stderr somewhere to go where the caller has closed them, as `2>&-` does."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until this process ends


def let_go(stream: TextIO) -> None:
    """Let what is in its buffer, and what is still to come, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
