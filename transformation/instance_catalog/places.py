"""Where in the user's files an object stands, from its number among the objects of the visit."""

from __future__ import annotations

from array import array
from bisect import bisect_right

MOST_BREAKS = 100_000
"""So many places are remembered at which other lines stand between objects: 1.6 MB. Headers and comments make a few."""


class Places:
    """Remembers each object whose line does not simply follow that of the object before."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._first_of_file = array("q")
        self._objects = array("q")
        self._lines = array("q")

    def note(self, number: int, file: str, line: int) -> None:
        """Objects from this number (from 1) on stand in that file, from that line on."""
        if not self._files or self._files[-1] != file:
            self._files.append(file)
            self._first_of_file.append(number)
        elif line - self._lines[-1] == number - self._objects[-1] or len(self._objects) >= MOST_BREAKS:
            return
        self._objects.append(number)
        self._lines.append(line)

    def of(self, number: int) -> str:
        """`catalog.txt:17`; with more than `MOST_BREAKS` comments among the objects, a line a little before."""
        at = bisect_right(self._objects, number) - 1
        file = self._files[bisect_right(self._first_of_file, number) - 1]
        return f"{file}:{self._lines[at] + number - self._objects[at]}"
