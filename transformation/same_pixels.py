"""Whether two files hold the same image: pixels bit by bit, headers but for what differs between any two runs.

Two runs of the same request, release and seed give the same pixels (measured with PhoSim 3.4); DATE is the time of day,
and several cards hold absolute paths of the worker. Standard library only; images are read as streams.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

_BLOCK = 2880
_CARD = 80
_CHUNK = 1 << 20
_LONGEST_HEADER = 400 * _BLOCK
_VARIABLE = frozenset({"DATE", "CONTINUE", "COMMENT", "HISTORY", ""})


def first_difference(made: Path, stored: Path) -> str | None:
    """What differs, in a few words; None if the two are equal in all that counts."""
    if not made.name.endswith(".gz"):
        return None if made.read_bytes() == stored.read_bytes() else "the texts differ"
    try:
        with gzip.open(made) as one, gzip.open(stored) as other:
            return _difference(cast("BinaryIO", one), cast("BinaryIO", other))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        return f"cannot be compared: {error}"


def _difference(one: BinaryIO, other: BinaryIO) -> str | None:
    cards, other_cards = _cards(one), _cards(other)
    for key in sorted(cards.keys() | other_cards.keys()):
        values = cards.get(key, "nothing"), other_cards.get(key, "nothing")
        if values[0] != values[1] and not any("/" in value for value in values):
            return f"{key} is {values[0]}, stored is {values[1]}"
    place = 0
    while True:
        chunk, other_chunk = one.read(_CHUNK), other.read(_CHUNK)
        if chunk != other_chunk:
            return f"pixels differ, first within {_CHUNK} bytes after byte {place:,} of the data"
        if not chunk:
            return None
        place += len(chunk)


def _cards(stream: BinaryIO) -> Mapping[str, str]:
    """Header cards by key, without comments; the stream then stands at the data."""
    cards: dict[str, str] = {}
    for _ in range(0, _LONGEST_HEADER, _BLOCK):
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            break
        for at in range(0, _BLOCK, _CARD):
            card = block[at : at + _CARD].decode("ascii", errors="replace")
            key = card[:8].strip()
            if key == "END":
                return cards
            if key not in _VARIABLE:
                value = card[9:].strip()
                # A comment follows a slash; within quotes a slash is part of a path.
                cards[key] = value if value.startswith("'") else value.partition("/")[0].strip()
    raise ValueError("it ends within the header")
