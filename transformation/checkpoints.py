"""Checkpoints of a long unit at the destination: what one segment of its raytrace leaves for the next.

    .units/.<unit>.ckpt-<segment>.<token>.dt      transmission tables and random numbers
    .units/.<unit>.ckpt-<segment>.<token>.fp      the focal plane so far
    .units/.<unit>.ckpt-<segment>.<token>.json    the record that makes them count: sizes, checksums, request

The names are hidden and carry the unit's, so whoever commits the unit sweeps them away with its other leftovers. A
record is written after its files; files without one are not looked at. A checkpoint is a convenience: whatever is wrong
with it, the unit begins at an earlier segment, and nothing fails for it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from transformation.layout import JobPlace, checkpoint_name
from transformation.model import documents
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import LIMIT_BYTES, Adler32, FileName, Sha256, SizeBytes, Word
from transformation.model.work import Unit
from transformation.ports import Storage, StorageError
from transformation.standing import hidden_of

KINDS = ("dt", "fp")
_CHUNK_BYTES = 1 << 20


class CheckpointFile(msgspec.Struct, frozen=True, kw_only=True):
    """One of the pair."""

    kind: Word
    name: FileName
    """What raytrace calls it."""
    size_bytes: SizeBytes
    adler32: Adler32


class CheckpointRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that is whole."""

    schema_version: int = 1
    unit: Word
    segment: int
    last: int
    """Number of the last segment."""
    digest: Sha256
    """Of the request."""
    token: Word
    files: tuple[CheckpointFile, CheckpointFile]


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Those of one unit."""

    storage: Storage
    place: JobPlace
    unit: Unit
    digest: str
    last: int
    """Number of the last segment; 0 = the unit is made in one piece."""
    token: str
    """Unique to this attempt."""
    tell: Callable[[str, int, str], None]
    """Told what happened ("checkpoint_kept", ...), to which segment, and what was wrong, if anything."""

    def fetch(self, folder: Path) -> int:
        """Put the newest whole pair into the folder; the segment to begin with."""
        if self.last == 0:
            return 0
        try:
            records = self._records()
        except StorageError as error:
            self.tell("checkpoint_unread", 0, error.detail)
            return 0
        for record in sorted(records, key=lambda one: one.segment, reverse=True):
            problem = self._get(record, folder)
            if problem is None:
                self.tell("checkpoint_used", record.segment, "")
                return record.segment + 1
            self.tell("checkpoint_unread", record.segment, problem)
        return 0

    def keep(self, folder: Path, segment: int) -> Failed | None:
        """Upload the pair that a segment left, and forget those before; the failure if there is no such pair."""
        pair = [_find(folder, kind, segment) for kind in KINDS]
        if any(path is None for path in pair):
            detail = f"{self.unit.id}: segment {segment} of {self.last} left no checkpoint"
            return Failed(failure=Failure.OUTPUT_MISSING, detail=detail)
        paths = [path for path in pair if path is not None]
        for path in paths:
            if not _is_whole(path):
                detail = f"{self.unit.id}: checkpoint {path.name} does not gunzip to its end"
                return Failed(failure=Failure.OUTPUT_DAMAGED, detail=detail)
        try:
            self._put(segment, paths)
        except StorageError as error:
            self.tell("checkpoint_not_kept", segment, error.detail)
        else:
            self.tell("checkpoint_kept", segment, "")
        return None

    def _records(self) -> list[CheckpointRecord]:
        names = [entry.name for entry in self.storage.list(self.place.units_folder(self.unit.visit))]
        found = []
        for name in hidden_of(self.unit.id, names):
            if ".ckpt-" in name and name.endswith(".json"):
                with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    content = self.storage.read(self._url(name), limit_bytes=LIMIT_BYTES)
                    found.append(documents.decode(content, CheckpointRecord))
        ours = (self.unit.id, self.digest, self.last)
        return [one for one in found if (one.unit, one.digest, one.last) == ours and 0 <= one.segment < self.last]

    def _get(self, record: CheckpointRecord, folder: Path) -> str | None:
        """Fetch the pair; what is wrong with it, nothing of which is then left in the folder."""
        for file in record.files:
            path = folder / file.name
            try:
                self.storage.get(
                    self._url(checkpoint_name(self.unit.id, record.segment, record.token, file.kind)), path
                )
                if _sum(path) == (file.size_bytes, file.adler32):
                    continue
                problem = f"{file.name} has other bytes than were sent"
            except StorageError as error:
                problem = error.detail
            for each in record.files:
                (folder / each.name).unlink(missing_ok=True)
            return problem
        return None

    def _put(self, segment: int, paths: Sequence[Path]) -> None:
        files = []
        for kind, path in zip(KINDS, paths, strict=True):
            url = self._url(checkpoint_name(self.unit.id, segment, self.token, kind))
            size_bytes, adler32 = _sum(path)
            self.storage.put(path, url)
            files.append(CheckpointFile(kind=kind, name=path.name, size_bytes=size_bytes, adler32=adler32))
        record = CheckpointRecord(
            unit=self.unit.id, segment=segment, last=self.last, digest=self.digest, token=self.token,
            files=(files[0], files[1]),
        )  # fmt: skip
        name = checkpoint_name(self.unit.id, segment, self.token, "json")
        self.storage.create(self._url(name), msgspec.json.encode(record))
        self._forget_before(segment)

    def _forget_before(self, segment: int) -> None:
        names = [entry.name for entry in self.storage.list(self.place.units_folder(self.unit.visit))]
        for name in hidden_of(self.unit.id, names):
            found = re.search(r"\.ckpt-(\d+)\.", name)
            if found and int(found[1]) < segment:
                self.storage.delete(self._url(name))

    def _url(self, name: str) -> str:
        return self.place.receipt_url(self.unit.visit, name)


def _find(folder: Path, kind: str, segment: int) -> Path | None:
    """PhoSim 3.4: `<e-image name>_ckptdt_<segment>.fits.gz`, and `fp` likewise."""
    return next(folder.glob(f"*_ckpt{kind}_{segment}.fits.gz"), None)


def _sum(path: Path) -> tuple[int, str]:
    size_bytes, adler32 = 0, 1
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
            adler32 = zlib.adler32(chunk, adler32)
    return size_bytes, f"{adler32:08x}"


def _is_whole(path: Path) -> bool:
    """A full disk cuts files short without a word."""
    import gzip

    try:
        with gzip.open(path) as stream:
            while stream.read(_CHUNK_BYTES):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True
