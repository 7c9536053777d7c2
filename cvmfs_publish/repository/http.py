"""One way to a replica: a server's URL, asked plainly or through a proxy. Standard library, connections kept open."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Iterator, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, quote, urlsplit

from cvmfs_publish import VERSION
from cvmfs_publish.exits import Exit, KitError

_BLOCK_BYTES = 1 << 16
_LEAST_RATE = 20_000
"""Bytes a second below which a server is given up."""


class Absent(Exception):
    """The server says that there is no such file."""


@dataclass
class Route:
    """Asks one server for files below a repository's root, one connection a thread."""

    url: str
    """The repository's own root, e.g. `http://host/cvmfs/test.example.org`."""
    proxy: Optional[str] = None
    timeout_s: float = 20.0
    """Longest silence; a whole answer may take this and what its size needs."""
    _local: threading.local = field(default_factory=threading.local)
    _opened: List[http.client.HTTPConnection] = field(default_factory=list)
    """By all threads."""

    def __post_init__(self) -> None:
        self._target = _split(self.url, ("http", "https"))
        self._proxy = _split(self.proxy, ("http",)) if self.proxy else None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.url} through {self.proxy}" if self.proxy else self.url

    def get(self, path: str, *, limit_bytes: int, headers: Optional[Mapping[str, str]] = None) -> bytes:
        """A small file. Raises `Absent`, `KitError` UNREACHABLE, OBJECTS_BAD past the limit."""
        return b"".join(self.stream(path, limit_bytes=limit_bytes, headers=headers))

    @property
    def headers(self) -> Mapping[str, str]:
        """Of this thread's last answer, names in lower case."""
        found: Mapping[str, str] = getattr(self._local, "headers", {})
        return found

    def stream(self, path: str, *, limit_bytes: int, headers: Optional[Mapping[str, str]] = None) -> Iterator[bytes]:
        """A file in blocks. Raises as `get`."""
        end_s = time.monotonic() + 2 * self.timeout_s + limit_bytes / _LEAST_RATE
        answer = self._ask(path, headers or {})
        n_bytes = 0
        try:
            while block := answer.read(_BLOCK_BYTES):
                n_bytes += len(block)
                if n_bytes > limit_bytes:
                    self._drop()
                    raise KitError(Exit.OBJECTS_BAD, f"{self.name}/{path} is larger than the catalog says")
                if time.monotonic() > end_s:
                    self._drop()
                    raise self._unreachable(path, "answers too slowly")
                yield block
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise self._unreachable(path, f"breaks off: {_words(error)}") from None
        if answer.length:  # http.client ends a short body without a word when it is read in pieces
            self._drop()
            raise self._unreachable(path, f"breaks off {answer.length} bytes early")

    def close(self) -> None:
        """Close the connections of all threads, which must have ended their work."""
        for connection in self._opened:
            connection.close()

    def _ask(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        for attempt in range(2):
            fresh = getattr(self._local, "connection", None) is None
            try:
                return self._ask_once(path, headers)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                # A connection that was kept open may have been closed meanwhile: that says nothing of the server.
                if fresh or attempt:
                    raise self._unreachable(path, _words(error)) from None
        raise AssertionError("unreachable")

    def _ask_once(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        connection = self._connection()
        place = f"{self._target.path.rstrip('/')}/{quote(path)}"
        if self._proxy is not None and self._target.scheme == "http":
            place = f"http://{self._target.netloc}{place}"
        connection.request("GET", place, headers={"User-Agent": f"iod-publish/{VERSION}", **headers})
        _hurry(connection)
        answer = connection.getresponse()
        self._local.headers = {name.lower(): value for name, value in answer.getheaders()}
        if answer.status == http.HTTPStatus.OK:
            return answer
        self._drop()
        if answer.status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
            raise Absent(f"{self.name}/{path}")
        raise self._unreachable(path, f"answers {answer.status} {answer.reason}")

    def _connection(self) -> http.client.HTTPConnection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
            self._opened.append(connection)
        assert isinstance(connection, http.client.HTTPConnection)
        return connection

    def _open(self) -> http.client.HTTPConnection:
        near = self._proxy or self._target
        host = near.hostname or ""
        if self._target.scheme == "https":
            context = ssl.create_default_context()
            secure = http.client.HTTPSConnection(host, near.port, timeout=self.timeout_s, context=context)
            if self._proxy is not None:
                secure.set_tunnel(self._target.hostname or "", self._target.port)
            return secure
        return http.client.HTTPConnection(host, near.port, timeout=self.timeout_s)

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _unreachable(self, path: str, what: str) -> KitError:
        return KitError(Exit.UNREACHABLE, f"{self.name}: {path} {what}")


def _hurry(connection: http.client.HTTPConnection) -> None:
    """Acknowledge at once what the server sends.

    Some servers send head and body apart and wait for the word that the head arrived, 40 ms for each small object.
    """
    if connection.sock is not None and hasattr(socket, "TCP_QUICKACK"):
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _split(url: str, schemes: Tuple[str, ...]) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_good = urlsplit(""), False
    if parts.scheme not in schemes or not parts.hostname or not port_is_good or parts.username is not None:
        raise KitError(Exit.USAGE, f"'{url}' is no {' or '.join(schemes)} URL")
    return parts
