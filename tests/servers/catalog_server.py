"""A small real web server on loopback that has files, and the faults that web servers have.

What it does with a file is said by `Manners`; the file's address stays the same meanwhile.
"""

from __future__ import annotations

import re
import ssl
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_LAST_MODIFIED = "Sun, 22 Nov 2026 12:00:00 GMT"
_PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n"
_TRICKLE_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a file is served; the default is a healthy server."""

    ranges: bool = True
    length: bool = True
    """False: the body ends with the connection (HTTP/1.0)."""
    chunked: bool = False
    etag: str | None = '"one"'
    last_modified: bool = True
    digest: str | None = None
    """Value of `Digest`; `right` for the true one."""
    content_type: str = "text/plain"
    status: int | None = None
    """Of an answer without the file."""
    times: int = 10**9
    """So many requests get `status`, `location`, `dies_after` or `hangs`; later ones are served well."""
    location: str | None = None
    """Redirects there."""
    page: bool = False
    """A log-in page with status 200."""
    dies_after: int | None = None
    """Bytes of the body after which the connection breaks."""
    hangs: bool = False
    """Takes the request and says nothing."""
    trickles: bool = False
    """A few bytes, a tenth of a second, and so on."""
    trickles_headers: bool = False
    declares: int | None = None
    """Content-Length, whatever the file has."""
    token: str | None = None
    """What `Authorization` must be."""
    foreign_part: bool = False
    """Answers a range with another one."""
    short_parts: bool = False
    """Answers a range with the first half of it."""
    endless: bool = False
    """Sends the file again and again, in one body; for `chunked`."""


@dataclass(slots=True)
class _File:
    content: bytes
    manners: Manners


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One that the server got."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""


class CatalogServer:
    """Serves until it is closed. Paths are given without their first slash; a query belongs to no path."""

    def __init__(self, *, certificate: Path | None = None, key: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._files: dict[str, _File] = {}
        self._scheme = "https" if certificate else "http"
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.server_address[1]
        return port

    def url(self, path: str = "") -> str:
        """The address of a file."""
        return f"{self._scheme}://localhost:{self.port}/{path}"

    def put(self, path: str, content: bytes, **manners: Any) -> str:
        """Have a file; its address."""
        self._files[path] = _File(content, Manners(**manners))
        return self.url(path)

    def change(self, path: str, **manners: Any) -> None:
        """From now on serve it otherwise."""
        self._files[path].manners = replace(self._files[path].manners, **manners)

    def file(self, path: str) -> _File | None:
        """What is served at a path."""
        return self._files.get(unquote(path.partition("?")[0]).removeprefix("/"))

    @property
    def gets(self) -> list[Request]:
        """All requests for the bodies of files."""
        return [request for request in self.requests if request.method == "GET"]

    def close(self) -> None:
        """Stop, and let go of who still listens to us."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: CatalogServer

    def handle_error(self, *words: Any) -> None:
        """A client that went away, or that does not trust us, is what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def do_HEAD(self) -> None:
        self.server.owner.requests.append(self._request())
        self._plain(405)

    def do_GET(self) -> None:
        self.server.owner.requests.append(self._request())
        file = self.server.owner.file(self.path)
        if file is None:
            self._plain(404)
            return
        manners = file.manners
        if self._is_faulty(file) and self._misbehave(manners):
            return
        if manners.token is not None and self.headers.get("Authorization") != manners.token:
            self._plain(401)
        elif manners.page:
            self._plain(200, _PAGE, "text/html; charset=utf-8")
        else:
            self._serve(file, manners)

    def _is_faulty(self, file: _File) -> bool:
        manners = file.manners
        file.manners = replace(manners, times=manners.times - 1)
        return manners.times > 0

    def _misbehave(self, manners: Manners) -> bool:
        if manners.hangs:
            self.close_connection = True
            self.server.owner.closing.wait()
            return True
        if manners.location is not None:
            self.send_response(manners.status or 302)
            self.send_header("Location", manners.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return True
        if manners.status is not None:
            self._plain(manners.status)
            return True
        return False

    def _serve(self, file: _File, manners: Manners) -> None:
        content, first = file.content, 0
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if manners.ranges else None
        condition = self.headers.get("If-Range")
        if condition is not None and condition not in {manners.etag, _LAST_MODIFIED}:
            part = None
        if part is not None:
            first, last = int(part[1]), int(part[2] or len(content))
            if first >= len(content):
                self._plain(416, headers={"Content-Range": f"bytes */{len(content)}"})
                return
            first += manners.foreign_part
            content = content[first : last + 1]
            if manners.short_parts:
                content = content[: len(content) // 2 + 1]
        self.send_response(206 if part else 200)
        if part:
            whole = len(file.content)
            self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{whole}")
        for name, value in self._facts(file, manners, len(content)).items():
            self.send_header(name, value)
        if manners.trickles_headers:
            self._trickle(b"".join(self._headers_buffer))
            return
        self.end_headers()
        self._body(content, manners, dies=manners.dies_after is not None and manners.times > 0)

    def _facts(self, file: _File, manners: Manners, n_bytes: int) -> dict[str, str]:
        facts = {"Content-Type": manners.content_type}
        if manners.etag is not None:
            facts["ETag"] = manners.etag
        if manners.last_modified:
            facts["Last-Modified"] = _LAST_MODIFIED
        if manners.digest is not None:
            right = f"adler32={zlib.adler32(file.content):x}"
            facts["Digest"] = right if manners.digest == "right" else manners.digest
        if manners.chunked:
            facts["Transfer-Encoding"] = "chunked"
        elif manners.length:
            facts["Content-Length"] = str(n_bytes if manners.declares is None else manners.declares)
        else:
            facts["Connection"] = "close"
            self.close_connection = True
        return facts

    def _body(self, content: bytes, manners: Manners, *, dies: bool) -> None:
        if dies:
            content = content[: manners.dies_after]
        if manners.trickles:
            self._trickle(content)
        elif manners.endless:
            while not self.server.owner.closing.is_set():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        elif manners.chunked:
            half = len(content) // 2
            for piece in (content[:half], content[half:]):
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if not dies:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(content)
        if dies or manners.declares is not None:
            self.close_connection = True

    def _trickle(self, content: bytes) -> None:
        self.close_connection = True
        for at in range(0, len(content), _TRICKLE_BYTES):
            self.wfile.write(content[at : at + _TRICKLE_BYTES])
            if self.server.owner.closing.wait(0.1):
                return

    def _plain(
        self, status: int, body: bytes = b"no\n", kind: str = "text/plain", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _request(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(method=self.command, path=self.path, headers=headers)

    def log_message(self, *words: Any) -> None:
        pass


@contextmanager
def catalog_server(**options: Any) -> Iterator[CatalogServer]:
    """One that is closed at the end of the block."""
    server = CatalogServer(**options)
    try:
        yield server
    finally:
        with suppress(OSError):
            server.close()


def bomb(start: bytes, line: bytes, unpacked_bytes: int) -> bytes:
    """Gzip of some text, followed by one line again and again; never unpacked here."""
    packer = zlib.compressobj(9, wbits=31)
    block = line * 1000
    packed = [packer.compress(start), *(packer.compress(block) for _ in range(unpacked_bytes // len(block)))]
    return b"".join([*packed, packer.flush()])
