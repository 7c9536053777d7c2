"""One file: from the first of its places that gives it whole and right.

It is written under a hidden name and renamed when its size and adler32 are those of the manifest. So a file that has
its name is right, whenever the fetch was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from submitter.fetching.doors import Doors
from submitter.listing import RemoteFile
from transformation.locations import redacted
from transformation.model.failures import Failure, JobError
from transformation.ports import Measured, StorageError
from transformation.sources.checks import adler32_of

PART = ".iod-part"
"""In the name of every file that is not whole yet, those of storages included."""
_OURS_TO_END = frozenset({Failure.DISK_FULL, Failure.WORKDIR_UNUSABLE})
"""Trouble on this side: no other place of the file helps."""
MoreUrls = Callable[[RemoteFile], Sequence[str]]
"""Further places of a file; asked only when the known ones gave nothing."""


class LocalTrouble(Exception):
    """The file cannot be written here, and neither can the others."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file."""

    file: RemoteFile
    path: Path
    state: Literal["fetched", "kept", "failed"]
    """`kept` was there already, and right."""
    problem: str = ""
    url: str = ""
    """Where it came from."""


def fetch_file(file: RemoteFile, path: Path, doors: Doors, more_urls: MoreUrls) -> Fetched:
    """Bring a file to its path, in a folder that is there. Raises `LocalTrouble`."""
    if is_right(path, file):
        return Fetched(file=file, path=path, state="kept")
    part = path.with_name(f".{path.name}{PART}")
    problems: list[str] = []
    for url in _places(file, more_urls):
        problem = _try(file, part, url, doors)
        if problem is None:
            try:
                part.replace(path)
            except OSError as error:
                raise LocalTrouble(Failure.WORKDIR_UNUSABLE, f"{path}: {error.strerror}") from None
            return Fetched(file=file, path=path, state="fetched", url=redacted(url))
        problems.append(problem)
    problem = "; ".join(dict.fromkeys(problems)) or "nobody knows where it is"
    return Fetched(file=file, path=path, state="failed", problem=problem)


def is_right(path: Path, file: RemoteFile) -> bool:
    """Whether that very file stands there already. Raises `LocalTrouble` if what stands there cannot be read."""
    try:
        return path.stat().st_size == file.size_bytes and adler32_of(path) == file.adler32
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LocalTrouble(Failure.WORKDIR_UNUSABLE, f"{path}: {error.strerror}") from None


def _places(file: RemoteFile, more_urls: MoreUrls) -> Iterator[str]:
    yield from file.urls
    yield from (url for url in more_urls(file) if url not in file.urls)


def _try(file: RemoteFile, part: Path, url: str, doors: Doors) -> str | None:
    """Fetch from one place; why it is not what it should be, or None. Raises `LocalTrouble`."""
    try:
        part.unlink(missing_ok=True)
        arrived = doors.get(url, part, Measured(file.size_bytes, file.adler32))
        return _difference(file, part, url, arrived or Measured(part.stat().st_size, adler32_of(part)))
    except StorageError as error:
        if error.failure in _OURS_TO_END:
            raise LocalTrouble(error.failure, error.detail) from None
        part.unlink(missing_ok=True)
        return error.detail
    except JobError as error:
        return error.failed.detail
    except OSError as error:
        raise LocalTrouble(Failure.WORKDIR_UNUSABLE, f"{part}: {error.strerror}") from None


def _difference(file: RemoteFile, part: Path, url: str, arrived: Measured) -> str | None:
    size_bytes, adler32 = arrived
    if (size_bytes, adler32) == (file.size_bytes, file.adler32):
        return None
    part.unlink()
    wanted = f"{file.size_bytes:,} bytes with adler32 {file.adler32}"
    return f"{redacted(url)} holds {size_bytes:,} bytes with adler32 {adler32}, its manifest says {wanted}"
