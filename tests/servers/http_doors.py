"""HTTP doors and their clients for tests, with time limits of seconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.bounds import bounded, wait_until
from tests.servers.proxy import Proxy
from tests.servers.xrootd_server import Options, XRootDServer
from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError
from transformation.storage.http import HttpStorage
from transformation.storage.http_client import Limits

IMPATIENT = Limits(connect_s=2.0, silence_s=2.0, base_s=8.0)
HASTY = Limits(connect_s=2.0, silence_s=4.0, base_s=1.0, slowest_bytes_per_s=1e12)
"""Ended by the clock though the server is never silent for long."""
LARGE_BYTES = 12_000_000
TEMPORARY = ".f.fits.token-1.part"

OpenHttp = Callable[..., HttpStorage]
PASSING = (Failure.STORAGE_UNREACHABLE, True)
FINAL = (Failure.STORAGE_UNREACHABLE, False)
DENIED = (Failure.STORAGE_DENIED, False)


@pytest.fixture
def open_http() -> Iterator[OpenHttp]:
    """Storages with short time-outs, in the environment of the moment."""
    opened: list[HttpStorage] = []

    def open_one(limits: Limits = IMPATIENT) -> HttpStorage:
        opened.append(HttpStorage(limits=limits))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def http_door(xrootd_software: None) -> Iterator[XRootDServer]:
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


def failing(call: Callable[[], object]) -> tuple[Failure, bool]:
    """What it fails with, in bounded time."""
    with bounded(), pytest.raises(StorageError) as caught:
        call()
    assert not isinstance(caught.value, Missing)
    return caught.value.failure, caught.value.transient


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


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
