"""A web server with faults, and a client that fetches from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.catalog_server import CatalogServer, catalog_server
from tests.servers.fetch_client import UNHURRIED, Client


@pytest.fixture(scope="session")
def web_server() -> Iterator[CatalogServer]:
    with catalog_server() as one:
        yield one


@pytest.fixture
def fresh(web_server: CatalogServer) -> CatalogServer:
    web_server.requests.clear()
    return web_server


@pytest.fixture
def client(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    one = Client(tmp_path / "fetched", getattr(request, "param", UNHURRIED))
    yield one
    one.source.close()
