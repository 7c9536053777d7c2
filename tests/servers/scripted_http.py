"""A web server on loopback that does what a test says, method by method, and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client said."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Asked(BaseHTTPRequestHandler):
    """One request, to be answered with `say`, or in any other way."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `_` in a header's name stands for `-`."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def trickle(self, content: bytes, over: threading.Event) -> None:
        """Send it a byte at a time, for as long as anybody listens."""
        for n in range(len(content)):
            if over.wait(0.05):
                break
            self.wfile.write(content[n : n + 1])
            self.wfile.flush()
        self.close_connection = True


Script = Callable[[Asked], None]


class ScriptedHttp:
    """`script` answers each request; `redirects` tells, of a path, where an upload is sent before its body is."""

    def __init__(self, script: Script, *, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.redirects: Callable[[str], str] | None = None
        self.over = threading.Event()
        """Set when the server is about to close."""
        self._scheme = "http" if context is None else "https"
        scripted = self

        class Handler(Asked):
            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                scripted.remember(self, body)
                script(self)

            def handle_expect_100(self) -> bool:
                if scripted.redirects is None:
                    return super().handle_expect_100()
                scripted.remember(self, b"")
                self.say(307, Location=scripted.redirects(self.path))
                return False

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.serve
                raise AttributeError(name)

            def log_message(self, *words: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *words: Any) -> None:
                """A client that went away is what tests are about."""

            def get_request(self) -> tuple[Any, Any]:
                sock, address = super().get_request()
                if context is not None:
                    sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                return sock, address

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://localhost:{self.port}"

    def remember(self, asked: Asked, body: bytes) -> None:
        """Keep a request for the test to look at."""
        headers = {name.lower(): value for name, value in asked.headers.items()}
        self.requests.append(Request(method=asked.command, path=asked.path, headers=headers, body=body))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
