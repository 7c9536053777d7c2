"""How far a fetch is, how fast it goes and how long it will take. Pure but for the clock that it is given."""

from __future__ import annotations

from collections import deque

import msgspec

_WINDOW_S = 20.0
"""The rate is that of so long a time: long enough to be steady, short enough to be true."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of all files."""

    n_done: int
    """Fetched, kept and failed ones."""
    n_files: int
    done_bytes: int
    total_bytes: int
    bytes_per_s: float
    """Of what is really fetched."""
    eta_s: float | None
    """None while nothing was fetched that could be measured."""


class Meter:
    """Is told of each file that is over."""

    def __init__(self, n_files: int, total_bytes: int, now_s: float) -> None:
        self._n_files, self._total_bytes = n_files, total_bytes
        self._n_done = self._done_bytes = self._fetched_bytes = 0
        self._points: deque[tuple[float, int]] = deque([(now_s, 0)])

    def count(self, size_bytes: int, now_s: float, *, fetched: bool) -> Progress:
        """One more file of that size; `fetched` says whether its bytes were moved."""
        self._n_done += 1
        self._done_bytes += size_bytes
        self._fetched_bytes += size_bytes * fetched
        self._points.append((now_s, self._fetched_bytes))
        while len(self._points) > 2 and now_s - self._points[1][0] > _WINDOW_S:
            self._points.popleft()
        began_s, began_bytes = self._points[0]
        rate = (self._fetched_bytes - began_bytes) / (now_s - began_s) if now_s > began_s else 0.0
        return Progress(
            n_done=self._n_done,
            n_files=self._n_files,
            done_bytes=self._done_bytes,
            total_bytes=self._total_bytes,
            bytes_per_s=rate,
            eta_s=(self._total_bytes - self._done_bytes) / rate if rate > 0.0 else None,
        )
