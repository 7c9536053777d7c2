"""A source that holds its files in memory, counts what it is asked, and fails when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from transformation.input_cache import InputCache
from transformation.inputs import Inputs
from transformation.instance_catalog import SizeLimits
from transformation.locations import redacted
from transformation.model.failures import Failure
from transformation.ports import Expected, Head, Landing, SourceError
from transformation.sources.checks import check_file, check_size


class MemorySource:
    """Files by location. What `failures` holds for a location is raised, once each, before it is served."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = files or {}
        self.failures: dict[str, list[SourceError]] = {}
        self.fetched: list[str] = []
        self.heads: list[str] = []
        self.closed = 0
        self.before: Callable[[str], None] = lambda location: None
        self._lock = threading.Lock()

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        self.heads.append(location)
        content = self._content(location)
        return Head(size_bytes=len(content), ranges=True, start=content[:n_bytes], adler32=None)

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        with self._lock:
            self.fetched.append(location)
        self.before(location)
        content = self._content(location)
        check_size(location, len(content), expected)
        landing.partial.write_bytes(content)
        check_file(location, landing.partial, expected)
        landing.partial.replace(landing.path)

    def close(self) -> None:
        self.closed += 1

    def _content(self, location: str) -> bytes:
        with self._lock:
            if planned := self.failures.get(location):
                raise planned.pop(0)
        if location not in self.files:
            raise SourceError(Failure.CATALOG_MISSING, f"{redacted(location)} does not exist")
        return self.files[location]


def inputs_of(
    folder: Path, *, base: str, source: MemorySource | None = None, sizes: SizeLimits | None = None,
    cache: InputCache | None = None, note: Callable[..., None] = lambda event, **facts: None,
) -> Inputs:  # fmt: skip
    """The files of a request; without a source, those of this machine only."""

    def open_source() -> MemorySource:
        assert source is not None, "nothing had to be fetched"
        return source

    return Inputs(
        base=base, folder=folder, open_source=open_source, sizes=sizes or SizeLimits(), cache=cache, note=note
    )
