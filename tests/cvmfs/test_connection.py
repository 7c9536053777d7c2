"""One connection against servers that answer as the standard allows, or not."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.repository.http import Absent, Route


@contextmanager
def answering(*answers: bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that gives these answers one after the other, a connection each; its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                with suppress(OSError):
                    near, _ = listener.accept()
                    if context is not None:
                        near = context.wrap_socket(near, server_side=True)
                    with near:
                        near.recv(4096)
                        near.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def fetched(place: str, scheme: str = "http") -> bytes:
    route = Route(f"{scheme}://{place}/cvmfs/x", timeout_s=10)
    try:
        return route.get("file", limit_bytes=1000)
    finally:
        route.close()


GOOD = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "until it closes": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
    "announced": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello",
}


@pytest.mark.parametrize("form", GOOD)
def test_forms_of_a_body(form: str) -> None:
    with answering(GOOD[form]) as place:
        assert fetched(place) == b"hello"


BAD = {
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", "answers no HTTP"),
    "nothing": (b"", "without an answer"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "in the head"),
    "half a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhe", "7 bytes early"),
    "no number": (b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", "'five' for a number"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % one for one in range(200)), "too many"),
    "busy": (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "answers 503 Busy"),
}


@pytest.mark.parametrize("form", BAD)
def test_what_is_no_answer(form: str) -> None:
    answer, says = BAD[form]
    with answering(answer) as place, pytest.raises(KitError, match=says) as caught:
        fetched(place)
    assert caught.value.exit is Exit.UNREACHABLE


def test_what_is_not_there_and_what_is_too_long() -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\n\r\n") as place, pytest.raises(Absent):
        fetched(place)
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(2000)
    with answering(long) as place, pytest.raises(KitError, match="larger than") as caught:
        fetched(place)
    assert caught.value.exit is Exit.OBJECTS_BAD


def test_tls_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "9000",
        "-subj",
        "/CN=x",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(["openssl", "req", "-x509", *words, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with (
        answering(GOOD["length"], context=context) as place,
        pytest.raises(KitError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        fetched(place, "https")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
    with answering(GOOD["length"], context=context) as place:
        assert fetched(place, "https") == b"hello"
