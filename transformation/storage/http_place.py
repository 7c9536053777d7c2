"""A location that an HTTP server serves, taken apart: `http://host[:port]/path`, also `https`, `dav` and `davs`."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, unquote

import msgspec
from msgspec.structs import replace

from transformation.model.failures import Failure
from transformation.ports import StorageError

SCHEMES = ("http", "https", "dav", "davs")
_PROTOCOL = {"http": "http", "dav": "http", "https": "https", "davs": "https"}
_LOCATION = re.compile(
    r"(?P<scheme>https?|davs?)://(?P<authority>(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)"
    r"(?P<path>/[^?#\x00-\x1f\x7f]*)(?P<query>\?[^#\x00-\x20\x7f]*)?",
    re.IGNORECASE,
)
_KEPT = "/%:@!$&'()*+,;=~"
"""RFC 3986: what may stand in a path as it is; `%` begins what is encoded already."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One file or folder on one server."""

    scheme: str
    """`http` or `https`."""
    authority: str
    """Host, and port if one is named."""
    path: str
    """Absolute, percent-encoded."""
    query: str = ""
    """With its `?`; may be a credential."""

    @property
    def url(self) -> str:
        """For the request."""
        return f"{self.scheme}://{self.authority}{self.path}{self.query}"

    @property
    def shown(self) -> str:
        """For people: without what may be a credential."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def literal(self) -> str:
        """The path as the server's file system has it."""
        return unquote(self.path)

    @property
    def name(self) -> str:
        """The last name of the path, decoded."""
        return unquote(self.path.rstrip("/").rpartition("/")[2])

    @property
    def parent(self) -> Place:
        """The folder that holds it; that of the root is the root."""
        return replace(self, path=self.path.rstrip("/").rpartition("/")[0] or "/")

    def child(self, name: str) -> Place:
        """What has that name in this folder."""
        return replace(self, path=f"{self.path.rstrip('/')}/{quote(name, safe='')}")

    def sibling(self, name: str) -> Place:
        """What has that name beside it."""
        return self.parent.child(name)

    @property
    def origin(self) -> tuple[str, str]:
        """Whom a credential may be shown to."""
        return self.scheme, self.authority.lower()

    @property
    def is_private(self) -> bool:
        """Whether nobody can listen on the way: TLS, or this machine itself."""
        return self.scheme == "https" or self.is_here

    @property
    def is_here(self) -> bool:
        """Whether the server is this machine."""
        host = self.authority.rpartition(":")[0] if re.search(r":[0-9]+\Z", self.authority) else self.authority
        if host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return False


def place_of(url: str) -> Place:
    """Raises `StorageError` STORAGE_UNKNOWN for any other text, also for one with a password or a `..` in it."""
    match = _LOCATION.fullmatch(url)
    if match is None or {".", ".."} & set(match["path"].split("/")):
        shown = url.partition("?")[0].rpartition("@")[2]
        detail = f"{shown!r} is not of the form davs://host/path (also dav, https, http; no user, no `..`, no `#`)"
        raise StorageError(Failure.STORAGE_UNKNOWN, detail, transient=False)
    return Place(
        scheme=_PROTOCOL[match["scheme"].lower()],
        authority=match["authority"],
        path=quote(match["path"], safe=_KEPT),
        query=match["query"] or "",
    )
