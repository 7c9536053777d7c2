"""What a job meets at HTTP doors: each fault ends in bounded time, with the right error, and nothing half-made."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conformance.scripted_storage import Killed
from tests.servers.conftest import StartXRootD
from tests.servers.credentials import Authority, has_scitokens
from tests.servers.proxy import Proxy
from tests.servers.scripted_http import Asked, ScriptedHttp
from tests.servers.webdav_server import WebDavServer
from tests.servers.xrootd_server import Options, XRootDServer
from tests.unit.commit_world import World, killing_storage
from transformation.model.failures import Failure
from transformation.ports import Expected, Landing, Missing, SourceError, StorageError
from transformation.sources.http import HttpSource
from transformation.storage.http import HttpStorage
from transformation.storage.http_client import Limits
from transformation.storage.retrying import RetryingStorage

IMPATIENT = Limits(connect_s=2.0, silence_s=3.0, base_s=8.0)
HASTY = Limits(connect_s=2.0, silence_s=4.0, base_s=1.0, slowest_bytes_per_s=1e12)
"""Ended by the clock though the server is never silent for long."""
BOUND_S = 15.0
"""No fault may take longer with these, on a busy machine."""
LARGE_BYTES = 12_000_000
TEMPORARY = ".f.fits.token-1.part"

OpenStorage = Callable[..., HttpStorage]
PASSING = (Failure.STORAGE_UNREACHABLE, True)
FINAL = (Failure.STORAGE_UNREACHABLE, False)
DENIED = (Failure.STORAGE_DENIED, False)


@pytest.fixture
def open_storage() -> Iterator[OpenStorage]:
    """Storages with short time-outs, in the environment of the moment."""
    opened: list[HttpStorage] = []

    def open_one(limits: Limits = IMPATIENT) -> HttpStorage:
        opened.append(HttpStorage(limits=limits))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def door(xrootd_software: None) -> Iterator[XRootDServer]:
    """A healthy door that tests share, each in a folder of its own."""
    server = XRootDServer(Options(http=True)).start()
    yield server
    server.close()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"image " * 1000)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE_BYTES))
    return path


@contextmanager
def bounded(bound_s: float = BOUND_S) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < bound_s


def failing(call: Callable[[], object]) -> tuple[Failure, bool]:
    """What it fails with, in bounded time."""
    with bounded(), pytest.raises(StorageError) as caught:
        call()
    assert not isinstance(caught.value, Missing)
    return caught.value.failure, caught.value.transient


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def wait_until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def check_works_again(server: XRootDServer, storage: HttpStorage, path: Path) -> None:
    wait_until(lambda: names(server.store) == [])
    with bounded():
        storage.put(path, f"{server.http_url}/{TEMPORARY}")
    assert (server.store / TEMPORARY).read_bytes() == path.read_bytes()
    assert names(server.store) == [TEMPORARY]


@contextmanager
def in_mid_copy(server: XRootDServer, storage: HttpStorage, large: Path, rate: float = 1e7) -> Iterator[Future[None]]:
    """A large upload through a slow line, of which some has arrived."""
    with Proxy(server.http_port) as proxy, ThreadPoolExecutor(1) as pool:
        proxy.bytes_per_s = rate
        upload = pool.submit(storage.put, large, f"http://localhost:{proxy.port}/store/{TEMPORARY}")
        wait_until(lambda: proxy.sent_bytes > rate / 5)
        yield upload


# -- servers that are away, silent or slow


def test_refused(start_xrootd: StartXRootD, open_storage: OpenStorage, small: Path) -> None:
    server, storage = start_xrootd(http=True), open_storage()
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


def test_silent(open_storage: OpenStorage, small: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://localhost:{deaf.getsockname()[1]}/f"
        hasty = Limits(silence_s=0.5)
        assert failing(lambda: open_storage(hasty).stat(url)) == PASSING
        assert failing(lambda: open_storage(hasty).put(small, url)) == PASSING


def test_silent_in_the_handshake(open_storage: OpenStorage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"https://localhost:{deaf.getsockname()[1]}/f"
        assert failing(lambda: open_storage(Limits(connect_s=0.5)).stat(url)) == PASSING


def test_no_such_host(open_storage: OpenStorage) -> None:
    assert failing(lambda: open_storage().stat("davs://no-such-host.invalid/f")) == FINAL


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_trickles(open_storage: OpenStorage, part: str) -> None:
    over = threading.Event()

    def script(asked: Asked) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        if part == "body":
            asked.wfile.write(head)
        asked.trickle((b"" if part == "body" else head) + b"x" * 1000, over)

    with ScriptedHttp(script) as server:
        assert failing(lambda: open_storage(HASTY).read(f"{server.url}/f", limit_bytes=2000)) == PASSING
        over.set()


def test_an_upload_that_trickles(start_xrootd: StartXRootD, open_storage: OpenStorage, large: Path) -> None:
    server = start_xrootd(http=True)
    with in_mid_copy(server, open_storage(HASTY), large, rate=1e6) as upload:
        assert failing(lambda: upload.result(BOUND_S)) == PASSING
    check_works_again(server, open_storage(), large)


@pytest.mark.parametrize("fault", ["kill", "freeze", "restart"])
def test_fault_in_mid_copy(start_xrootd: StartXRootD, open_storage: OpenStorage, large: Path, fault: str) -> None:
    server, storage = start_xrootd(http=True), open_storage()
    with in_mid_copy(server, storage, large) as upload:
        {"kill": server.kill, "freeze": server.freeze, "restart": server.restart}[fault]()
        assert failing(lambda: upload.result(BOUND_S)) == PASSING
        assert TEMPORARY not in names(server.store)
    if fault == "kill":
        server.start()
    if fault == "freeze":
        server.thaw()
    check_works_again(server, storage, large)


def test_closing_ends_uploads(start_xrootd: StartXRootD, open_storage: OpenStorage, large: Path) -> None:
    server, storage = start_xrootd(http=True), open_storage(Limits())
    coat = RetryingStorage(storage)
    with in_mid_copy(server, storage, large) as upload:
        with bounded(5.0):
            coat.close()
        assert isinstance(upload.exception(5.0), StorageError)
    with bounded(5.0), pytest.raises(StorageError, match="closed"):
        coat.stat(f"{server.http_url}/f")
    wait_until(lambda: names(server.store) == [])


def test_a_full_disk(start_xrootd: StartXRootD, open_storage: OpenStorage, tmp_path: Path, small: Path) -> None:
    """The door breaks the connection, whatever was asked."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    server, storage = start_xrootd(http=True, capacity_mb=2), open_storage()
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    assert failing(lambda: storage.put(tmp_path / "big", f"{server.http_url}/f")) == PASSING
    check_works_again(server, storage, small)


