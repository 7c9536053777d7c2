"""Instance catalogs before the job: is it there, how long is it, what do its first bytes say.

A catalog of this machine is read where it lies. Of one elsewhere only the first bytes are asked for, and the whole file
only where somebody wants it checked to its end.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from submitter.drafts import is_local
from transformation.locations import beside, file_name, local_path, redacted
from transformation.model.failures import Failure, JobError
from transformation.model.spec import CatalogItem
from transformation.ports import Expected, Landing, Source, SourceError

LARGEST_CATALOG_BYTES = 1 << 40
_BLOCK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A catalog that is there."""

    url: str
    size_bytes: int | None
    """None where the server tells no length."""
    ranges: bool = True
    """Whether its server gives parts of files."""
    path: Path | None = None
    """On this machine; None if it is elsewhere."""
    start: bytes = b""
    """Its first bytes, unpacked."""
    packed_bytes: int = 0
    """How many bytes of the file these are."""

    @property
    def is_packed(self) -> bool:
        """Whether it is gzipped."""
        return self.packed_bytes != len(self.start)

    @property
    def is_whole(self) -> bool:
        """Whether `start` is all of it."""
        return self.size_bytes is not None and self.packed_bytes >= self.size_bytes


class CatalogReader:
    """Opens catalogs; safe for threads. All methods raise `JobError`."""

    def __init__(self, open_source: Callable[[], Source]) -> None:
        """`open_source` gives what reads all that is not on this machine; it is called when that is needed."""
        self._open_source = open_source
        self._lock = threading.Lock()
        self._opened: Source | None = None

    def open(self, item: CatalogItem, n_bytes: int) -> Opened:
        """The catalog, with its first bytes if it is elsewhere; what the request pins is compared."""
        opened = self._open_local(item.url) if is_local(item.url) else self._open_remote(item.url, n_bytes)
        if item.size is not None and opened.size_bytes not in {None, item.size}:
            detail = f"catalog {redacted(item.url)} has {opened.size_bytes:,} bytes, not {item.size:,}"
            raise JobError(Failure.CATALOG_CHANGED, detail)
        return opened

    def fetch(self, item: CatalogItem, path: Path) -> None:
        """Bring a catalog that is elsewhere to that path."""
        pinned = None if item.adler32 is None else item.adler32.lower()
        expected = Expected(size_bytes=item.size, adler32=pinned, limit_bytes=LARGEST_CATALOG_BYTES)
        try:
            self._source.fetch(item.url, Landing(path=path), expected)
        except SourceError as error:
            raise JobError(error.failure, error.detail) from None

    def fetch_beside(self, url: str, name: str, folder: Path) -> Path:
        """Bring the file of that name beside a catalog; FileNotFoundError if it is not there."""
        location = beside(url, name)
        path = folder / f"{zlib.crc32(location.encode()):08x}-{file_name(location)}"
        try:
            self.fetch(CatalogItem(url=location), path)
        except JobError as error:
            if error.failed.failure is Failure.CATALOG_MISSING:
                raise FileNotFoundError(name) from None
            raise
        return path

    def read_small(self, url: str, limit_bytes: int) -> bytes:
        """All of a short text, such as physics commands."""
        try:
            if is_local(url):
                with local_path(url, Path()).open("rb") as stream:
                    content = stream.read(limit_bytes + 1)
            else:
                content = self._source.open_head(url, limit_bytes + 1).start
        except OSError as error:
            raise JobError(Failure.COMMANDS_INVALID, f"'commands': {url}: {error.strerror}") from None
        except SourceError as error:
            raise JobError(error.failure, error.detail) from None
        if len(content) > limit_bytes:
            detail = f"'commands': {redacted(url)} is larger than {limit_bytes:,} bytes"
            raise JobError(Failure.COMMANDS_INVALID, detail)
        return content

    def close(self) -> None:
        """End what serves it."""
        if self._opened is not None:
            self._opened.close()

    def _open_local(self, url: str) -> Opened:
        path = local_path(url, Path())
        try:
            size_bytes = path.stat().st_size
            if not path.is_file():
                raise JobError(Failure.CATALOG_MISSING, f"catalog {url} is not a file")
            with path.open("rb"):
                pass
        except (FileNotFoundError, NotADirectoryError):
            raise JobError(Failure.CATALOG_MISSING, f"catalog {url} does not exist") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise JobError(Failure.CATALOG_UNREACHABLE, f"catalog {url}: {reason}") from None
        return Opened(url=url, size_bytes=size_bytes, path=path)

    def _open_remote(self, url: str, n_bytes: int) -> Opened:
        try:
            head = self._source.open_head(url, n_bytes)
        except SourceError as error:
            raise JobError(error.failure, error.detail) from None
        return Opened(
            url=url,
            size_bytes=head.size_bytes,
            ranges=head.ranges,
            start=text_of(head.start),
            packed_bytes=len(head.start),
        )

    @property
    def _source(self) -> Source:
        with self._lock:
            if self._opened is None:
                self._opened = self._open_source()
            return self._opened


def text_of(start: bytes) -> bytes:
    """As much text as the beginning of a file gives, which may be gzip; nothing if that is broken."""
    if not start.startswith(_GZIP_MAGIC):
        return start
    try:
        return zlib.decompressobj(wbits=31).decompress(start, 64 * len(start))
    except zlib.error:
        return b""


def adler32_of(path: Path) -> str:
    """Of a file on this machine, eight hex digits. Raises `OSError`."""
    checksum = 1
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            checksum = zlib.adler32(block, checksum)
    return f"{checksum:08x}"
