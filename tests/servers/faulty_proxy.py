"""A small HTTP proxy on loopback in front of a server: it counts requests, and answers some of them badly.

A fault is asked before each request: what it returns is done instead of asking the server. After `pass_on` a fault sees
the server's answer too late to change what the server did, as when an answer is lost on the way.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Ask = Callable[[], Answer]
"""Puts the request to the server behind the proxy."""
Fault = Callable[[str, str, Ask], Answer | None]
"""Method, path, server -> the answer; None closes the connection without one."""


def status(code: int, *, body: bytes = b"trouble", headers: dict[str, str] | None = None) -> Fault:
    """Always that answer."""
    return lambda method, path, ask: Answer(status=code, body=body, headers=headers or {})


def lost_answer(method: str, path: str, ask: Ask) -> Answer | None:
    """The server does what it is asked; nobody hears of it."""
    ask()
    return None


def only(text: str, fault: Fault, *, times: int = 10**9) -> Fault:
    """The fault for the first so many requests with the text in their path, and honesty for all others."""
    left = [times]

    def choose(method: str, path: str, ask: Ask) -> Answer | None:
        if text in path and left[0] > 0:
            left[0] -= 1
            return fault(method, path, ask)
        return ask()

    return choose


def dribble(method: str, path: str, ask: Ask) -> Answer:
    """Never silent for long, and never done: `FaultyProxy` sends such a body a byte at a time."""
    return Answer(status=200, body=b" " * 100, headers={"Content-Type": "application/json", "X-Dribble": "0.2"})


class FaultyProxy:
    """The proxy in front of `target`, e.g. `http://127.0.0.1:8080`."""

    def __init__(self, target: str) -> None:
        self.requests: list[str] = []
        """Method and path of each."""
        self.fault: Fault | None = None
        self.closed = False
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.requests.append(f"{self.command} {self.path}")
                headers = {
                    name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}
                }

                def ask() -> Answer:
                    return _forward(target + self.path, self.command, body, headers)

                answer = proxy.fault(self.command, self.path, ask) if proxy.fault else ask()
                self.close_connection = answer is None
                if answer is not None:
                    self.answer(answer)

            def answer(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                pause_s = float(answer.headers.get("X-Dribble", "0"))
                for part in [answer.body[n : n + 1] for n in range(len(answer.body))] if pause_s else [answer.body]:
                    if proxy.closed:
                        return
                    self.wfile.write(part)
                    time.sleep(pause_s)

            do_GET = do_POST = do_PUT = do_DELETE = serve  # noqa: N815

            def log_message(self, *words: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *words: Any) -> None:
                """A client that went away is what tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """Have the fault for a while."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    def close(self) -> None:
        """Stop listening, and let go of who still listens to us."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()


def _forward(url: str, method: str, body: bytes, headers: dict[str, str]) -> Answer:
    request = urllib.request.Request(url, data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return _copy(answer.status, answer)
    except urllib.error.HTTPError as error:
        with error:
            return _copy(error.code, error)


def _copy(code: int, answer: Any) -> Answer:
    hop = {"connection", "transfer-encoding", "content-length"}
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in hop}
    return Answer(status=code, body=answer.read(), headers=headers)