# -- bytes that are not those that were sent


def test_damaged_on_its_way(door: XRootDServer, open_storage: OpenStorage, large: Path) -> None:
    folder = f"damaged-{time.monotonic_ns()}"
    with Proxy(door.http_port) as proxy:
        url = f"http://localhost:{proxy.port}/store/{folder}/f"
        proxy.damages = 1
        assert failing(lambda: open_storage().put(large, url)) == (Failure.STORAGE_DAMAGED, True)
        assert names(door.store / folder) == []
        proxy.damages = 1
        RetryingStorage(open_storage()).put(large, url)
    assert (door.store / folder / "f").read_bytes() == large.read_bytes()


def test_a_checksum_that_fails_without_cause_costs_no_upload(
    start_xrootd: StartXRootD, open_storage: OpenStorage, large: Path
) -> None:
    server = start_xrootd(http=True, checksum_fails_first=True)
    with Proxy(server.http_port) as proxy:
        storage, url = RetryingStorage(open_storage()), f"http://localhost:{proxy.port}/store/f"
        storage.put(large, url)
        assert storage.adler32(url) == f"{zlib.adler32(large.read_bytes()):08x}"
        assert LARGE_BYTES < proxy.sent_bytes < 1.1 * LARGE_BYTES


def test_a_checksum_that_is_never_told_costs_no_upload(open_storage: OpenStorage, small: Path) -> None:
    def script(asked: Asked) -> None:
        if "Want-Digest" in asked.headers:
            server.over.wait()
            return
        asked.say(200, Content_Length=str(small.stat().st_size) if asked.command == "HEAD" else "0")

    with ScriptedHttp(script) as server, bounded():
        open_storage(Limits(checksum_s=0.3)).put(small, f"{server.url}/f")
        assert [request.method for request in server.requests] == ["PUT", "HEAD", "HEAD", "MOVE"]


