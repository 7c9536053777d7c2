"""What a job meets at HTTP doors: each fault ends in bounded time, with the right error, and nothing half-made."""

from __future__ import annotations

import os
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers.bounds import BOUND_S, bounded, wait_until
from tests.servers.conftest import StartXRootD
from tests.servers.http_doors import (
    FINAL,
    HASTY,
    IMPATIENT,
    LARGE_BYTES,
    PASSING,
    TEMPORARY,
    OpenHttp,
    check_works_again,
    failing,
    in_mid_copy,
    names,
)
from tests.servers.proxy import Proxy
from tests.servers.scripted_http import Asked, ScriptedHttp
from tests.servers.xrootd_server import XRootDServer
from transformation.model.failures import Failure
from transformation.ports import Expected, Landing, SourceError, StorageError
from transformation.sources.http import HttpSource
from transformation.storage.http_client import Limits
from transformation.storage.retrying import RetryingStorage

# -- servers that are away, silent or slow


def test_refused(start_xrootd: StartXRootD, open_http: OpenHttp, small: Path) -> None:
    server, storage = start_xrootd(http=True), open_http()
    server.stop()
    for call in (
        lambda: storage.stat(f"{server.http_url}/f"),
        lambda: storage.list(server.http_url),
        lambda: storage.put(small, f"{server.http_url}/f"),
        lambda: storage.create(f"{server.http_url}/f", b"x"),
    ):
        assert failing(call) == PASSING
    server.start()
    check_works_again(server, storage, small)


