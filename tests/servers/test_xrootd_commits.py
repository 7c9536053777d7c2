"""Units that are committed at an XRootD server, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.bounds import BOUND_S, bounded, wait_until
from tests.servers.conftest import StartXRootD
from tests.servers.xrootd_clients import TEMPORARY, OpenXRootD, in_mid_copy, names
from tests.servers.xrootd_server import XRootDServer
from tests.unit.commit_world import NAMES, VISIT, World, check_a_kill
from transformation.ports import Storage, StorageError
from transformation.storage.retrying import RetryingStorage


def test_an_unfinished_file_is_not_there(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, large: Path) -> None:
    server, storage, watcher = start_xrootd(), open_xrootd(), open_xrootd()
    with in_mid_copy(server, storage, large) as (upload, proxy):
        (hidden,) = names(server)
        url = f"{server.root_url}/{hidden}"
        assert watcher.stat(url) is None
        assert list(watcher.list(server.root_url)) == []
        proxy.bytes_per_s = None
        upload.result(BOUND_S)
    assert names(server) == [TEMPORARY]


@pytest.mark.parametrize(
    ("manner", "steps"), [("before", range(1, 26, 3)), ("middle", (1, 8)), ("after", (2, 7, 9, 12))]
)
def test_a_kill_at_any_call_costs_at_most_this_unit(
    plain_xrootd: XRootDServer, open_xrootd: OpenXRootD, tmp_path: Path, manner: str, steps: range
) -> None:
    storage = open_xrootd()
    for step in steps:
        world = World(storage, f"{plain_xrootd.root_url}/kills-{manner}-{step}-{time.monotonic_ns()}", tmp_path)
        check_a_kill(world, step, manner)


def test_a_mover_killed_while_units_are_committed(
    plain_xrootd: XRootDServer, open_xrootd: OpenXRootD, tmp_path: Path
) -> None:
    storage = open_xrootd()
    for delay_s in (0.0, 0.01, 0.03, 0.05):
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


def test_two_movers_commit_one_unit(plain_xrootd: XRootDServer, open_xrootd: OpenXRootD, tmp_path: Path) -> None:
    storages: list[Storage] = [RetryingStorage(open_xrootd()), RetryingStorage(open_xrootd())]
    for turn in range(5):
        world = World(storages[0], f"{plain_xrootd.root_url}/two-{turn}-{time.monotonic_ns()}", tmp_path)
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(world.commit, "ab", storages))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Adopted", "Committed"], outcomes
        assert {outcome.manifest.token for outcome in outcomes} == {world.check_done().token}  # type: ignore[union-attr]
        assert world.names()[0] == sorted(NAMES)
        assert world.place.visit_folder(VISIT).startswith(plain_xrootd.root_url)


def test_closing_ends_uploads_and_the_process(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, large: Path) -> None:
    server, storage = start_xrootd(), open_xrootd()
    coat = RetryingStorage(storage)
    with in_mid_copy(server, storage, large) as (upload, _):
        with bounded(1.0):
            coat.close()
        assert isinstance(upload.exception(1.0), StorageError)
    with bounded(1.0), pytest.raises(StorageError, match="closed"):
        coat.stat(f"{server.root_url}/f")
    wait_until(lambda: names(server) == [])
