"""Clients of XRootD servers for tests, with time limits of seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.bounds import bounded, wait_until
from tests.servers.proxy import Proxy
from tests.servers.xrootd_server import IMPATIENT, XRootDServer
from transformation.ports import StorageError
from transformation.storage.retrying import RetryingStorage
from transformation.storage.xrootd import WallLimit, XRootDStorage

HASTY = {**IMPATIENT, "XRD_CONNECTIONWINDOW": "1", "XRD_REQUESTTIMEOUT": "2", "XRD_STREAMTIMEOUT": "1"}
"""For servers that will say nothing."""
TEMPORARY = ".f.fits.token-1.part"

OpenXRootD = Callable[..., XRootDStorage]


@pytest.fixture
def open_xrootd() -> Iterator[OpenXRootD]:
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


def failing(call: Callable[[], object]) -> StorageError:
    with bounded(), pytest.raises(StorageError) as caught:
        call()
    return caught.value


def names(server: XRootDServer) -> list[str]:
    return sorted(path.name for path in server.store.rglob("*") if path.is_file())


@contextmanager
def in_mid_copy(server: XRootDServer, storage: XRootDStorage, large: Path) -> Iterator[tuple[Future[None], Proxy]]:
    """A large upload through a slow line, of which some has arrived; and that line."""
    with Proxy(server.port) as proxy, ThreadPoolExecutor(1) as pool:
        proxy.bytes_per_s = 5_000_000.0
        upload = pool.submit(storage.put, large, f"root://localhost:{proxy.port}//store/{TEMPORARY}")
        wait_until(lambda: proxy.sent_bytes > 1_000_000)
        yield upload, proxy


def check_works_again(server: XRootDServer, storage: XRootDStorage, path: Path) -> None:
    with bounded():
        RetryingStorage(storage).put(path, f"{server.root_url}/{TEMPORARY}")
    assert (server.store / TEMPORARY).read_bytes() == path.read_bytes()