def test_silent(open_http: OpenHttp, small: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://localhost:{deaf.getsockname()[1]}/f"
        hasty = Limits(silence_s=0.5)
        assert failing(lambda: open_http(hasty).stat(url)) == PASSING
        assert failing(lambda: open_http(hasty).put(small, url)) == PASSING


def test_silent_in_the_handshake(open_http: OpenHttp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"https://localhost:{deaf.getsockname()[1]}/f"
        assert failing(lambda: open_http(Limits(connect_s=0.5)).stat(url)) == PASSING


def test_no_such_host(open_http: OpenHttp) -> None:
    assert failing(lambda: open_http().stat("davs://no-such-host.invalid/f")) == FINAL


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_trickles(open_http: OpenHttp, part: str) -> None:
    over = threading.Event()

    def script(asked: Asked) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        if part == "body":
            asked.wfile.write(head)
        asked.trickle((b"" if part == "body" else head) + b"x" * 1000, over)

    with ScriptedHttp(script) as server:
        assert failing(lambda: open_http(HASTY).read(f"{server.url}/f", limit_bytes=2000)) == PASSING
        over.set()


def test_an_upload_that_trickles(start_xrootd: StartXRootD, open_http: OpenHttp, large: Path) -> None:
    server = start_xrootd(http=True)
    with in_mid_copy(server, open_http(HASTY), large, rate=1e6) as upload:
        assert failing(lambda: upload.result(BOUND_S)) == PASSING
    check_works_again(server, open_http(), large)


@pytest.mark.parametrize("fault", ["kill", "freeze", "restart"])
def test_fault_in_mid_copy(start_xrootd: StartXRootD, open_http: OpenHttp, large: Path, fault: str) -> None:
    server, storage = start_xrootd(http=True), open_http()
    with in_mid_copy(server, storage, large) as upload:
        {"kill": server.kill, "freeze": server.freeze, "restart": server.restart}[fault]()
        assert failing(lambda: upload.result(BOUND_S)) == PASSING
        assert TEMPORARY not in names(server.store)
    if fault == "kill":
        server.start()
    if fault == "freeze":
        server.thaw()
    check_works_again(server, storage, large)


def test_closing_ends_uploads(start_xrootd: StartXRootD, open_http: OpenHttp, large: Path) -> None:
    server, storage = start_xrootd(http=True), open_http(Limits())
    coat = RetryingStorage(storage)
    with in_mid_copy(server, storage, large) as upload:
        with bounded(5.0):
            coat.close()
        assert isinstance(upload.exception(5.0), StorageError)
    with bounded(5.0), pytest.raises(StorageError, match="closed"):
        coat.stat(f"{server.http_url}/f")
    wait_until(lambda: names(server.store) == [])


def test_a_full_disk(start_xrootd: StartXRootD, open_http: OpenHttp, tmp_path: Path, small: Path) -> None:
    """The door breaks the connection and takes empty files: that is said when it was not by chance."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    server, storage = start_xrootd(http=True, capacity_mb=2), open_http()
    url, big = f"{server.http_url}/f", tmp_path / "big"
    big.write_bytes(b"x" * 3_000_000)
    for call in (lambda: storage.put(big, url), lambda: storage.create(f"{url}/made", big.read_bytes())):
        assert [failing(call) for _ in range(4)] == [PASSING, PASSING, (Failure.STORAGE_FULL, False), PASSING]
    check_works_again(server, storage, small)


# -- bytes that are not those that were sent


def test_damaged_on_its_way(http_door: XRootDServer, open_http: OpenHttp, large: Path) -> None:
    folder = f"damaged-{time.monotonic_ns()}"
    with Proxy(http_door.http_port) as proxy:
        url = f"http://localhost:{proxy.port}/store/{folder}/f"
        proxy.damages = 1
        assert failing(lambda: open_http().put(large, url)) == (Failure.STORAGE_DAMAGED, True)
        assert names(http_door.store / folder) == []
        proxy.damages = 1
        RetryingStorage(open_http()).put(large, url)
    assert (http_door.store / folder / "f").read_bytes() == large.read_bytes()


def test_a_checksum_that_fails_without_cause_costs_no_upload(
    start_xrootd: StartXRootD, open_http: OpenHttp, large: Path
) -> None:
    server = start_xrootd(http=True, checksum_fails_first=True)
    with Proxy(server.http_port) as proxy:
        storage, url = RetryingStorage(open_http()), f"http://localhost:{proxy.port}/store/f"
        storage.put(large, url)
        assert storage.adler32(url) == f"{zlib.adler32(large.read_bytes()):08x}"
        assert LARGE_BYTES < proxy.sent_bytes < 1.1 * LARGE_BYTES


def test_a_checksum_that_is_never_told_costs_no_upload(open_http: OpenHttp, small: Path) -> None:
    def script(asked: Asked) -> None:
        if "Want-Digest" in asked.headers:
            server.over.wait()
            return
        asked.say(200, Content_Length=str(small.stat().st_size) if asked.command == "HEAD" else "0")

    with ScriptedHttp(script) as server, bounded():
        open_http(Limits(checksum_s=0.3)).put(small, f"{server.url}/f")
        assert [request.method for request in server.requests] == ["PUT", "HEAD", "HEAD", "MOVE"]


def test_a_file_that_shrinks_while_it_is_sent(http_door: XRootDServer, open_http: OpenHttp, large: Path) -> None:
    folder = f"shrinks-{time.monotonic_ns()}"
    with Proxy(http_door.http_port) as proxy, ThreadPoolExecutor(1) as pool:
        proxy.bytes_per_s = 1e7
        upload = pool.submit(open_http().put, large, f"http://localhost:{proxy.port}/store/{folder}/f")
        wait_until(lambda: proxy.sent_bytes > 2_000_000)
        os.truncate(large, 1000)
        assert failing(lambda: upload.result(BOUND_S)) == (Failure.OUTPUT_MISSING, False)
    wait_until(lambda: names(http_door.store / folder) == [])


def test_a_broken_download_goes_on_where_it_was(
    http_door: XRootDServer, open_http: OpenHttp, large: Path, tmp_path: Path
) -> None:
    storage, folder = open_http(), f"broken-{time.monotonic_ns()}"
    storage.put(large, f"{http_door.http_url}/{folder}/f")
    with Proxy(http_door.http_port) as proxy:
        url = f"http://localhost:{proxy.port}/store/{folder}/f"
        proxy.cut_after_bytes = LARGE_BYTES // 2
        assert failing(lambda: storage.get(url, tmp_path / "back")) == PASSING
        assert not (tmp_path / "back").exists()
        storage.get(url, tmp_path / "back")
        assert proxy.received_bytes < 1.2 * LARGE_BYTES
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "large"]


def test_a_file_that_changed_meanwhile_is_not_put_together(
    http_door: XRootDServer, open_http: OpenHttp, large: Path, tmp_path: Path
) -> None:
    storage, folder = open_http(), f"changed-{time.monotonic_ns()}"
    storage.put(large, f"{http_door.http_url}/{folder}/f")
    with Proxy(http_door.http_port) as proxy:
        url = f"http://localhost:{proxy.port}/store/{folder}/f"
        proxy.cut_after_bytes = LARGE_BYTES // 2
        assert failing(lambda: storage.get(url, tmp_path / "back")) == PASSING
        large.write_bytes(os.urandom(LARGE_BYTES))
        # XRootD keeps checksums by the second in which a file was written.
        time.sleep(1.1)
        storage.put(large, f"{http_door.http_url}/{folder}/f")
        assert failing(lambda: storage.get(url, tmp_path / "back")) == (Failure.STORAGE_DAMAGED, True)
        storage.get(url, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == large.read_bytes()


def test_a_broken_download_is_tidied_away(
    http_door: XRootDServer, open_http: OpenHttp, large: Path, tmp_path: Path
) -> None:
    storage, folder = open_http(), f"tidied-{time.monotonic_ns()}"
    storage.put(large, f"{http_door.http_url}/{folder}/f")
    with Proxy(http_door.http_port) as proxy:
        proxy.cut_after_bytes = LARGE_BYTES // 2
        assert (
            failing(lambda: storage.get(f"http://localhost:{proxy.port}/store/{folder}/f", tmp_path / "b")) == PASSING
        )
    storage.close()
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


@pytest.mark.parametrize("checksum", [True, False], ids=["checksums", "no checksums"])
def test_inputs_from_the_same_doors(start_xrootd: StartXRootD, large: Path, tmp_path: Path, checksum: bool) -> None:
    """A broken transfer goes on, a range may end behind the file, and checksums need not be known."""
    server = start_xrootd(http=True, checksum=checksum)
    (server.store / "f").write_bytes(large.read_bytes())
    adler32 = f"{zlib.adler32(large.read_bytes()):08x}"
    with Proxy(server.http_port) as proxy, closing(HttpSource(limits=IMPATIENT)) as source:
        url, landing = f"http://localhost:{proxy.port}/store/f", Landing(path=tmp_path / "back")
        expected = Expected(size_bytes=LARGE_BYTES, adler32=adler32)
        proxy.cut_after_bytes = LARGE_BYTES // 2
        with pytest.raises(SourceError, match="broke"):
            source.fetch(url, landing, expected)
        source.fetch(url, landing, expected)
        assert proxy.received_bytes < 1.2 * LARGE_BYTES
        assert (tmp_path / "back").read_bytes() == large.read_bytes()
        (server.store / "short").write_bytes(b"short")
        assert source.open_head(f"{server.http_url}/short", 100).start == b"short"