def test_a_file_that_shrinks_while_it_is_sent(door: XRootDServer, open_storage: OpenStorage, large: Path) -> None:
    folder = f"shrinks-{time.monotonic_ns()}"
    with Proxy(door.http_port) as proxy, ThreadPoolExecutor(1) as pool:
        proxy.bytes_per_s = 1e7
        upload = pool.submit(open_storage().put, large, f"http://localhost:{proxy.port}/store/{folder}/f")
        wait_until(lambda: proxy.sent_bytes > 2_000_000)
        os.truncate(large, 1000)
        assert failing(lambda: upload.result(BOUND_S)) == (Failure.OUTPUT_MISSING, False)
    wait_until(lambda: names(door.store / folder) == [])


def test_a_broken_download_goes_on_where_it_was(
    door: XRootDServer, open_storage: OpenStorage, large: Path, tmp_path: Path
) -> None:
    storage, folder = open_storage(), f"broken-{time.monotonic_ns()}"
    storage.put(large, f"{door.http_url}/{folder}/f")
    with Proxy(door.http_port) as proxy:
        url = f"http://localhost:{proxy.port}/store/{folder}/f"
        proxy.cut_after_bytes = LARGE_BYTES // 2
        assert failing(lambda: storage.get(url, tmp_path / "back")) == PASSING
        assert not (tmp_path / "back").exists()
        storage.get(url, tmp_path / "back")
        assert proxy.received_bytes < 1.2 * LARGE_BYTES
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "large"]


