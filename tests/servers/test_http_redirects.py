"""Where HTTP servers may send us, and servers that are no WebDAV servers."""

from __future__ import annotations

import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.http_doors import DENIED, FINAL, PASSING, OpenHttp, failing, names
from tests.servers.scripted_http import Asked, ScriptedHttp
from tests.servers.webdav_server import WebDavServer
from tests.servers.xrootd_server import XRootDServer
from transformation.model.failures import Failure
from transformation.storage.http_client import Limits


def test_a_redirected_upload_keeps_its_body_and_loses_its_token(
    open_http: OpenHttp, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARER_TOKEN", "a.b.c")
    taken = bytearray()

    def data_server(asked: Asked) -> None:
        taken.extend(there.requests[-1].body)
        asked.say(201)

    def http_door(asked: Asked) -> None:
        length = str(len(taken)) if asked.command == "HEAD" else "0"
        asked.say(200, Content_Length=length, Digest=f"adler32={zlib.adler32(bytes(taken)):08x}")

    with ScriptedHttp(data_server) as there, ScriptedHttp(http_door) as here:
        here.redirects = lambda path: f"{there.url}/data?ticket=1"
        open_http().put(large, f"{here.url}/f")
        assert bytes(taken) == large.read_bytes()
        (put,) = there.requests
        assert (put.method, put.path) == ("PUT", "/data?ticket=1")
        assert "authorization" not in put.headers
        methods = [request.method for request in here.requests]
        assert methods == ["PUT", "HEAD", "MOVE"]
        assert {request.headers["authorization"] for request in here.requests} == {"Bearer a.b.c"}
        assert here.requests[0].body == b""


def test_a_redirect_that_asks_for_nothing_and_is_answered_at_once_is_heard(open_http: OpenHttp, large: Path) -> None:
    """A server that refuses before it has read the body, and hangs up."""

    def listen(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65_536)
            sock.sendall(b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(listen, listener)
        url = f"http://localhost:{listener.getsockname()[1]}/f"
        hasty = Limits(silence_s=0.5)
        assert failing(lambda: open_http(hasty).put(large, url)) == (Failure.STORAGE_FULL, False)


def test_a_redirector_is_not_called_exclusive(http_door: XRootDServer, open_http: OpenHttp, small: Path) -> None:
    with ScriptedHttp(lambda asked: asked.say(307, Location=target(asked.path))) as manager:

        def target(path: str) -> str:
            return f"http://localhost:{http_door.http_port}{path}"

        manager.redirects = target
        storage, base = open_http(), f"{manager.url}/store/redirected-{time.monotonic_ns()}"
        assert not storage.survey(base).exclusive
        storage.put(small, f"{base}/f")
        assert storage.adler32(f"{base}/f") == f"{zlib.adler32(small.read_bytes()):08x}"
        assert storage.create(f"{base}/made", b"x")
        assert not storage.create(f"{base}/made", b"x")
        assert sorted(entry.name for entry in storage.list(base)) == ["f", "made"]


@pytest.mark.parametrize("target", ["ftp://localhost/f", "file:///etc/passwd", "https://user:word@localhost/f", "loop"])
def test_redirects_that_are_refused(open_http: OpenHttp, target: str) -> None:
    with ScriptedHttp(lambda asked: asked.say(302, Location="/f" if target == "loop" else target)) as server:
        expected = FINAL if target == "loop" else DENIED
        assert failing(lambda: open_http().read(f"{server.url}/f", limit_bytes=10)) == expected


# -- servers that are no WebDAV servers


def test_a_web_server_without_webdav_can_be_read(open_http: OpenHttp, tmp_path: Path) -> None:
    def script(asked: Asked) -> None:
        if asked.command in {"GET", "HEAD"}:
            asked.say(200, b"content")
        else:
            asked.say(501, b"<html>what?</html>")

    with ScriptedHttp(script) as server:
        storage, url = open_http(), f"{server.url}/f"
        found = storage.stat(url)
        assert found is not None
        assert found.size_bytes == 7
        assert storage.adler32(url) == f"{zlib.adler32(b'content'):08x}"
        storage.get(url, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"content"
        # A file that were packed on its way would be stored as it came.
        assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}
        assert failing(lambda: storage.list(server.url + "/")) == DENIED


def test_a_listing_that_lies_is_no_empty_folder(open_http: OpenHttp) -> None:
    listing = (
        b'<D:multistatus xmlns:D="DAV:"><D:response><D:href>/a/</D:href><D:propstat><D:prop><D:resourcetype>'
        b"<D:collection/></D:resourcetype></D:prop></D:propstat></D:response><D:response><D:href>/a/%2e%2e</D:href>"
        b"<D:propstat><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:propstat></D:response>"
        b"</D:multistatus>"
    )
    with ScriptedHttp(lambda asked: asked.say(404 if asked.path != "/a" else 207, listing)) as server:
        assert failing(lambda: open_http().list(f"{server.url}/a")) == PASSING


def test_a_folder_is_not_deleted(http_door: XRootDServer, open_http: OpenHttp, tmp_path: Path) -> None:
    server = WebDavServer(tmp_path)
    try:
        for base in (f"{http_door.http_url}/kept-{time.monotonic_ns()}", server.url):
            storage = open_http()
            storage.create(f"{base}/folder/f", b"x")
            storage.delete(f"{base}/folder")
            assert storage.read(f"{base}/folder/f", limit_bytes=1) == b"x"
    finally:
        server.close()


def test_who_keeps_to_the_book_is_not_called_exclusive(open_http: OpenHttp, tmp_path: Path) -> None:
    """Because it removes a folder with all that is in it, and with it somebody's slot."""
    (tmp_path / "store").mkdir()
    server = WebDavServer(tmp_path / "store")
    try:
        storage = open_http()
        assert not storage.survey(f"{server.url}/job").exclusive
        assert names(server.store) == []
        assert storage.create(f"{server.url}/job/f", b"x")
        assert not storage.create(f"{server.url}/job/f", b"y")
        assert names(server.store) == ["f"]
    finally:
        server.close()
