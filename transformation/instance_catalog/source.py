"""The bytes of one file on disk: plain or gzip, hashed on the way, handed out in blocks of whole lines."""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import msgspec
from isal import igzip, igzip_lib

from transformation.instance_catalog.grammar import MAX_LINE_BYTES
from transformation.instance_catalog.problems import CatalogFault, FileInvalid

BLOCK_BYTES = 1 << 18

_ISAL_ERROR = cast("type[Exception]", igzip_lib.IsalError)  # its stub takes the class for an instance
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FOREIGN_STARTS = (
    (b"<", "an HTML or XML page, perhaps the error page of a web server"),
    (b"{", "a JSON file"),
    (_GZIP_MAGIC, "a file that was gzipped twice"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"(\xb5/\xfd", "a zstd file"),
    (b"PK\x03\x04", "a zip file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"%PDF", "a PDF file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


class SizeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a file is refused, while it is read: so neither memory nor disk fills up before."""

    file_bytes: int = 20_000_000_000
    """Size on disk."""
    unpacked_bytes: int = 100_000_000_000
    """Size of what gzip unpacks to."""
    bomb_ratio: int = 200
    bomb_bytes: int = 1 << 30
    """Gzip that unpacks to more than this and to more than `bomb_ratio` times its size is no catalog (those reach 10).
    """


SIZE_LIMITS = SizeLimits()


class _HashedFile(io.RawIOBase):
    """A file that remembers the sha256 and the number of the bytes read from it."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants the Buffer protocol of 3.12
        count = self._file.readinto(buffer)
        self.sha256.update(buffer[:count])
        self.size_bytes += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class Source:
    """One catalog or include, opened. Raises `FileInvalid` (UNREADABLE) where the disk or gzip fails."""

    def __init__(self, path: Path, size_limits: SizeLimits = SIZE_LIMITS) -> None:
        self._limits = size_limits
        try:
            status = path.stat()
            # A named pipe would block for ever.
            if not stat.S_ISREG(status.st_mode):
                raise FileInvalid("this is not a regular file", "name a file", CatalogFault.UNREADABLE)
            if status.st_size > size_limits.file_bytes:
                what = f"this file has {status.st_size:,} bytes; {size_limits.file_bytes:,} are allowed"
                raise FileInvalid(what, "split it", CatalogFault.TOO_LARGE)
            self._raw = _HashedFile(io.FileIO(path))
        except OSError as error:
            raise _unreadable(error) from error
        self._buffered = io.BufferedReader(self._raw, BLOCK_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._buffered.close()

    @property
    def sha256(self) -> str:
        """Of the bytes on disk; meaningful once the blocks are through."""
        return self._raw.sha256.hexdigest()

    @property
    def size_bytes(self) -> int:
        """On disk; meaningful once the blocks are through."""
        return self._raw.size_bytes

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Whole lines, each ending in one newline, the last one too.

        Raises `FileInvalid` for a foreign kind of file and for a line too long to wait for its end.
        """
        tail = b""
        for chunk in self._chunks(block_bytes):
            text = tail + chunk
            cut = text.rfind(b"\n") + 1
            if cut:
                yield _with_plain_newlines(text[:cut])
            tail = text[cut:]
            check_length(tail.removesuffix(b"\r"))
        if tail:
            yield _with_plain_newlines(tail + b"\n")

    def _chunks(self, block_bytes: int) -> Iterator[bytes]:
        """The unpacked text in pieces of about this size; the first one long enough to know a foreign file by."""
        try:
            stream = _unpacked(self._buffered)
            start = stream.read(max(len(magic) for magic, _ in _FOREIGN_STARTS) + len(_BYTE_ORDER_MARK))
            check_kind(start)
            yield start.removeprefix(_BYTE_ORDER_MARK)
            unpacked_bytes = len(start)
            while chunk := stream.read(block_bytes):
                unpacked_bytes += len(chunk)
                self._refuse_bomb(unpacked_bytes)
                yield chunk
        except (OSError, EOFError, _ISAL_ERROR) as error:
            raise _unreadable(error) from error

    def _refuse_bomb(self, unpacked_bytes: int) -> None:
        limits = self._limits
        if unpacked_bytes > limits.unpacked_bytes:
            what = f"it unpacks to more than the {limits.unpacked_bytes:,} bytes that are allowed"
            raise FileInvalid(what, "split it", CatalogFault.TOO_LARGE)
        if unpacked_bytes > max(limits.bomb_bytes, limits.bomb_ratio * self.size_bytes):
            raise FileInvalid(
                f"{self.size_bytes:,} bytes of gzip unpack to more than {unpacked_bytes:,}",
                "no catalog compresses so well: check what this file is",
                CatalogFault.TOO_LARGE,
            )


def _unpacked(stream: io.BufferedReader[_HashedFile]) -> BinaryIO:
    """The text of a file that is gzip by its first bytes, whatever its name, or plain."""
    if stream.peek(2)[:2] != _GZIP_MAGIC:
        return cast("BinaryIO", stream)
    return cast("BinaryIO", igzip.IGzipFile(fileobj=stream))  # type: ignore[no-untyped-call]


def check_kind(start: bytes) -> None:
    """Raise `FileInvalid` if a file that starts so is plainly something else than a catalog."""
    text = start.removeprefix(_BYTE_ORDER_MARK).lstrip()
    for magic, kind in _FOREIGN_STARTS:
        if text.startswith(magic):
            raise FileInvalid(f"this is no instance catalog: it looks like {kind}", "check where it comes from")


def check_length(line: bytes) -> None:
    """Raise `FileInvalid` if a line (or what is read of it) is longer than PhoSim can hold."""
    if len(line) > MAX_LINE_BYTES:
        raise FileInvalid(
            f"this line is longer than {MAX_LINE_BYTES} bytes; the rest of the file was not read",
            "break it up: PhoSim cuts longer lines",
        )


def _with_plain_newlines(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n") if b"\r" in block else block


def _unreadable(error: Exception) -> FileInvalid:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return FileInvalid(
        f"cannot be read to its end: {text}", "check that the file is there and complete", CatalogFault.UNREADABLE
    )
