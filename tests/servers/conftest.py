"""Servers for tests, and clients with short time limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.servers.fetch_fixtures import client, fresh, web_server
from tests.servers.http_doors import http_door, large, open_http, small
from tests.servers.software import XROOTD, have_xrootd
from tests.servers.xrootd_clients import open_xrootd
from tests.servers.xrootd_server import Options, XRootDServer

__all__ = [
    "StartXRootD",
    "client",
    "fresh",
    "http_door",
    "large",
    "open_http",
    "open_xrootd",
    "small",
    "web_server",
]

StartXRootD = Callable[..., XRootDServer]


@pytest.fixture(scope="session")
def xrootd_software() -> None:
    """The server's programs are there, or the test is skipped."""
    if not have_xrootd():
        pytest.skip(f"no xrootd here, and it cannot be installed: as root `apt-get install {' '.join(XROOTD)}`")


@pytest.fixture(scope="session")
def plain_xrootd(xrootd_software: None) -> Iterator[XRootDServer]:
    """A healthy server that many tests share, each in a folder of its own."""
    server = XRootDServer().start()
    yield server
    server.close()


@pytest.fixture
def start_xrootd(xrootd_software: None) -> Iterator[StartXRootD]:
    """Starts servers for one test; takes the options' names."""
    servers: list[XRootDServer] = []

    def start(**options: object) -> XRootDServer:
        servers.append(XRootDServer(Options(**options)))  # type: ignore[arg-type]
        return servers[-1].start()

    yield start
    for server in servers:
        server.close()
