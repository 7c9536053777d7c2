"""What an HTTP answer says of a file, read out of its status and headers. Nothing here touches the network."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from transformation.locations import redacted
from transformation.model.failures import Failure
from transformation.ports import SourceError

REFUSALS = frozenset({401, 403})
_WHOLE, _PART, NOT_IN_RANGE = 200, 206, 416
_PAGES = ("text/html", "application/xhtml+xml")
_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?P<first>\d{1,18})-\d{1,18}/(?:(?P<total>\d{1,18})|\*)\s*", re.ASCII)
_LENGTH = re.compile(r"\s*(\d{1,18})\s*", re.ASCII)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with a body that is the file, or a part of it."""

    is_part: bool
    first_byte: int
    """Which byte of the file the body begins with."""
    size_bytes: int | None
    """Of the whole file; None where the server does not say."""
    is_framed: bool
    """Whether the end of the body can be told from a broken connection."""
    version: str
    """What `If-Range` takes: a strong ETag or a date; empty where there is neither."""
    digests: Mapping[str, str]
    """Of the whole file, by lower-case name."""
    is_page: bool
    """Whether the server calls it a web page."""


def read_answer(location: str, status: int, headers: Mapping[str, str]) -> Answer:
    """The answer, if it has the file. Raises `SourceError`. `headers` must not mind case."""
    if status not in {_WHOLE, _PART}:
        detail = f"{redacted(location)}: the server answers with status {status}, and no file"
        raise SourceError(Failure.CATALOG_UNREACHABLE, detail)
    length = _LENGTH.fullmatch(headers.get("Content-Length", ""))
    first, size_bytes = 0, int(length[1]) if length else None
    if status == _PART:
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is None:
            detail = f"{redacted(location)}: the server sends a part of the file and does not say which"
            raise SourceError(Failure.CATALOG_UNREACHABLE, detail)
        first = int(found["first"])
        size_bytes = int(found["total"]) if found["total"] else None
    return Answer(
        is_part=status == _PART,
        first_byte=first,
        size_bytes=size_bytes,
        is_framed=bool(length) or "chunked" in headers.get("Transfer-Encoding", "").lower(),
        version=_version(headers),
        digests=_digests(headers),
        is_page=headers.get("Content-Type", "").strip().lower().startswith(_PAGES),
    )


def _version(headers: Mapping[str, str]) -> str:
    """RFC 9110, 13.1.5: a weak ETag may not be used to put parts together."""
    etag = headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else headers.get("Last-Modified", "").strip()


def _digests(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the whole file: `Digest` (RFC 3230) and `Repr-Digest` (RFC 9530), whose values stand between colons."""
    found = {}
    for text in (headers.get("Digest", ""), headers.get("Repr-Digest", "")):
        for one in text.split(","):
            name, equals, value = one.strip().partition("=")
            if equals:
                found[name.strip().lower()] = value.strip().strip(":")
    return found
