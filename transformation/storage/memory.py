"""Storage in this process: for tests that need a real storage without a disk.

It checks what it is given as a server would (plain URLs, no trailing slash, files only where no folder is), keeps its
own copy of every byte, and does each operation whole or not at all, whichever thread asks.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from transformation.model.failures import Failure
from transformation.ports import Entry, Missing, Stat, StorageError, Survey, TooLarge

SCHEME = "memory:"


class MemoryStorage:
    """Files at `memory:/...` URLs. Safe for threads; `files` is for tests to look at or to damage."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def parallel(self) -> int:
        """See `Storage.parallel`."""
        return 1

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""
        with self._lock:
            content = self.files.get(_checked(url))
        return None if content is None else Stat(size_bytes=len(content))

    def adler32(self, url: str) -> str:
        """See `Storage.adler32`."""
        return f"{zlib.adler32(self._content(url)):08x}"

    def list(self, url: str) -> Sequence[Entry]:
        """See `Storage.list`."""
        return [Entry(name=name, size_bytes=size) for name, size in self._below(url) if "/" not in name]

    def folders(self, url: str) -> Sequence[str]:
        """See `Storage.folders`."""
        return sorted({name.partition("/")[0] for name, _ in self._below(url) if "/" in name})

    def read(self, url: str, *, limit_bytes: int) -> bytes:
        """See `Storage.read`."""
        content = self._content(url)
        if len(content) > limit_bytes:
            raise TooLarge(url, limit_bytes=limit_bytes)
        return content

    def get(self, url: str, path: Path) -> None:
        """See `Storage.get`."""
        path.write_bytes(self._content(url))

    def put(self, path: Path, url: str) -> None:
        """See `Storage.put`."""
        try:
            content = path.read_bytes()
        except OSError as error:
            detail = f"cannot store {path}: {error.strerror}"
            raise StorageError(Failure.OUTPUT_MISSING, detail, transient=False) from error
        with self._lock:
            self.files[self._writable(url)] = content

    def create(self, url: str, content: bytes) -> bool:
        """See `Storage.create`."""
        with self._lock:
            if url in self.files:
                return False
            self.files[self._writable(url)] = content
            return True

    def rename(self, url: str, new_url: str) -> None:
        """See `Storage.rename`."""
        with self._lock:
            if _checked(url) not in self.files:
                raise Missing(url)
            self.files[self._writable(new_url)] = self.files.pop(url)

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        with self._lock:
            self.files.pop(_checked(url), None)

    def survey(self, url: str) -> Survey:
        """See `Storage.survey`."""
        _checked(url)
        return Survey(free_bytes=None, exclusive=True)

    def close(self) -> None:
        """See `Storage.close`: nothing to end."""

    def _content(self, url: str) -> bytes:
        with self._lock:
            content = self.files.get(_checked(url))
        if content is None:
            raise Missing(url)
        return content

    def _below(self, url: str) -> Iterator[tuple[str, int]]:
        folder = f"{_checked(url)}/"
        with self._lock:
            files = [(name, len(content)) for name, content in self.files.items()]
        return ((name.removeprefix(folder), size) for name, size in files if name.startswith(folder))

    def _writable(self, url: str) -> str:
        above = _checked(url)
        while (above := above.rpartition("/")[0]) != SCHEME:
            if above in self.files:
                raise StorageError(Failure.STORAGE_DENIED, f"{above} is a file, not a folder", transient=False)
        return url


def _checked(url: str) -> str:
    if not url.startswith(f"{SCHEME}/") or url.endswith("/"):
        detail = f"{url!r} is not a {SCHEME} location"
        raise StorageError(Failure.STORAGE_UNKNOWN, detail, transient=False)
    return url
