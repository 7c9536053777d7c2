"""Repeated object ids, found exactly and in bounded memory: sorted runs in a temporary file, merged at the end."""

from __future__ import annotations

import operator
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

RUN_IDS = 1 << 15
_LEAST_CHUNK_IDS = 16
_ID_BYTES = 8


_DECODER = msgspec.json.Decoder(list[float])


class IdSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is odd among the ids of a visit. Examples are None where the count is 0."""

    repeats: int
    """Objects whose id an earlier object has."""
    repeat_example: float | None
    fractions: int
    """Objects whose id is not a whole number."""
    fraction_example: float | None


class IdSpool:
    """Takes ids as text; keeps them as PhoSim does, as doubles (so above 2^53 neighbours are one id).

    Little more than `run_ids` of them are in memory; the others lie in a temporary file in `folder`, made when needed.
    """

    def __init__(self, folder: Path, run_ids: int = RUN_IDS) -> None:
        self._folder = folder
        self._run_ids = run_ids
        self._ids: list[float] = []
        self._file: BinaryIO | None = None
        self._runs: list[tuple[int, int]] = []
        """Where each run starts and ends in the file."""
        self._repeats = 0
        self._repeat_example: float | None = None
        self._fractions = 0
        self._fraction_example: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def extend(self, ids: Sequence[bytes]) -> None:
        """Add ids that are known to be numbers."""
        new = _as_floats(ids)
        if fractions := len(new) - sum(map(float.is_integer, new)):
            if self._fraction_example is None:
                self._fraction_example = next(number for number in new if not number.is_integer())
            self._fractions += fractions
        self._ids += new
        if len(self._ids) >= self._run_ids:
            self._spill()

    def _spill(self) -> None:
        """Write what is in memory as one run, in order and each id once."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, prefix="object-ids-")  # noqa: SIM115 closed by exit
        start = self._file.tell()
        self._file.write(array("d", self._distinct(self._ids)))
        self._runs.append((start, self._file.tell()))
        self._ids.clear()

    def _distinct(self, ids: list[float]) -> list[float]:
        """The ids in order and each once, after counting those that this loses."""
        ordered = sorted(ids)
        repeats = sum(map(operator.eq, ordered, islice(ordered, 1, None)))
        if not repeats:
            return ordered
        if self._repeat_example is None:
            self._repeat_example = next(one for one, other in pairwise(ordered) if one == other)
        self._repeats += repeats
        return list(dict.fromkeys(ordered))

    def summary(self) -> IdSummary:
        """Count what is odd among all ids. To be called once, after the last id."""
        if self._runs:
            self._spill()
            for ids in self._in_order():
                self._distinct(ids)
        else:
            self._distinct(self._ids)
        return IdSummary(
            repeats=self._repeats,
            repeat_example=self._repeat_example,
            fractions=self._fractions,
            fraction_example=self._fraction_example,
        )

    def _in_order(self) -> Iterator[list[float]]:
        """The ids of all runs in portions: no id of a portion is as small as one of the portion before.

        What lies below the end of every run's chunk is complete: the runs go on above it.
        """
        # All chunks together are no more than one run.
        chunk_bytes = max(_LEAST_CHUNK_IDS, self._run_ids // len(self._runs)) * _ID_BYTES
        readers = [self._chunks(start, end, chunk_bytes) for start, end in self._runs]
        heads = [next(reader, array("d")) for reader in readers]
        while any(heads):
            limit = min(head[-1] for head in heads if head)
            cuts = [bisect_right(head, limit) for head in heads]
            yield list(chain.from_iterable(head[:cut] for head, cut in zip(heads, cuts, strict=True)))
            for i, (head, cut) in enumerate(zip(heads, cuts, strict=True)):
                heads[i] = head[cut:] or next(readers[i], head[:0])

    def _chunks(self, start: int, end: int, chunk_bytes: int) -> Iterator[array[float]]:
        """The ids of one run, a few at a time: all runs are read side by side."""
        assert self._file is not None
        for at in range(start, end, chunk_bytes):
            self._file.seek(at)
            yield array("d", self._file.read(min(chunk_bytes, end - at)))


def _as_floats(ids: Sequence[bytes]) -> list[float]:
    """Numbers from their text. A JSON decoder is three times as fast as `float`, but knows no `+5`, `.5` or `007`."""
    try:
        return _DECODER.decode(b"[" + b",".join(ids) + b"]")
    except msgspec.DecodeError:
        return list(map(float, ids))
