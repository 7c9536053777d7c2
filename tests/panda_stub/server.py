"""The HTTP side: envelopes, types of parameters, and every way a server can misbehave."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.panda_stub.tasks import Server

TOKEN = "header.eyJleHAiOiA0MTAyNDQ0ODAwfQ.signature"
"""Its claims say that it ends in the year 2100."""


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong, by method name (`task/submit`), or `*` for all."""

    kinds: dict[str, str] = field(default_factory=dict)
    """`401`, `403`, `500`, `html`, `garbage`, `refuse`, `silent`, `hang up`, `lost answer`."""
    release: threading.Event = field(default_factory=threading.Event)
    """Lets the silent go on."""

    def of(self, method: str) -> str:
        return self.kinds.get(method, self.kinds.get("*", ""))


@dataclass(slots=True, kw_only=True)
class PandaStub:
    """A running server."""

    url: str
    server: Server
    faults: Faults
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Method and parameters of each request that was understood."""
    tokens: set[str] = field(default_factory=lambda: {TOKEN})

    waits: int = 1
    """How often who asks for a token is told that nobody has signed in yet."""

    def sign_in(self, path: str, url: str) -> tuple[int, dict[str, Any]]:
        """The device flow of OpenID Connect (RFC 8628)."""
        if path == "/device":
            address = f"{url}/activate?user_code=ABCD"
            return 200, {"device_code": "d", "verification_uri_complete": address, "interval": 0, "expires_in": 60}
        self.waits -= 1
        if self.waits >= 0:
            return 400, {"error": "authorization_pending"}
        return 200, {"id_token": TOKEN, "refresh_token": "r"}

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)


@contextmanager
def running_stub() -> Iterator[PandaStub]:
    """Serve on a free port of this machine until the block ends."""
    faults = Faults()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = True
        stub = PandaStub(url=f"http://127.0.0.1:{http.server_port}", server=Server(), faults=faults)
        http.stub = stub  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield stub
        finally:
            faults.release.set()
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        stub: PandaStub = self.server.stub  # type: ignore[attr-defined]
        page = login_page(stub.url, urlsplit(self.path).path)
        if page is not None:
            self._reply(200, json.dumps(page).encode(), "application/json")
            return
        query = parse_qs(urlsplit(self.path).query)
        self._serve("GET", {key: values[0] for key, values in query.items()})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        stub: PandaStub = self.server.stub  # type: ignore[attr-defined]
        if self.path in {"/device", "/token"}:
            status, answer = stub.sign_in(self.path, stub.url)
            self._reply(status, json.dumps(answer).encode(), "application/json")
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._serve("POST", json.loads(body or b"{}"))

    def _serve(self, verb: str, parameters: dict[str, Any]) -> None:
        stub: PandaStub = self.server.stub  # type: ignore[attr-defined]
        path = urlsplit(self.path).path
        method = path.removeprefix("/api/v1/")
        fault = stub.faults.of(method)
        if self._failed(fault, stub):
            return
        function = METHODS.get((verb, method))
        if not path.startswith("/api/v1/") or function is None:
            self._reply(403, f"ERROR : method {method} is forbidden".encode(), "text/plain")
            return
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in stub.tokens:
            self._reply(403, b"ERROR : token is not valid", "text/plain")
            return
        stub.calls.append((method, parameters))
        answer = function(stub.server, parameters)
        if fault == "lost answer":
            self.close_connection = True
            return
        if fault == "refuse":
            answer = {"success": False, "message": "database error in the PanDA server", "data": None}
        self._reply(200, json.dumps(answer).encode(), "application/json")

    def _failed(self, fault: str, stub: PandaStub) -> bool:
        if fault in {"401", "500"}:
            self._reply(int(fault), b"no", "text/plain")
        elif fault == "403":
            self._reply(403, b"ERROR : token expired", "text/plain")
        elif fault == "html":
            self._reply(200, b"<html><body>Welcome to the hotel</body></html>", "text/html")
        elif fault == "garbage":
            self._reply(200, b"\x00\xff{", "application/json")
        elif fault == "silent":
            stub.faults.release.wait(60)
            self.close_connection = True
        elif fault == "hang up":
            self.close_connection = True
        else:
            return False
        return True

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def login_page(url: str, path: str) -> dict[str, Any] | None:
    """Where a client finds out how to log in."""
    if path.startswith("/auth/"):
        config = {"client_id": "c", "client_secret": "s", "audience": "https://panda", "vo": "Rubin"}
        return {**config, "oidc_config_url": f"{url}/oidc"}
    if path == "/oidc":
        return {"token_endpoint": f"{url}/token", "device_authorization_endpoint": f"{url}/device"}
    return None


Method = Callable[[Server, dict[str, Any]], dict[str, Any]]
METHODS: dict[tuple[str, str], Method] = {
    ("POST", "task/submit"): lambda server, asked: server.submit_task(asked["task_parameters"]),
    ("GET", "task/get_status"): lambda server, asked: server.task_status(int(asked["task_id"])),
    ("POST", "task/kill"): lambda server, asked: server.command(asked["task_id"], "kill"),
    ("POST", "task/retry"): lambda server, asked: server.command(asked["task_id"], "retry"),
    ("GET", "task/get_job_descriptions"): lambda server, asked: server.job_descriptions(int(asked["task_id"])),
    ("GET", "task/get_tasks_modified_since"): lambda server, asked: server.tasks_since(asked["since"]),
    ("GET", "task/get_task_parameters"): lambda server, asked: server.task_parameters(int(asked["task_id"])),
    ("POST", "job/submit"): lambda server, asked: server.submit_jobs(asked["jobs"]),
    ("POST", "job/get_description"): lambda server, asked: server.describe(asked["job_ids"]),
    ("POST", "job/get_description_incl_archive"): lambda server, asked: server.describe(asked["job_ids"]),
    ("POST", "job/kill"): lambda server, asked: server.kill_jobs(asked["job_ids"]),
    ("GET", "system/is_alive"): lambda _server, _asked: {"success": True, "message": "alive=yes", "data": None},
}
