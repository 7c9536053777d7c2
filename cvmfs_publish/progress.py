"""Progress of what takes long, on stderr: in place on a terminal, else a line every half minute."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import Iterator, TextIO

from cvmfs_publish.streams import let_go

_TERMINAL_EVERY_S = 0.2
_LOG_EVERY_S = 30.0


class Progress:
    """Counts bytes of a known total, between its start and `end`."""

    def __init__(self, what: str, total_bytes: int, stream: TextIO | None = None) -> None:
        self._what = what
        self._total_bytes = max(total_bytes, 1)
        self._stream = stream or sys.stderr
        self._in_place = self._stream.isatty()
        self._every_s = _TERMINAL_EVERY_S if self._in_place else _LOG_EVERY_S
        self._done_bytes = 0
        self._begun_s = self._said_s = time.monotonic()

    def add(self, size_bytes: int) -> None:
        """So much more is done."""
        self._done_bytes += size_bytes
        now_s = time.monotonic()
        if now_s - self._said_s >= self._every_s:
            self._said_s = now_s
            self._say(now_s - self._begun_s)

    def end(self) -> None:
        """Leave a clean line."""
        if self._in_place:
            self._write("\r\x1b[K")

    def _say(self, elapsed_s: float) -> None:
        share = min(self._done_bytes / self._total_bytes, 1.0)
        rate = self._done_bytes / max(elapsed_s, 1e-9)
        left_s = (self._total_bytes - self._done_bytes) / max(rate, 1.0)
        text = (
            f"{self._what}: {share:.0%} of {size_text(self._total_bytes)}, "
            f"{size_text(int(rate))}/s, {max(left_s, 0):.0f} s left"
        )
        self._write(f"\r{text}\x1b[K" if self._in_place else f"{text}\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            let_go(self._stream)


def size_text(size_bytes: int) -> str:
    """`1.2 GB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


@contextmanager
def progress_of(what: str, total_bytes: int) -> Iterator[Progress]:
    """Show the progress of a block."""
    progress = Progress(what, total_bytes)
    try:
        yield progress
    finally:
        progress.end()
