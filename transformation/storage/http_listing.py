"""What a WebDAV server says is in a folder: its answer to PROPFIND, read without trusting it.

Names are text from outside that go into URLs: any that is no plain name of a file makes the whole answer worthless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

QUESTION = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/><D:getcontentlength/><D:quota-available-bytes/></D:prop>'
    b"</D:propfind>"
)
_LARGEST_BYTES = 1 << 28
"""About half a million files, as XRootD's door lists them."""
_SIZE = re.compile(r"\s*([0-9]{1,18})\s*")
_SERVER = re.compile(r"\Ahttps?://[^/]*", re.IGNORECASE)
_NO_URI = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]|%(?![0-9A-Fa-f]{2})")
"""RFC 3986: what no URI holds; a server that sends it does not encode its names."""


class ListingInvalid(Exception):
    """The answer is not what WebDAV says it should be."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One file or folder."""

    name: str
    """The last name, as the server wrote it."""
    depth: int
    """How many names the path has."""
    is_folder: bool
    size_bytes: int
    free_bytes: int | None = None
    """Room for new files (RFC 4331), which few servers tell."""


def read_listing(blocks: Iterator[bytes]) -> list[Found]:
    """Everything that a `207 Multi-Status` tells of. Raises `ListingInvalid`."""
    found = []
    try:
        for _, element in iterparse(_Stream(blocks), events=("end",), forbid_dtd=True):
            if element.tag == "{DAV:}response":
                found.append(_found(element))
                element.clear()
    except (ParseError, DefusedXmlException) as error:
        raise ListingInvalid(f"its answer to PROPFIND cannot be read: {type(error).__name__} {error}") from None
    if not found:
        raise ListingInvalid("its answer to PROPFIND is empty")
    return found


def below(found: list[Found]) -> list[Found]:
    """What is in the folder that was asked for, without the folder itself (or the file, if it was none)."""
    top = min(one.depth for one in found)
    return [one for one in found if one.depth > top]


def encodes(found: list[Found]) -> bool | None:
    """Whether the server encodes names as it has to, which XRootD's door does not; None if these do not tell."""
    if any(_NO_URI.search(one.name) for one in found):
        return False
    return None if any("%" in one.name for one in found) else True


def plain_name(name: str) -> str:
    """The name, decoded, if it is one that a file or folder can have. Raises `ListingInvalid`."""
    if name in {"", ".", ".."} or "/" in name or any(ord(character) < 0x20 for character in name):
        raise ListingInvalid(f"its answer to PROPFIND holds {name!r}, which is no name")
    return name


def _found(response: Element) -> Found:
    path = _SERVER.sub("", response.findtext("{DAV:}href", "").strip())
    names = [name for name in path.split("/") if name]
    size = _SIZE.fullmatch(response.findtext(".//{DAV:}getcontentlength", ""))
    free = _SIZE.fullmatch(response.findtext(".//{DAV:}quota-available-bytes", ""))
    is_folder = response.find(".//{DAV:}resourcetype/{DAV:}collection") is not None
    if not is_folder and size is None:
        raise ListingInvalid(f"its answer to PROPFIND tells no size of {path!r}")
    return Found(
        name=names[-1] if names else "",
        depth=len(names),
        is_folder=is_folder,
        size_bytes=int(size[1]) if size and not is_folder else 0,
        free_bytes=int(free[1]) if free else None,
    )


class _Stream:
    """Blocks as the parser reads them."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._taken_bytes = 0

    def read(self, _: int = -1) -> bytes:
        """The next block, of any length."""
        block = next(self._blocks, b"")
        self._taken_bytes += len(block)
        if self._taken_bytes > _LARGEST_BYTES:
            raise ListingInvalid(f"its answer to PROPFIND is longer than {_LARGEST_BYTES} bytes")
        return block
