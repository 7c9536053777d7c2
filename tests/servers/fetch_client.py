"""A source for web servers in its coat, as tests use it: what it left, and what it noted."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from transformation.patience import Patience
from transformation.ports import Expected, Landing, Retry, SourceError
from transformation.sources.http import HttpSource
from transformation.sources.routing import RetryingSource
from transformation.storage.http_client import Limits

CONTENT = b"obshistid 4242\n" + b"object 1 60.5 -38.1 20 ../sky/sed_flat.txt 0 0 0 0 0 0 point none none\n" * 9000
"""Larger than what is read at once."""
ADLER32 = f"{zlib.adler32(CONTENT):08x}"
ANYTHING = Expected(limit_bytes=10_000_000)
PINNED = Expected(size_bytes=len(CONTENT), adler32=ADLER32, limit_bytes=10_000_000)
UNHURRIED = Limits(silence_s=60.0)


class Client:
    """A source in its coat, and what it left and noted."""

    def __init__(self, folder: Path, limits: Limits = UNHURRIED) -> None:
        self.folder = folder
        folder.mkdir()
        self.retries: list[Retry] = []
        self.token: str | None = None
        self.source = RetryingSource(
            HttpSource(limits=limits, token=lambda: self.token),
            patience=Patience(tries=4, first_wait_s=0.001, longest_wait_s=0.001),
            note=self.retries.append,
        )

    def fetch(self, location: str, expected: Expected = ANYTHING) -> bytes:
        landing = Landing(path=self.folder / "sky.txt")
        self.source.fetch(location, landing, expected)
        assert [path.name for path in self.folder.iterdir()] == ["sky.txt"]
        return landing.path.read_bytes()

    def refused(self, location: str, expected: Expected = ANYTHING) -> SourceError:
        with pytest.raises(SourceError) as caught:
            self.fetch(location, expected)
        assert not (self.folder / "sky.txt").exists()
        return caught.value
