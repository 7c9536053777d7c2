"""What a job meets in a bad night: each fault ends in bounded time, with the right error, and nothing half-made."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conformance.scripted_storage import Killed
from tests.servers.conftest import StartXRootD
from tests.servers.credentials import has_scitokens
from tests.servers.proxy import Proxy
from tests.servers.xrootd_server import IMPATIENT, XRootDServer
from tests.unit.commit_world import NAMES, RECEIPT, UNIT, VISIT, World, killing_storage, made_files
from transformation.model.failures import Failed, Failure
from transformation.ports import Retry, Storage, StorageError
from transformation.stage_out import commit_unit
from transformation.storage.retrying import Patience, RetryingStorage
from transformation.storage.xrootd import WallLimit, XRootDStorage

BOUND_S = 15.0
"""No fault may take longer with these settings, on a busy machine."""
LARGE_BYTES = 40_000_000
TEMPORARY = ".f.fits.token-1.part"

OpenStorage = Callable[..., XRootDStorage]


@pytest.fixture
def open_storage() -> Iterator[OpenStorage]:
    """Storages with short time-outs, in the environment of the moment."""
    opened: list[XRootDStorage] = []

    def open_one(**settings: object) -> XRootDStorage:
        options: dict[str, object] = {"client_settings": IMPATIENT, "wall_limit": WallLimit(base_s=10.0), **settings}
        opened.append(XRootDStorage(**options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
        assert one.mover_pid is None


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


def failing(call: Callable[[], object]) -> StorageError:
    with bounded(), pytest.raises(StorageError) as caught:
        call()
    return caught.value


def names(server: XRootDServer) -> list[str]:
    return sorted(path.name for path in server.store.rglob("*") if path.is_file())


def wait_until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def in_mid_copy(server: XRootDServer, storage: XRootDStorage, large: Path) -> Iterator[Future[None]]:
    """A large upload through a slow line, of which some has arrived."""
    with Proxy(server.port) as proxy, ThreadPoolExecutor(1) as pool:
        proxy.bytes_per_s = 10_000_000.0
        upload = pool.submit(storage.put, large, f"root://localhost:{proxy.port}//store/{TEMPORARY}")
        wait_until(lambda: proxy.sent_bytes > 2_000_000)
        yield upload


def check_works_again(server: XRootDServer, storage: XRootDStorage, path: Path) -> None:
    with bounded():
        storage.put(path, f"{server.root_url}/{TEMPORARY}")
    assert (server.store / TEMPORARY).read_bytes() == path.read_bytes()


# -- servers that are away


def test_refused(start_xrootd: StartXRootD, open_storage: OpenStorage, small: Path) -> None:
    server, storage = start_xrootd(), open_storage()
    server.stop()
    for call in (
        lambda: storage.stat(f"{server.root_url}/f"),
        lambda: storage.list(server.root_url),
        lambda: storage.put(small, f"{server.root_url}/f"),
        lambda: storage.create(f"{server.root_url}/f", b"x"),
    ):
        error = failing(call)
        assert (error.failure, error.transient) == (Failure.STORAGE_UNREACHABLE, True)
    server.start()
    check_works_again(server, storage, small)


def test_silent(open_storage: OpenStorage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        error = failing(lambda: open_storage().stat(f"root://localhost:{deaf.getsockname()[1]}//store/f"))
    assert (error.failure, error.transient) == (Failure.STORAGE_UNREACHABLE, True)


def test_no_such_host(open_storage: OpenStorage) -> None:
    error = failing(lambda: open_storage().stat("root://no-such-host.invalid//store/f"))
    assert (error.failure, error.transient) == (Failure.STORAGE_UNREACHABLE, False)


@pytest.mark.parametrize("fault", ["kill", "freeze", "restart", "kill mover"])
def test_fault_in_mid_copy(start_xrootd: StartXRootD, open_storage: OpenStorage, large: Path, fault: str) -> None:
    server, storage = start_xrootd(), open_storage()
    with bounded(), in_mid_copy(server, storage, large) as upload:
        match fault:
            case "kill":
                server.kill()
            case "freeze":
                server.freeze()
            case "restart":
                server.restart()
            case _:
                assert storage.mover_pid is not None
                os.kill(storage.mover_pid, signal.SIGKILL)
        error = upload.exception(BOUND_S)
    assert isinstance(error, StorageError)
    assert error.transient
    assert error.failure in {Failure.STORAGE_UNREACHABLE, Failure.STORAGE_DAMAGED}
    assert TEMPORARY not in names(server)
    if fault == "freeze":
        server.thaw()
    elif fault == "kill":
        server.start()
    check_works_again(server, storage, large)
    wait_until(lambda: names(server) == [TEMPORARY])


def test_a_hanging_library_is_killed(start_xrootd: StartXRootD, open_storage: OpenStorage, small: Path) -> None:
    server = start_xrootd()
    storage = open_storage(client_settings={}, wall_limit=WallLimit(base_s=1.0))
    storage.put(small, f"{server.root_url}/before")
    pid = storage.mover_pid
    server.freeze()
    error = failing(lambda: storage.put(small, f"{server.root_url}/{TEMPORARY}"))
    assert error.transient
    assert "no answer in time" in error.detail
    server.thaw()
    check_works_again(server, storage, small)
    assert storage.mover_pid != pid


def test_one_late_question_does_not_stop_the_others_for_good(
    start_xrootd: StartXRootD, open_storage: OpenStorage
) -> None:
    healthy = start_xrootd()
    storage = open_storage(client_settings={}, wall_limit=WallLimit(base_s=1.0))
    coat = RetryingStorage(storage)
    with socket.create_server(("127.0.0.1", 0)) as deaf, ThreadPoolExecutor(1) as pool:
        late = pool.submit(storage.stat, f"root://localhost:{deaf.getsockname()[1]}//store/f")
        while not late.done():
            assert coat.create(f"{healthy.root_url}/{time.monotonic_ns()}", b"x") in {True, False}
        assert isinstance(late.exception(), StorageError)


def test_a_restart_is_sat_out_by_the_coat(start_xrootd: StartXRootD, open_storage: OpenStorage, small: Path) -> None:
    server = start_xrootd()
    retries: list[Retry] = []
    patience = Patience(tries=10, total_s=30.0, longest_wait_s=1.0)
    coat = RetryingStorage(open_storage(), patience=patience, note=retries.append)
    server.stop()
    timer = threading.Timer(1.0, server.start)
    timer.start()
    with bounded(30.0):
        coat.put(small, f"{server.root_url}/{TEMPORARY}")
    timer.join()
    assert retries
    assert {(retry.operation, retry.url) for retry in retries} == {("put", f"{server.root_url}/{TEMPORARY}")}
    assert names(server) == [TEMPORARY]


# -- disks and bytes


def test_full(start_xrootd: StartXRootD, open_storage: OpenStorage, small: Path, large: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small disk for the server can only be mounted as root")
    server, storage = start_xrootd(capacity_mb=1), open_storage()
    error = failing(lambda: storage.put(large, f"{server.root_url}/{TEMPORARY}"))
    assert (error.failure, error.transient) == (Failure.STORAGE_FULL, False)
    error = failing(lambda: storage.create(f"{server.root_url}/manifest", b"x" * 2_000_000))
    assert (error.failure, error.transient) == (Failure.STORAGE_FULL, False)
    wait_until(lambda: names(server) == [])
    assert storage.create(f"{server.root_url}/manifest", b"x")
    check_works_again(server, storage, small)


def test_damaged_on_its_way(plain_xrootd: XRootDServer, open_storage: OpenStorage, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(os.urandom(3_000_000))
    storage, folder = open_storage(), f"damaged-{time.monotonic_ns()}"
    with Proxy(plain_xrootd.port) as proxy:
        url = f"root://localhost:{proxy.port}//store/{folder}/{TEMPORARY}"
        proxy.damages = 1
        error = failing(lambda: storage.put(path, url))
        assert (error.failure, error.transient) == (Failure.STORAGE_DAMAGED, True)
        assert "adler32" in error.detail
        assert list((plain_xrootd.store / folder).iterdir()) == []
        proxy.damages = 1
        RetryingStorage(storage).put(path, url)
        proxy.damages = 10**6
        error = failing(lambda: RetryingStorage(storage, patience=Patience(tries=2)).put(path, url))
        assert error.failure is Failure.STORAGE_DAMAGED
    assert (plain_xrootd.store / folder / TEMPORARY).read_bytes() == path.read_bytes()


def test_a_source_that_changes_is_not_committed(
    plain_xrootd: XRootDServer, open_storage: OpenStorage, tmp_path: Path
) -> None:
    world = World(open_storage(), f"{plain_xrootd.root_url}/changing", tmp_path)
    files = made_files(tmp_path, "a")
    files[1].path.write_bytes(b"something else")
    outcome = commit_unit(
        world.storage,
        world.place,
        UNIT,
        files,
        receipt=RECEIPT,
        token="a",
        clock=time.time,
        record=lambda _: None,
    )
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.STORAGE_DAMAGED
    assert world.names() == ([], [])


def test_a_checksum_that_fails_now_and_then(start_xrootd: StartXRootD, open_storage: OpenStorage, small: Path) -> None:
    server, storage = start_xrootd(checksum_fails_first=True), open_storage()
    url = f"{server.root_url}/f"
    storage.put(small, url)
    (server.store / "f.asked").unlink(missing_ok=True)
    error = failing(lambda: storage.adler32(url))
    assert error.transient
    assert "3012" in error.detail
    (server.store / "f.asked").unlink()
    retries: list[Retry] = []
    assert len(RetryingStorage(storage, note=retries.append).adler32(url)) == 8
    assert [retry.operation for retry in retries] == ["adler32"], "asked again, not sent again"


# -- who may


def test_denied(
    start_xrootd: StartXRootD, open_storage: OpenStorage, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_xrootd(sss=True)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    storage = open_storage()
    for call in (
        lambda: storage.put(small, f"{server.root_url}/locked/f"),
        lambda: storage.create(f"{server.root_url}/locked/f", b"x"),
        lambda: storage.put(small, f"root://localhost:{server.port}//elsewhere/f"),
    ):
        error = failing(call)
        assert (error.failure, error.transient) == (Failure.STORAGE_DENIED, False)
    assert names(server) == []
    check_works_again(server, storage, small)


@pytest.mark.parametrize("keytab", ["none", "readable by others", "another secret"])
def test_without_the_secret(
    start_xrootd: StartXRootD, open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keytab: str
) -> None:
    server = start_xrootd(sss=True)
    monkeypatch.setenv("XrdSecSSSKT", str(tmp_path / "absent"))
    if keytab != "none":
        other = start_xrootd(sss=True) if keytab == "another secret" else server
        path = tmp_path / "keytab"
        path.write_bytes((other.folder / "client.keytab").read_bytes())
        path.chmod(0o600 if keytab == "another secret" else 0o644)
        monkeypatch.setenv("XrdSecSSSKT", str(path))
    error = failing(lambda: open_storage().stat(f"{server.root_url}/f"))
    assert (error.failure, error.transient) == (Failure.STORAGE_DENIED, False)
    monkeypatch.setenv("XrdSecSSSKT", server.environment["XrdSecSSSKT"])
    assert open_storage().create(f"{server.root_url}/f", b"x")


@pytest.mark.skipif(not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens")
def test_tokens(start_xrootd: StartXRootD, open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_xrootd(tls=True, token=True)
    monkeypatch.setenv("X509_CERT_DIR", str(server.ca_folder))
    tokens = {
        "expired": server.token_file(lifetime_s=-60),
        "for reading": server.token_file(lifetime_s=600, scope="storage.read:/"),
        "absent": Path("/nowhere"),
    }
    for path in tokens.values():
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
        storage = open_storage()
        error = failing(lambda storage=storage: storage.create(f"{server.root_url}/f", b"x"))  # type: ignore[misc]
        assert (error.failure, error.transient) == (Failure.STORAGE_DENIED, False)
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(server.token_file(lifetime_s=600)))
    assert open_storage().create(f"{server.root_url}/f", b"x")


def test_a_server_that_nobody_vouches_for(
    start_xrootd: StartXRootD, open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, other = start_xrootd(tls=True), start_xrootd(tls=True)
    monkeypatch.setenv("X509_CERT_DIR", str(other.ca_folder))
    error = failing(lambda: open_storage().create(f"{server.root_url}/f", b"x"))
    assert not error.transient
    assert error.failure is Failure.STORAGE_UNREACHABLE
    assert names(server) == []


# -- committing


def test_an_unfinished_file_is_not_there(start_xrootd: StartXRootD, open_storage: OpenStorage, large: Path) -> None:
    server, storage, watcher = start_xrootd(), open_storage(), open_storage()
    with in_mid_copy(server, storage, large) as upload:
        (hidden,) = names(server)
        url = f"{server.root_url}/{hidden}"
        assert watcher.stat(url) is None
        assert list(watcher.list(server.root_url)) == []
        upload.result(BOUND_S)
    assert names(server) == [TEMPORARY]


@pytest.mark.parametrize(
    ("manner", "steps"), [("before", range(1, 26, 3)), ("middle", (1, 8)), ("after", (2, 7, 9, 12))]
)
def test_a_kill_at_any_call_costs_at_most_this_unit(
    plain_xrootd: XRootDServer, open_storage: OpenStorage, tmp_path: Path, manner: str, steps: range
) -> None:
    storage = open_storage()
    for step in steps:
        world = World(storage, f"{plain_xrootd.root_url}/kills-{manner}-{step}-{time.monotonic_ns()}", tmp_path)
        with suppress(Killed):
            world.commit("a", killing_storage(world, step, manner))
        world.check_visible()
        committed = world.manifest() is not None
        world.attempt("b")
        assert world.check_done().token == ("a" if committed else "b")


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.02, 0.03, 0.05])
def test_a_mover_killed_while_units_are_committed(
    plain_xrootd: XRootDServer, open_storage: OpenStorage, tmp_path: Path, delay_s: float
) -> None:
    storage = open_storage()
    world = World(RetryingStorage(storage), f"{plain_xrootd.root_url}/mover-{time.monotonic_ns()}", tmp_path)
    storage.list(plain_xrootd.root_url)
    pid = storage.mover_pid
    assert pid is not None
    timer = threading.Timer(delay_s, os.kill, (pid, signal.SIGKILL))
    timer.start()
    world.commit("a")
    timer.join()
    world.check_visible()
    world.attempt("b")
    assert world.check_done().token == "a"


def test_two_movers_commit_one_unit(plain_xrootd: XRootDServer, open_storage: OpenStorage, tmp_path: Path) -> None:
    storages: list[Storage] = [open_storage(), open_storage()]
    for turn in range(5):
        world = World(storages[0], f"{plain_xrootd.root_url}/two-{turn}-{time.monotonic_ns()}", tmp_path)
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(world.commit, "ab", storages))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Adopted", "Committed"]
        assert {outcome.manifest.token for outcome in outcomes} == {world.check_done().token}  # type: ignore[union-attr]
        assert world.names()[0] == sorted(NAMES)
        assert world.place.visit_folder(VISIT).startswith(plain_xrootd.root_url)


def test_closing_ends_uploads_and_the_process(
    start_xrootd: StartXRootD, open_storage: OpenStorage, large: Path
) -> None:
    server, storage = start_xrootd(), open_storage()
    coat = RetryingStorage(storage)
    with in_mid_copy(server, storage, large) as upload:
        with bounded(1.0):
            coat.close()
        assert isinstance(upload.exception(1.0), StorageError)
    with bounded(1.0), pytest.raises(StorageError, match="closed"):
        coat.stat(f"{server.root_url}/f")
    wait_until(lambda: names(server) == [])
