"""Memory and I/O of the whole job, summed up as prmon does: the format in which PanDA's pilots read it.

prmon (https://github.com/HSF/prmon) would be one more program to install and start; what the pilot takes from its
summary (pilot 3, `user/rubin/utilities.py`) is a few sums over our own processes. Memory in kB, I/O in bytes, averages
of I/O in bytes a second, as there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from transformation.proc_table import read_table

_LOOK_S = 30.0
"""prmon's own interval."""
_MEMORY = {"vmem": "VmSize", "rss": "VmRSS", "swap": "VmSwap"}
_IO = ("rchar", "wchar", "read_bytes", "write_bytes")
_KEYS = ("nprocs", "pss", *_MEMORY, *_IO)


class MemoryMonitor:
    """Looks at this process and all that descend from it, now and then."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._next_look = self._begun
        self._n_looks = 0
        self._sums = dict.fromkeys(_KEYS, 0)
        self._most = dict.fromkeys(_KEYS, 0)

    def tick(self) -> None:
        """Look, if it is time to."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_S
            self.look()

    def look(self) -> None:
        """Add one measurement."""
        now = dict.fromkeys(_KEYS, 0)
        for pid in _family():
            for key, value in _measure(pid).items():
                now[key] += value
        self._n_looks += 1
        for key, value in now.items():
            self._sums[key] += value
            self._most[key] = max(self._most[key], value)

    def summary(self, largest_process_bytes: int) -> dict[str, dict[str, float]]:
        """prmon's `Max` and `Avg`; the peak of the largest process may have passed between two looks."""
        wall_s = max(1.0, time.monotonic() - self._begun)
        most: dict[str, float] = {**self._most, "wtime": round(wall_s)}
        most["rss"] = max(self._most["rss"], largest_process_bytes // 1024)
        average = {key: round(total / max(1, self._n_looks)) for key, total in self._sums.items() if key not in _IO}
        rates = {key: round(self._most[key] / wall_s) for key in _IO}
        return {"Max": most, "Avg": {**average, **rates}}


def _family() -> Iterator[int]:
    """This process and its descendants."""
    children: dict[int, list[int]] = {}
    for process in read_table().values():
        children.setdefault(process.parent, []).append(process.pid)
    todo = [os.getpid()]
    while todo:
        pid = todo.pop()
        yield pid
        todo += children.get(pid, ())


def _measure(pid: int) -> dict[str, int]:
    """One process; what cannot be seen, or is gone, counts as nothing. I/O includes that of waited-for children."""
    status = _fields(f"/proc/{pid}/status")
    found = {key: status.get(field, 0) for key, field in _MEMORY.items()}
    # Not every process lets us see its share of shared pages; then all of them count.
    found["pss"] = _fields(f"/proc/{pid}/smaps_rollup").get("Pss", found["rss"])
    io = _fields(f"/proc/{pid}/io")
    return {**found, **{key: io.get(key, 0) for key in _IO}, "nprocs": 1}


def _fields(path: str) -> dict[str, int]:
    """The whole numbers in lines like `VmRSS:    1234 kB`."""
    fields = {}
    with suppress(OSError), open(path, "rb") as lines:  # noqa: PTH123
        for line in lines:
            name, _, value = line.partition(b":")
            number = value.split()[:1]
            if number and number[0].isdigit():
                fields[name.decode()] = int(number[0])
    return fields
