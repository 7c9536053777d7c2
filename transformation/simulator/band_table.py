"""The table that raytrace prints while it works: a line for each class of light that has come to its end.

    Type                Sources         Photons  (Sat,Rem,Rej,Acc)%  Time (s)       Photons/s
    Astrophysical m=19        1       1,275,965  (  0, 92,  1,  7)       2.27         558,575

PhoSim 3.4 has 73 classes and later ones 242, but prints only those that shine: dome, sky and moon, then the objects
from faint to bright. So classes are known by name and columns by their headings, never by number. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_HEADING = re.compile(r"Time \(s\)|\([^)]*\)%?|\S+")
_VALUE = re.compile(r"\([^)]*\)%?|\S+")
_MAGNITUDE = re.compile(r"\bm\s*=\s*(-?\d+(?:\.\d+)?)")
_LONGEST_LINE_BYTES = 4096


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """A table begins."""

    columns: tuple[str, ...]
    """All but the first, which is the name of the class."""


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """One class of light is done."""

    name: str
    n_sources: int
    photons: int
    seconds: float

    @property
    def is_of_objects(self) -> bool:
        """False for the sky, the moon and the dome: objects have their magnitude in the name."""
        return self.magnitude is not None

    @property
    def magnitude(self) -> float | None:
        """Of the objects of this class, more or less; None for the sky, the moon and the dome."""
        found = _MAGNITUDE.search(self.name)
        return float(found[1]) if found else None


class BandTable:
    """Reads raytrace's output piece by piece."""

    def __init__(self) -> None:
        self._rest = b""
        self._columns: tuple[str, ...] = ()

    def feed(self, text: bytes) -> Iterator[Heading | Band]:
        """What the lines say that this piece completes."""
        *lines, rest = (self._rest + text).split(b"\n")
        self._rest = rest[-_LONGEST_LINE_BYTES:]
        for line in lines:
            item = self._read(line.decode("ascii", errors="replace"))
            if item is not None:
                yield item

    def _read(self, line: str) -> Heading | Band | None:
        words = _HEADING.findall(line)
        if words[:1] == ["Type"] and {"Sources", "Photons"} <= set(words):
            self._columns = tuple(words[1:])
            return Heading(columns=self._columns)
        return self._band(line) if self._columns else None

    def _band(self, line: str) -> Band | None:
        values = _VALUE.findall(line)
        n_words = len(values) - len(self._columns)
        if n_words < 1:
            return None
        by_column = dict(zip(self._columns, values[n_words:], strict=True))
        try:
            return Band(
                name=" ".join(values[:n_words]),
                n_sources=_whole(by_column["Sources"]),
                photons=_whole(by_column["Photons"]),
                seconds=float(by_column.get("Time (s)", "0").replace(",", "")),
            )
        except ValueError:  # a line of something else
            return None


def _whole(text: str) -> int:
    return int(text.replace(",", ""))
