"""One way to a replica: a server's URL, asked plainly or through a proxy. Standard library, connections kept open."""

from __future__ import annotations

import threading
import time
from typing import Iterator, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, quote, urlsplit

from cvmfs_publish import VERSION
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.repository.connection import Broken, Connection, Head, Way

_OK, _NOT_THERE = 200, (404, 410)
_PORTS = {"http": 80, "https": 443}
_LEAST_RATE = 20_000
"""Bytes a second below which a server is given up."""


class Absent(Exception):
    """The server says that there is no such file."""


class Route:
    """Asks one server for files below a repository's root, one connection a thread.

    `url` is the repository's own root, e.g. `http://host/cvmfs/test.example.org`; `timeout_s` the longest silence: a
    whole answer may take this and what its size needs. Raises `KitError` USAGE.
    """

    def __init__(self, url: str, proxy: Optional[str] = None, timeout_s: float = 20.0) -> None:
        self.url, self.proxy = url, proxy
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._opened: List[Connection] = []
        target = _split(url, ("http", "https"))
        near = _split(proxy, ("http",)) if proxy else None
        secure = target.scheme == "https"
        self._way = Way(_place(near or target), secure, _place(target) if near and secure else None)
        # A proxy that reads along is told the whole address.
        self._base = f"{f'http://{target.netloc}' if proxy and not secure else ''}{target.path.rstrip('/')}/"
        self._headers = {"Host": target.netloc, "User-Agent": f"iod-publish/{VERSION}", "Accept-Encoding": "identity"}

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

    @property
    def is_kept_open(self) -> bool:
        """Whether this thread's connection can be asked again."""
        return getattr(self._local, "connection", None) is not None

    def stream(self, path: str, *, limit_bytes: int, headers: Optional[Mapping[str, str]] = None) -> Iterator[bytes]:
        """A file in blocks. Raises as `get`."""
        end_s = time.monotonic() + 2 * self._timeout_s + limit_bytes / _LEAST_RATE
        connection, head = self._ask(path, headers or {})
        n_bytes = 0
        is_whole = False
        try:
            for block in connection.body(head):
                n_bytes += len(block)
                if n_bytes > limit_bytes:
                    raise KitError(Exit.OBJECTS_BAD, f"{self.name}/{path} is larger than the catalog says")
                if time.monotonic() > end_s:
                    raise self._unreachable(path, "answers too slowly")
                yield block
            is_whole = True
        except (OSError, Broken) as error:
            raise self._unreachable(path, _words(error)) from None
        finally:
            if not (is_whole and head.stays_open):
                self._drop()

    def close(self) -> None:
        """Close the connections of all threads, which must have ended their work."""
        for connection in self._opened:
            connection.close()

    def _ask(self, path: str, headers: Mapping[str, str]) -> Tuple[Connection, Head]:
        kept: Optional[Connection] = getattr(self._local, "connection", None)
        try:
            if kept is not None:
                try:
                    return kept, self._ask_over(kept, path, headers)
                except (OSError, Broken):
                    self._drop()  # it may have been closed meanwhile: that says nothing of the server
            fresh = self._local.connection = Connection(self._way, self._timeout_s)
            self._opened.append(fresh)
            return fresh, self._ask_over(fresh, path, headers)
        except (OSError, Broken) as error:
            self._drop()
            raise self._unreachable(path, _words(error)) from None

    def _ask_over(self, connection: Connection, path: str, headers: Mapping[str, str]) -> Head:
        place = f"{self._base}{quote(path)}"
        head = connection.ask(place, {**self._headers, **headers})
        self._local.headers = head.headers
        if head.status == _OK:
            return head
        self._drop()
        if head.status in _NOT_THERE:
            raise Absent(f"{self.name}/{path}")
        raise self._unreachable(path, f"answers {head.status} {head.reason}")

    def _drop(self) -> None:
        connection: Optional[Connection] = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._opened.remove(connection)
            self._local.connection = None

    def _unreachable(self, path: str, what: str) -> KitError:
        return KitError(Exit.UNREACHABLE, f"{self.name}: {path} {what}")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _place(parts: SplitResult) -> Tuple[str, int]:
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _split(url: str, schemes: Tuple[str, ...]) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_good = (parts.port is None or parts.port > 0) and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        parts, is_good = urlsplit(""), False
    if parts.scheme not in schemes or not parts.hostname or not is_good or parts.username is not None:
        raise KitError(Exit.USAGE, f"'{url}' is no {' or '.join(schemes)} URL")
    return parts
