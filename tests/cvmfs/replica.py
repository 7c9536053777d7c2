"""A real CernVM-FS repository (tests/data/cvmfs_test_repo) behind a web server or proxy that may misbehave."""

from __future__ import annotations

import http.client
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

DATA = Path(__file__).parents[1] / "data/cvmfs_test_repo"
NAME = "test.example.org"
NOW = "2026-12-01T00:00:00Z"
"""Both whitelists are valid then."""
Change = Callable[[str, bytes], bytes]
"""Path below the repository and its content -> what is served."""


def unpack(folder: Path) -> Path:
    """The repository as a web root holds it; returns the folder of the data's README."""
    with tarfile.open(DATA / "test-repo.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "test-repo"


class Replica:
    """Serves the repository in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.change: Change | None = None
        self.pause_s = 0.0
        """Before each answer."""
        self.age: str | None = None
        """`Age` header, as proxies send it."""
        self.gone: set[str] = set()
        self.asked: list[str] = []
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                place = unquote(urlsplit(self.path).path)
                inner = place.removeprefix(f"/cvmfs/{NAME}/")
                replica.asked.append(inner)
                time.sleep(replica.pause_s)
                path = replica.root / place.lstrip("/")
                if inner in replica.gone or not path.is_file():
                    self.answer(404, b"")
                    return
                content = path.read_bytes()
                self.answer(200, replica.change(inner, content) if replica.change else content)

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if replica.age is not None:
                    self.send_header("Age", replica.age)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: Any) -> None:
                pass

        self._server = _listen(Handler)

    @property
    def url(self) -> str:
        """The repository's own root."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/cvmfs/{NAME}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class LyingProxy:
    """Passes requests on; `change` is what it makes of the answers."""

    def __init__(self, change: Change | None = None) -> None:
        proxy = self
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.asked.append(self.path)
                parts = urlsplit(self.path)
                connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
                connection.request("GET", parts.path)
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
                if change is not None:
                    body = change(parts.path.partition(f"{NAME}/")[2], body)
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *words: Any) -> None:
                pass

        self._server = _listen(Handler)

    @property
    def url(self) -> str:
        """For `--proxy`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _listen(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *words: Any) -> None:
            """A client that goes away in the middle is what tests are about."""

    server = Server(("127.0.0.1", 0), handler)
    # It looks so often whether it is to stop: the default makes every test half a second longer.
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
