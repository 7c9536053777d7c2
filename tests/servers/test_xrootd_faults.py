"""What a job meets in a bad night: each fault ends in bounded time, with the right error, and nothing half-made."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.bounds import BOUND_S, bounded, wait_until
from tests.servers.conftest import StartXRootD
from tests.servers.proxy import Proxy
from tests.servers.xrootd_clients import (
    HASTY,
    TEMPORARY,
    OpenXRootD,
    check_works_again,
    failing,
    in_mid_copy,
    names,
)
from tests.servers.xrootd_server import IMPATIENT, XRootDServer, start_again_what_died
from tests.unit.commit_world import RECEIPT, UNIT, World, made_files
from transformation.model.failures import Failed, Failure
from transformation.ports import Retry, StorageError
from transformation.stage_out import commit_unit
from transformation.storage.retrying import Patience, RetryingStorage
from transformation.storage.xrootd import WallLimit

# -- servers that are away


def test_refused(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, small: Path) -> None:
    server, storage = start_xrootd(), open_xrootd()
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


def test_silent(open_xrootd: OpenXRootD) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        error = failing(
            lambda: open_xrootd(client_settings=HASTY).stat(f"root://localhost:{deaf.getsockname()[1]}//store/f")
        )
    assert (error.failure, error.transient) == (Failure.STORAGE_UNREACHABLE, True)


def test_no_such_host(open_xrootd: OpenXRootD) -> None:
    error = failing(lambda: open_xrootd().stat("root://no-such-host.invalid//store/f"))
    assert (error.failure, error.transient) == (Failure.STORAGE_UNREACHABLE, False)


@pytest.mark.parametrize("fault", ["kill", "freeze", "restart", "kill mover"])
def test_fault_in_mid_copy(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, large: Path, fault: str) -> None:
    server, storage = start_xrootd(), open_xrootd(client_settings=HASTY if fault == "freeze" else IMPATIENT)
    with bounded(), in_mid_copy(server, storage, large) as (upload, _):
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


def test_a_hanging_library_is_killed(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, small: Path) -> None:
    server = start_xrootd()
    storage = open_xrootd(client_settings={}, wall_limit=WallLimit(base_s=1.0))
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
    start_xrootd: StartXRootD, open_xrootd: OpenXRootD
) -> None:
    healthy = start_xrootd()
    storage = open_xrootd(client_settings={}, wall_limit=WallLimit(base_s=1.0))
    coat = RetryingStorage(storage)
    with socket.create_server(("127.0.0.1", 0)) as deaf, ThreadPoolExecutor(1) as pool:
        late = pool.submit(storage.stat, f"root://localhost:{deaf.getsockname()[1]}//store/f")
        while not late.done():
            assert coat.create(f"{healthy.root_url}/{time.monotonic_ns()}", b"x") in {True, False}
        assert isinstance(late.exception(), StorageError)


def test_a_restart_is_sat_out_by_the_coat(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, small: Path) -> None:
    server = start_xrootd()
    retries: list[Retry] = []
    patience = Patience(tries=10, total_s=30.0, longest_wait_s=1.0)
    coat = RetryingStorage(open_xrootd(), patience=patience, note=retries.append)
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


def test_full(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, small: Path, large: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small disk for the server can only be mounted as root")
    server, storage = start_xrootd(capacity_mb=1), open_xrootd()
    error = failing(lambda: storage.put(large, f"{server.root_url}/{TEMPORARY}"))
    assert (error.failure, error.transient) == (Failure.STORAGE_FULL, False)
    error = failing(lambda: storage.create(f"{server.root_url}/manifest", b"x" * 2_000_000))
    assert (error.failure, error.transient) == (Failure.STORAGE_FULL, False)
    wait_until(lambda: names(server) == [])
    assert storage.create(f"{server.root_url}/manifest", b"x")
    check_works_again(server, storage, small)


def test_damaged_on_its_way(plain_xrootd: XRootDServer, open_xrootd: OpenXRootD, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(os.urandom(3_000_000))
    storage, folder = open_xrootd(), f"damaged-{time.monotonic_ns()}"
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
    plain_xrootd: XRootDServer, open_xrootd: OpenXRootD, tmp_path: Path
) -> None:
    world = World(open_xrootd(), f"{plain_xrootd.root_url}/changing", tmp_path)
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


def test_a_checksum_that_fails_now_and_then(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, small: Path) -> None:
    server, storage = start_xrootd(checksum_fails_first=True), open_xrootd()
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


# -- the servers of the tests


def test_a_server_that_died_by_itself_serves_the_next_test(
    start_xrootd: StartXRootD, open_xrootd: OpenXRootD, small: Path
) -> None:
    died, stopped = start_xrootd(), start_xrootd()
    stopped.stop()
    os.kill(died.pid, signal.SIGSEGV)
    wait_until(lambda: bool(words := start_again_what_died()) and "died by itself with -11" in words[0])
    open_xrootd().put(small, died.root_url + "/file")
    assert start_again_what_died() == []
    stopped.start()
