"""As much of HTTP/1.1 as fetching files takes: one connection, asked again and again.

`http.client` would do, but with its parts for TLS and e-mail it takes longer to load than a small repository takes to
verify.
"""

from __future__ import annotations

import io
import socket
from typing import Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

_BLOCK_BYTES = 1 << 16
_LONGEST_LINE_BYTES = 1 << 16
_MOST_HEADERS = 100


class Broken(Exception):
    """The other side does not speak HTTP, or breaks off."""


class Head(NamedTuple):
    """What an answer begins with."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """Names in lower case."""
    stays_open: bool
    """Whether the connection can be asked again after the body."""


class Way(NamedTuple):
    """How a server is reached."""

    near: Tuple[str, int]
    """Host and port that are connected to: the server's or a proxy's."""
    secure: bool = False
    tunnel: Optional[Tuple[str, int]] = None
    """The server, if the proxy is only to pass bytes on, as it must for TLS."""


class Connection:
    """One connection; raises OSError and `Broken`."""

    def __init__(self, way: Way, timeout_s: float) -> None:
        self._socket = socket.create_connection(way.near, timeout_s)
        self._file: Optional[io.BufferedReader] = None
        try:
            if way.tunnel is not None:
                self._dig(*way.tunnel)
            if way.secure:
                self._socket = _secured(self._socket, (way.tunnel or way.near)[0])
            self._file = self._socket.makefile("rb")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it; any number of times."""
        if self._file is not None:
            self._file.close()
        self._socket.close()

    def ask(self, place: str, headers: Mapping[str, str]) -> Head:
        """Ask for a file, and read the head of the answer; the body must be read before the next one is asked for."""
        self._send("GET", place, headers)
        _hurry(self._socket)
        assert self._file is not None
        return _read_head(self._file)

    def body(self, head: Head) -> Iterator[bytes]:
        """The body, in blocks."""
        assert self._file is not None
        length = head.headers.get("content-length", "")
        if head.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from _chunks(self._file)
        elif length:
            yield from _exactly(self._file, _number(length, 10))
        else:
            while block := self._file.read1(_BLOCK_BYTES):
                yield block

    def _dig(self, host: str, port: int) -> None:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._send("CONNECT", place, {"Host": place})
        with self._socket.makefile("rb", buffering=0) as plain:  # reads no byte of what follows
            head = _read_head(plain)
        if head.status != 200:
            raise Broken(f"the proxy answers {head.status} {head.reason}")

    def _send(self, method: str, place: str, headers: Mapping[str, str]) -> None:
        lines = [f"{method} {place} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))


def _secured(plain: socket.socket, host: str) -> socket.socket:
    import ssl  # slow to load, and few repositories are served with it

    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _hurry(connection: socket.socket) -> None:
    """Acknowledge at once what the server sends.

    Some servers send head and body apart and wait for the word that the head arrived, 40 ms for each small object.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _read_head(file: io.RawIOBase | io.BufferedReader) -> Head:
    while True:
        version, _, rest = _line(file).partition(" ")
        code, _, reason = rest.partition(" ")
        if not (version.startswith("HTTP/1.") and len(code) == 3):
            raise Broken(f"answers no HTTP: '{version[:20]}'")
        headers: Dict[str, str] = {}
        while line := _line(file):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
            if len(headers) > _MOST_HEADERS:
                raise Broken("answers with too many headers")
        status = _number(code, 10)
        if status >= 200:  # those below are only announcements
            return Head(status, reason, headers, _stays_open(version, headers))


def _stays_open(version: str, headers: Mapping[str, str]) -> bool:
    said = headers.get("connection", "").lower()
    has_end = "content-length" in headers or "transfer-encoding" in headers
    return has_end and (said == "keep-alive" if version == "HTTP/1.0" else said != "close")


def _line(file: io.RawIOBase | io.BufferedReader) -> str:
    line = file.readline(_LONGEST_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise Broken("breaks off in the head of its answer" if line else "closes the connection without an answer")
    return line.rstrip(b"\r\n").decode("latin-1")


def _number(text: str, base: int) -> int:
    try:
        found = int(text, base)
    except ValueError:
        found = -1
    if found < 0:
        raise Broken(f"answers with '{text[:20]}' for a number")
    return found


def _exactly(file: io.BufferedReader, size_bytes: int) -> Iterator[bytes]:
    while size_bytes:
        block = file.read1(min(size_bytes, _BLOCK_BYTES))  # what is there: a slow server is noticed
        if not block:
            raise Broken(f"breaks off {size_bytes} bytes early")
        size_bytes -= len(block)
        yield block


def _chunks(file: io.BufferedReader) -> Iterator[bytes]:
    while size_bytes := _number(_line(file).partition(";")[0].strip(), 16):
        yield from _exactly(file, size_bytes)
        _line(file)
    while _line(file):
        pass
