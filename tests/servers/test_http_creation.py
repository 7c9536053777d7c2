"""Files that one writer of several creates at an HTTP door, whoever dies meanwhile."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.http_doors import OpenHttp, failing, names
from tests.servers.xrootd_server import XRootDServer
from tests.unit.commit_world import World, check_a_kill
from transformation.model.failures import Failure
from transformation.storage.http_dav import Dav
from transformation.storage.http_place import Place


@pytest.mark.parametrize("died", ["before its slot", "in the slot", "when it was done"])
def test_a_writer_that_died_blocks_nobody(http_door: XRootDServer, open_http: OpenHttp, died: str) -> None:
    storage, base = open_http(), f"{http_door.http_url}/died-{time.monotonic_ns()}"
    folder = http_door.store / base.rpartition("/")[2]
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


def test_what_a_dead_writer_left_is_seen_and_removed(http_door: XRootDServer, open_http: OpenHttp) -> None:
    """By who commits the unit, and by nobody before the file is there."""
    storage, base = open_http(), f"{http_door.http_url}/left-{time.monotonic_ns()}"
    folder = http_door.store / base.rpartition("/")[2]
    left = [".f.dead.new", ".f.empty.new"]
    for name in left:
        assert storage.create(f"{base}/{name}/dead", b"of the dead")
    storage.delete(f"{base}/.f.empty.new/dead")
    storage.create(f"{base}/folder/g", b"x")
    assert sorted(entry.name for entry in storage.list(base)) == left
    assert list(storage.folders(base)) == ["folder"]
    assert storage.create(f"{base}/f", b"of the living")
    for name in (*left, "folder"):
        storage.delete(f"{base}/{name}")
    assert names(folder) == ["f", "g"]
    assert sorted(path.name for path in folder.iterdir()) == ["f", "folder"]


def test_a_writer_that_lives_is_taken_for_dead(open_http: OpenHttp, http_door: XRootDServer) -> None:
    """It finds its work gone: the file is there from somebody else, or it has to begin again."""
    storage, base = open_http(), f"{http_door.http_url}/taken-{time.monotonic_ns()}"
    move, is_there = Dav.move, False

    def disturbed(dav: Dav, place: Place, target: Place, *, overwrite: bool) -> bool:
        if target.name == ".f.slot" and place.name.endswith(".new"):
            if is_there:
                assert open_http().create(f"{base}/.f.slot/other", b"of another")
                move(dav, target.child("other"), target.sibling("f"), overwrite=False)
            open_http().delete(f"{base}/{place.name}")
        return move(dav, place, target, overwrite=overwrite)

    assert storage.survey(base).exclusive
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dav, "move", disturbed)
        assert failing(lambda: storage.create(f"{base}/f", b"mine")) == (Failure.STORAGE_DAMAGED, True)
        assert storage.stat(f"{base}/f") is None
        is_there = True
        assert not storage.create(f"{base}/f", b"mine")
    assert storage.read(f"{base}/f", limit_bytes=100) == b"of another"


def test_two_storages_create_one_file(http_door: XRootDServer, open_http: OpenHttp) -> None:
    storages = [open_http() for _ in range(4)]
    for turn in range(3):
        url = f"{http_door.http_url}/two-{turn}-{time.monotonic_ns()}/f"
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
    http_door: XRootDServer, open_http: OpenHttp, tmp_path: Path, manner: str, steps: tuple[int, ...]
) -> None:
    storage = open_http()
    for step in steps:
        world = World(storage, f"{http_door.http_url}/kills-{manner}-{step}-{time.monotonic_ns()}", tmp_path)
        check_a_kill(world, step, manner)
