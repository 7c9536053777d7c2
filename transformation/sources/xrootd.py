"""Inputs on XRootD servers, through the storage adapter for them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from transformation.locations import redacted, scrubbed
from transformation.model.failures import Failure
from transformation.ports import Expected, Head, Landing, SourceError, Stat, StorageError
from transformation.sources.checks import check_file, check_size

_FAILURES = {
    Failure.OUTPUT_MISSING: Failure.CATALOG_MISSING,
    Failure.STORAGE_DENIED: Failure.CATALOG_MISSING,
    Failure.STORAGE_UNKNOWN: Failure.STORAGE_UNKNOWN,
    Failure.DISK_FULL: Failure.DISK_FULL,
    Failure.WORKDIR_UNUSABLE: Failure.WORKDIR_UNUSABLE,
}
"""What a storage says -> what it means for an input; anything else is trouble that may pass."""


class Readable(Protocol):
    """What is needed of a storage."""

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""

    def start(self, url: str, n_bytes: int) -> bytes:
        """The first bytes of a file."""

    def get(self, url: str, path: Path) -> None:
        """See `Storage.get`."""

    def close(self) -> None:
        """See `Storage.close`."""


class XRootDSource:
    """Files of XRootD servers; `storage` repeats nothing. A copy that broke off begins anew."""

    def __init__(self, storage: Readable) -> None:
        self._storage = storage

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        """See `Source.open_head`."""
        size_bytes = self._size(location)
        try:
            start = self._storage.start(location, n_bytes) if n_bytes else b""
        except StorageError as error:
            raise _as_source_error(location, error) from error
        return Head(size_bytes=size_bytes, ranges=True, start=start)

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        """See `Source.fetch`; the storage asks the server for its checksum."""
        check_size(location, self._size(location), expected)
        landing.partial.unlink(missing_ok=True)
        try:
            self._storage.get(location, landing.partial)
            check_file(location, landing.partial, expected)
            landing.partial.replace(landing.path)
        except StorageError as error:
            raise _as_source_error(location, error) from error
        finally:
            with suppress(FileNotFoundError):
                landing.partial.unlink()

    def close(self) -> None:
        """See `Source.close`."""
        self._storage.close()

    def _size(self, location: str) -> int:
        try:
            found = self._storage.stat(location)
        except StorageError as error:
            raise _as_source_error(location, error) from error
        if found is None:
            raise SourceError(Failure.CATALOG_MISSING, f"{redacted(location)} does not exist")
        return found.size_bytes


def _as_source_error(location: str, error: StorageError) -> SourceError:
    failure = _FAILURES.get(error.failure, Failure.CATALOG_UNREACHABLE)
    return SourceError(failure, scrubbed(error.detail, location), transient=error.transient)
