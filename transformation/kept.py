"""Judged images that could not be stored, kept in the work folder: a run that uses it again sends them.

WORKDIR/kept/<unit>/<file>        as judged
WORKDIR/kept/<unit>/kept.json     what they are, written last: without it nothing counts
"""

from __future__ import annotations

import os
import shutil
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec

from transformation.journal import open_plain
from transformation.model import documents
from transformation.model.manifest import LIMIT_BYTES, Adler32, Count, FileName, Measured, Sha256, SizeBytes, Word
from transformation.model.work import MadeFile, Role, Unit
from transformation.resources import free_bytes
from transformation.workdir import write_whole

FOLDER = "kept"
_RECORD = "kept.json"
_BLOCK_BYTES = 1 << 20
_ALWAYS_FREE_BYTES = 2_000_000_000
"""Nothing is kept on a disk with less than this left: the PanDA pilot ends a job below 1 GB."""


class _KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    name: FileName
    role: Role
    size_bytes: SizeBytes
    adler32: Adler32
    amplifier: str | None = None


class _KeptRecord(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: int = 1
    unit: Word
    digest: Sha256
    attempt: Count
    notes: tuple[str, ...] = ()
    measured: Measured = Measured()
    files: tuple[_KeptFile, ...]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's images, as good as when they were judged."""

    files: tuple[MadeFile, ...]
    attempt: int
    notes: tuple[str, ...]
    measured: Measured


def keep(workdir: Path, unit: Unit, kept: Kept, *, digest: str) -> Path | None:
    """Move the images to where they outlive the attempt; their folder, None if the disk does not allow it."""
    folder = workdir / FOLDER / unit.id
    try:
        if free_bytes(workdir) < _ALWAYS_FREE_BYTES:
            return None
        if all(file.path.parent == folder for file in kept.files):
            return folder  # they were kept before
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in kept.files:
            shutil.move(file.path, folder / file.name)
        write_whole(folder / _RECORD, msgspec.json.encode(_record(unit, kept, digest)))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return folder


def _record(unit: Unit, kept: Kept, digest: str) -> _KeptRecord:
    files = tuple(
        _KeptFile(
            name=file.name,
            role=file.role,
            size_bytes=file.size_bytes,
            adler32=file.adler32,
            amplifier=file.amplifier,
        )
        for file in kept.files
    )
    return _KeptRecord(
        unit=unit.id, digest=digest, attempt=kept.attempt, notes=kept.notes, measured=kept.measured, files=files
    )


def find_kept(workdir: Path, unit: Unit, *, digest: str) -> Kept | None:
    """The images of that request of the unit, every byte of which is as it was judged; None if there are none."""
    folder = workdir / FOLDER / unit.id
    try:
        with os.fdopen(open_plain(folder / _RECORD, os.O_RDONLY), "rb") as file:
            record = documents.decode(file.read(LIMIT_BYTES), _KeptRecord)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    expected = {file.name for file in unit.files}
    if (record.unit, record.digest) != (unit.id, digest) or {file.name for file in record.files} != expected:
        return None
    files = tuple(
        MadeFile(
            name=file.name,
            path=folder / file.name,
            role=file.role,
            size_bytes=file.size_bytes,
            adler32=file.adler32,
            amplifier=file.amplifier,
        )
        for file in record.files
    )
    if not all(_is_as_judged(file) for file in files):
        return None
    return Kept(files=files, attempt=record.attempt, notes=record.notes, measured=record.measured)


def forget_kept(workdir: Path, unit: Unit) -> None:
    """The unit is committed: its images here are not needed any more."""
    shutil.rmtree(workdir / FOLDER / unit.id, ignore_errors=True)
    with suppress(OSError):  # not empty yet, or not there
        (workdir / FOLDER).rmdir()


def _is_as_judged(file: MadeFile) -> bool:
    size_bytes, adler32 = 0, 1
    try:
        with os.fdopen(open_plain(file.path, os.O_RDONLY), "rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                size_bytes += len(block)
                adler32 = zlib.adler32(block, adler32)
    except OSError:
        return False
    return (size_bytes, f"{adler32:08x}") == (file.size_bytes, file.adler32)