def test_a_file_that_changed_meanwhile_is_not_put_together(
    door: XRootDServer, open_storage: OpenStorage, large: Path, tmp_path: Path
) -> None:
    storage, folder = open_storage(), f"changed-{time.monotonic_ns()}"
    storage.put(large, f"{door.http_url}/{folder}/f")
    with Proxy(door.http_port) as proxy:
        url = f"http://localhost:{proxy.port}/store/{folder}/f"
        proxy.cut_after_bytes = LARGE_BYTES // 2
        assert failing(lambda: storage.get(url, tmp_path / "back")) == PASSING
        large.write_bytes(os.urandom(LARGE_BYTES))
        # XRootD keeps checksums by the second in which a file was written.
        time.sleep(1.1)
        storage.put(large, f"{door.http_url}/{folder}/f")
        assert failing(lambda: storage.get(url, tmp_path / "back")) == (Failure.STORAGE_DAMAGED, True)
        storage.get(url, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == large.read_bytes()


def test_a_broken_download_is_tidied_away(
    door: XRootDServer, open_storage: OpenStorage, large: Path, tmp_path: Path
) -> None:
    storage, folder = open_storage(), f"tidied-{time.monotonic_ns()}"
    storage.put(large, f"{door.http_url}/{folder}/f")
    with Proxy(door.http_port) as proxy:
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


# -- creating a file that nobody else creates


@pytest.mark.parametrize("died", ["before its slot", "in the slot", "when it was done"])
def test_a_writer_that_died_blocks_nobody(door: XRootDServer, open_storage: OpenStorage, died: str) -> None:
    storage, base = open_storage(), f"{door.http_url}/died-{time.monotonic_ns()}"
    folder = door.store / base.rpartition("/")[2]
    assert storage.create(f"{base}/other", b"x")
    if died == "in the slot":
        storage.create(f"{base}/.f.slot/dead", b"of the dead")
    elif died == "before its slot":
        storage.create(f"{base}/.f.dead.new/dead", b"of the dead")
    else:
        assert storage.create(f"{base}/f", b"of the dead")
        storage.create(f"{base}/.f.slot/x", b"x")
        storage.delete(f"{base}/.f.slot/x")
    assert storage.create(f"{base}/f", b"of the living") is (died == "before its slot")
    assert storage.read(f"{base}/f", limit_bytes=100) == (
        b"of the living" if died == "before its slot" else b"of the dead"
    )
    storage.delete(f"{base}/f")
    storage.create(f"{base}/.f.slot/dead", b"of the dead")
    assert storage.create(f"{base}/.f", b"not the same file")
    storage.delete(f"{base}/.f.slot/dead")
    assert storage.create(f"{base}/f", b"again")
    assert not (folder / ".f.slot").exists()


def test_two_storages_create_one_file(door: XRootDServer, open_storage: OpenStorage) -> None:
    storages = [open_storage() for _ in range(6)]
    for turn in range(5):
        url = f"{door.http_url}/two-{turn}-{time.monotonic_ns()}/f"
        start = threading.Barrier(len(storages))

        def create(number: int, url: str = url, start: threading.Barrier = start) -> bool:
            start.wait(10)
            return storages[number].create(url, b"%d" % number)

        with ThreadPoolExecutor(len(storages)) as pool:
            won = list(pool.map(create, range(len(storages))))
        assert won.count(True) == 1
        assert storages[0].read(url, limit_bytes=10) == b"%d" % won.index(True)


@pytest.mark.parametrize(("manner", "steps"), [("before", (1, 5, 9, 13)), ("middle", (1, 8)), ("after", (2, 7, 9, 12))])
def test_a_kill_at_any_call_costs_at_most_this_unit(
    door: XRootDServer, open_storage: OpenStorage, tmp_path: Path, manner: str, steps: tuple[int, ...]
) -> None:
    storage = open_storage()
    for step in steps:
        world = World(storage, f"{door.http_url}/kills-{manner}-{step}-{time.monotonic_ns()}", tmp_path)
        with suppress(Killed):
            world.commit("a", killing_storage(world, step, manner))
        world.check_visible()
        committed = world.manifest() is not None
        world.attempt("b")
        assert world.check_done().token == ("a" if committed else "b")


# -- redirects


def test_a_redirected_upload_keeps_its_body_and_loses_its_token(
    open_storage: OpenStorage, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARER_TOKEN", "a.b.c")
    taken = bytearray()

    def data_server(asked: Asked) -> None:
        taken.extend(there.requests[-1].body)
        asked.say(201)

    def door(asked: Asked) -> None:
        length = str(len(taken)) if asked.command == "HEAD" else "0"
        asked.say(200, Content_Length=length, Digest=f"adler32={zlib.adler32(bytes(taken)):08x}")

    with ScriptedHttp(data_server) as there, ScriptedHttp(door) as here:
        here.redirects = lambda path: f"{there.url}/data?ticket=1"
        open_storage().put(large, f"{here.url}/f")
        assert bytes(taken) == large.read_bytes()
        (put,) = there.requests
        assert (put.method, put.path) == ("PUT", "/data?ticket=1")
        assert "authorization" not in put.headers
        methods = [request.method for request in here.requests]
        assert methods == ["PUT", "HEAD", "MOVE"]
        assert {request.headers["authorization"] for request in here.requests} == {"Bearer a.b.c"}
        assert here.requests[0].body == b""


def test_a_redirect_that_asks_for_nothing_and_is_answered_at_once_is_heard(
    open_storage: OpenStorage, large: Path
) -> None:
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
        assert failing(lambda: open_storage(hasty).put(large, url)) == (Failure.STORAGE_FULL, False)


def test_a_redirector_is_not_called_exclusive(door: XRootDServer, open_storage: OpenStorage, small: Path) -> None:
    with ScriptedHttp(lambda asked: asked.say(307, Location=target(asked.path))) as manager:

        def target(path: str) -> str:
            return f"http://localhost:{door.http_port}{path}"

        manager.redirects = target
        storage, base = open_storage(), f"{manager.url}/store/redirected-{time.monotonic_ns()}"
        assert not storage.survey(base).exclusive
        storage.put(small, f"{base}/f")
        assert storage.adler32(f"{base}/f") == f"{zlib.adler32(small.read_bytes()):08x}"
        assert storage.create(f"{base}/made", b"x")
        assert not storage.create(f"{base}/made", b"x")
        assert sorted(entry.name for entry in storage.list(base)) == ["f", "made"]


@pytest.mark.parametrize("target", ["ftp://localhost/f", "file:///etc/passwd", "https://user:word@localhost/f", "loop"])
def test_redirects_that_are_refused(open_storage: OpenStorage, target: str) -> None:
    with ScriptedHttp(lambda asked: asked.say(302, Location="/f" if target == "loop" else target)) as server:
        expected = FINAL if target == "loop" else DENIED
        assert failing(lambda: open_storage().read(f"{server.url}/f", limit_bytes=10)) == expected


# -- who we are, and whom we believe


def tls_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server_certificate, authority.server_key)
    return context


def test_no_redirect_leads_out_of_tls(
    open_storage: OpenStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "tls")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca_file))
    with ScriptedHttp(lambda asked: asked.say(200, b"x")) as plain:
        script = lambda asked: asked.say(307, Location=f"{plain.url}/f")  # noqa: E731
        with ScriptedHttp(script, context=tls_context(authority)) as server:
            assert failing(lambda: open_storage().read(f"{server.url}/f", limit_bytes=10)) == DENIED
        assert plain.requests == []


