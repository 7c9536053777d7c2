"""Inputs on a mounted file system: bare absolute paths and `file:` URLs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformation.locations import LocationInvalid, local_path
from transformation.model.failures import Failure
from transformation.ports import Expected, Head, Landing, SourceError
from transformation.sources.checks import check_file, check_size, disk_error


class FileSource:
    """Files of this machine; they are copied."""

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        """See `Source.open_head`."""
        with _reading(location) as path, path.open("rb") as file:
            return Head(size_bytes=path.stat().st_size, ranges=True, start=file.read(n_bytes))

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        """See `Source.fetch`."""
        with _reading(location) as path, path.open("rb") as source:
            check_size(location, path.stat().st_size, expected)
            try:
                with landing.partial.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            except OSError as error:
                raise disk_error(location, error) from error
        check_file(location, landing.partial, expected)
        landing.partial.replace(landing.path)

    def close(self) -> None:
        """See `Source.close`."""


@contextmanager
def _reading(location: str) -> Iterator[Path]:
    """The path of a location that is a file. Raises `SourceError`."""
    try:
        path = local_path(location, Path("/"))
        if not path.is_file():  # a named pipe would block for ever
            raise SourceError(Failure.CATALOG_MISSING, f"{location} does not exist, or is not a file")
        yield path
    except LocationInvalid as error:
        raise SourceError(Failure.STORAGE_UNKNOWN, str(error)) from error
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | PermissionError)
        failure = Failure.CATALOG_MISSING if missing else Failure.CATALOG_UNREACHABLE
        raise SourceError(failure, f"{location}: {error.strerror}") from error
