"""Whether the bytes that arrived are those that were meant."""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
from collections.abc import Mapping
from pathlib import Path

from isal import isal_zlib

from transformation.locations import redacted
from transformation.model.failures import Failure
from transformation.ports import Expected, SourceError

_BLOCK_BYTES = 1 << 20
_START_BYTES = 512
_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_HASHES = {"md5": "md5", "sha": "sha1", "sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
"""Names in `Digest` (RFC 3230, RFC 5843) and `Repr-Digest` (RFC 9530) -> hashlib's."""


def check_size(location: str, size_bytes: int | None, expected: Expected) -> None:
    """Refuse a file by its size, before it is fetched. Raises `SourceError`."""
    if size_bytes is None:
        return
    if expected.size_bytes is not None and size_bytes != expected.size_bytes:
        detail = f"{redacted(location)} has {size_bytes:,} bytes, not {expected.size_bytes:,}"
        raise SourceError(Failure.CATALOG_CHANGED, detail)
    if size_bytes > expected.limit_bytes:
        raise too_large(location, size_bytes, expected)


def too_large(location: str, size_bytes: int, expected: Expected) -> SourceError:
    """The error for a file of so many bytes, or more."""
    detail = f"{redacted(location)} has {size_bytes:,} bytes or more; {expected.limit_bytes:,} are allowed"
    return SourceError(Failure.CATALOG_TOO_LARGE, detail)


def check_file(location: str, path: Path, expected: Expected, digests: Mapping[str, str] | None = None) -> None:
    """Check a whole file: size, checksum, what the server said of it, and that it is no web page.

    `digests` are those of an HTTP answer. Raises `SourceError`; transient where the bytes may have been damaged on
    their way.
    """
    check_size(location, path.stat().st_size, expected)
    found = _digests_of(path, digests or {})
    if expected.adler32 is not None and found["adler32"] != expected.adler32:
        detail = f"{redacted(location)} has adler32 {found['adler32']}, not {expected.adler32}"
        raise SourceError(Failure.CATALOG_CHANGED, detail, transient=True)
    for name, value in (digests or {}).items():
        if name in found and _plain(name, value) not in {found[name], None}:
            detail = f"{redacted(location)} was damaged on its way: {name} {found[name]} here, {value[:100]!r} there"
            raise SourceError(Failure.CATALOG_UNREACHABLE, detail, transient=True)
    with path.open("rb") as file:
        refuse_page(location, file.read(_START_BYTES))


def adler32_of(path: Path) -> str:
    """Eight lower-case hex digits."""
    return _digests_of(path, {})["adler32"]


def refuse_page(location: str, start: bytes) -> None:
    """Refuse what begins like a web page: log-in and error pages come with status 200, too. Raises `SourceError`."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGE_STARTS):
        raise page(location)


def page(location: str) -> SourceError:
    """The error for a web page."""
    detail = f"{redacted(location)} is an HTML page, perhaps the log-in or error page of the web server"
    return SourceError(Failure.CATALOG_INVALID, detail)


def disk_error(location: str, error: OSError) -> SourceError:
    """The error for a file on this side that could not be written."""
    failure = Failure.DISK_FULL if error.errno in _FULL else Failure.WORKDIR_UNUSABLE
    return SourceError(failure, f"{redacted(location)} cannot be written here: {error.strerror}")


def adler32_in(digests: Mapping[str, str]) -> str | None:
    """The adler32 among the digests of an HTTP answer."""
    value = digests.get("adler32")
    return None if value is None else _plain("adler32", value)


def _digests_of(path: Path, wanted: Mapping[str, str]) -> dict[str, str]:
    """In hex: adler32, and of the others those that are wanted and known."""
    hashes = {name: hashlib.new(_HASHES[name], usedforsecurity=False) for name in wanted if name in _HASHES}
    checksum = 1
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum = isal_zlib.adler32(block, checksum)
            for one in hashes.values():
                one.update(block)
    return {"adler32": f"{checksum:08x}", **{name: one.hexdigest() for name, one in hashes.items()}}


def _plain(name: str, value: str) -> str | None:
    """A digest in lower-case hex, whether it was written so or in base64; None for what is neither."""
    n_digits = 8 if name == "adler32" else 2 * hashlib.new(_HASHES[name], usedforsecurity=False).digest_size
    if name == "adler32" and 0 < len(value) < n_digits:
        value = value.zfill(n_digits)  # some servers leave leading zeros out
    try:
        content = bytes.fromhex(value) if len(value) == n_digits else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        return None
    return content.hex() if 2 * len(content) == n_digits else None