def test_a_token_does_not_go_over_an_open_line(open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARER_TOKEN", "a.b.c")
    with ScriptedHttp(lambda asked: asked.say(200, b"x")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert open_storage().read("http://storage.example.org/f", limit_bytes=10) == b"x"
        (request,) = proxy.requests
        assert request.path == "http://storage.example.org/f"
        assert "authorization" not in request.headers


@pytest.mark.skipif(not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens")
def test_tokens(start_xrootd: StartXRootD, open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    server, storage = start_xrootd(http=True, tls=True, token=True), open_storage()
    monkeypatch.setenv("X509_CERT_DIR", str(server.ca_folder))
    file = server.folder / "token"
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(file))
    url = f"{server.http_url}/f"
    assert failing(lambda: storage.create(url, b"x")) == DENIED
    file.write_text(server.token_file(lifetime_s=600, scope="storage.read:/").read_text())
    assert failing(lambda: storage.create(url, b"x")) == DENIED
    file.write_text(server.token_file(lifetime_s=-60).read_text())
    assert failing(lambda: storage.create(url, b"x")) == (Failure.CREDENTIAL_EXPIRED, False)
    file.write_text(server.token_file(lifetime_s=600).read_text())  # as who looks after it does meanwhile
    assert storage.create(url, b"x")


def test_a_server_that_nobody_vouches_for(
    start_xrootd: StartXRootD, open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = start_xrootd(http=True, tls=True)
    for name, place in (
        ("X509_CERT_DIR", Authority(tmp_path / "other").ca_folder),
        ("X509_CERT_DIR", Path("/nowhere")),
    ):
        monkeypatch.setenv(name, str(place))
        assert failing(lambda: open_storage().create(f"{server.http_url}/f", b"x")) == FINAL
    assert names(server.store) == []
    monkeypatch.delenv("X509_CERT_DIR")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca_file))
    assert open_storage().create(f"{server.http_url}/f", b"x")


def test_a_proxy_certificate_is_shown(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To a server that lets nobody in without; one that has expired is told apart, a new one is taken at once."""
    authority = Authority(tmp_path / "tls")
    monkeypatch.setenv("X509_CERT_DIR", str(authority.ca_folder))
    context = tls_context(authority)
    # With TLS 1.3 what the server says of our certificate may be lost in the connection that it closes.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    proxy = tmp_path / "proxy.pem"
    shown: list[object] = []

    def script(asked: Asked) -> None:
        shown.append(asked.connection.getpeercert()["subject"])  # type: ignore[attr-defined]
        asked.say(200, b"x")

    with ScriptedHttp(script, context=context) as server:
        storage, url = open_storage(), f"{server.url}/f"
        assert failing(lambda: storage.read(url, limit_bytes=10)) == FINAL
        monkeypatch.setenv("X509_USER_PROXY", str(proxy))
        proxy.write_text(user_certificate(authority, tmp_path, days=-1))
        assert failing(lambda: storage.read(url, limit_bytes=10)) == (Failure.CREDENTIAL_EXPIRED, False)
        proxy.write_text(user_certificate(authority, tmp_path, days=2))
        assert storage.read(url, limit_bytes=10) == b"x"
        assert shown == [((("commonName", "imsim"),),)]
        proxy.write_text("no certificate")
        assert failing(lambda: storage.read(url, limit_bytes=10)) == FINAL


def user_certificate(authority: Authority, folder: Path, *, days: int) -> str:
    """Certificate and key of `imsim`, in one file as a proxy is."""
    key, request, certificate = (folder / f"user.{kind}" for kind in ("key", "csr", "pem"))
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=imsim"]
    ca_key = authority.server_key.with_name("ca.key")
    sign = ["x509", "-req", "-in", request, "-CA", authority.ca_file, "-CAkey", ca_key, "-CAcreateserial"]
    for words in ([*new, "-keyout", key, "-out", request], [*sign, "-days", str(days), "-out", certificate]):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    return certificate.read_text() + key.read_text()


# -- servers that are no WebDAV servers


def test_a_web_server_without_webdav_can_be_read(open_storage: OpenStorage, tmp_path: Path) -> None:
    def script(asked: Asked) -> None:
        if asked.command in {"GET", "HEAD"}:
            asked.say(200, b"content")
        else:
            asked.say(501, b"<html>what?</html>")

    with ScriptedHttp(script) as server:
        storage, url = open_storage(), f"{server.url}/f"
        found = storage.stat(url)
        assert found is not None
        assert found.size_bytes == 7
        assert storage.adler32(url) == f"{zlib.adler32(b'content'):08x}"
        storage.get(url, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"content"
        # A file that were packed on its way would be stored as it came.
        assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}
        assert failing(lambda: storage.list(server.url + "/")) == DENIED


def test_a_listing_that_lies_is_no_empty_folder(open_storage: OpenStorage) -> None:
    listing = (
        b'<D:multistatus xmlns:D="DAV:"><D:response><D:href>/a/</D:href><D:propstat><D:prop><D:resourcetype>'
        b"<D:collection/></D:resourcetype></D:prop></D:propstat></D:response><D:response><D:href>/a/%2e%2e</D:href>"
        b"<D:propstat><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:propstat></D:response>"
        b"</D:multistatus>"
    )
    with ScriptedHttp(lambda asked: asked.say(404 if asked.path != "/a" else 207, listing)) as server:
        assert failing(lambda: open_storage().list(f"{server.url}/a")) == PASSING


def test_a_folder_is_not_deleted(door: XRootDServer, open_storage: OpenStorage, tmp_path: Path) -> None:
    server = WebDavServer(tmp_path)
    try:
        for base in (f"{door.http_url}/kept-{time.monotonic_ns()}", server.url):
            storage = open_storage()
            storage.create(f"{base}/folder/f", b"x")
            storage.delete(f"{base}/folder")
            assert storage.read(f"{base}/folder/f", limit_bytes=1) == b"x"
    finally:
        server.close()


def test_who_keeps_to_the_book_is_not_called_exclusive(open_storage: OpenStorage, tmp_path: Path) -> None:
    """Because it removes a folder with all that is in it, and with it somebody's slot."""
    (tmp_path / "store").mkdir()
    server = WebDavServer(tmp_path / "store")
    try:
        storage = open_storage()
        assert not storage.survey(f"{server.url}/job").exclusive
        assert names(server.store) == []
        assert storage.create(f"{server.url}/job/f", b"x")
        assert not storage.create(f"{server.url}/job/f", b"y")
        assert names(server.store) == ["f"]
    finally:
        server.close()
