"""What `XRootDStorage` and its mover say to each other: one JSON line each way."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Operation(StrEnum):
    """What the mover can be asked to do."""

    STAT = "stat"
    CHECKSUM = "checksum"
    READ_BACK = "read_back"
    LIST = "list"
    READ = "read"
    START = "start"
    GET = "get"
    PUT = "put"
    CREATE = "create"
    RENAME = "rename"
    DELETE = "delete"
    SURVEY = "survey"


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to do at one server."""

    operation: Operation
    server: str
    """`root://host:port`, also `roots`, with the user if one is named."""
    path: str
    """Absolute, with the opaque part (`?...`) if there is one."""
    new_path: str = ""
    """RENAME: the new name; PUT: where the bytes are written before they get their name."""
    local: str = ""
    """PUT: the file to be sent; GET: the file to be made."""
    content: bytes = b""
    limit_bytes: int = 0
    expected_bytes: int = 0
    """GET: the size of the file, if it is known."""
    expected_adler32: str = ""
    """GET: its checksum, if it is known; a file that has it is not asked of the server again."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Why the client library says no (`XRootDStatus`)."""

    code: int
    """The library's class of errors; 400: the server answered."""
    errno: int
    """The server's own code (kXR_...); 0 if it did not answer."""
    message: str


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """One name in a folder."""

    name: str
    size_bytes: int
    flags: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it; no status: it is done."""

    status: Status | None = None
    local_errno: int = 0
    """Not 0: the file on this side could not be read or written."""
    differs: str = ""
    """Both checksums in words, if the bytes that arrived are not those that were sent."""
    exists: bool = False
    """CREATE: somebody else's file stands there, whole."""
    size_bytes: int = 0
    flags: int = 0
    adler32: str = ""
    """Eight lower-case hex digits."""
    content: bytes = b""
    listed: tuple[Listed, ...] = ()
    free_bytes: int | None = None
    """SURVEY: room for new files, where the server says."""
    redirects: bool = False
    """SURVEY: the server only knows which others have files."""
