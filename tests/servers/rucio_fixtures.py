"""Fixtures of the Rucio tests: one server for the whole session, a user and scope of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from site_configs.schema import Rucio
from tests.servers.faulty_proxy import FaultyProxy
from tests.servers.rucio_server import ACCOUNT, IDENTITY, PASSWORD, RSE, NotInstalled, RucioServer

_USERS = count(1)


@pytest.fixture(scope="session")
def rucio_server() -> Iterator[RucioServer]:
    """A server on SQLite, set up and serving; a test that stops it starts it again."""
    server = RucioServer()
    try:
        server.build()
        server.start()
        server.set_up()
        yield server
    except NotInstalled as error:
        pytest.skip(str(error))
    finally:
        server.remove()


@pytest.fixture
def rucio_user(rucio_server: RucioServer) -> str:
    """A user nobody else uses, with an empty scope `user.<user>`."""
    user = f"tonyj{next(_USERS)}"
    rucio_server.add_scope(f"user.{user}")
    return user


@pytest.fixture
def rucio_settings(rucio_server: RucioServer, monkeypatch: pytest.MonkeyPatch) -> Rucio:
    """How a site file would name the server."""
    monkeypatch.setenv("RUCIO_TEST_PASSWORD", PASSWORD)
    return settings_of(rucio_server)


def settings_of(server: RucioServer, **changes: object) -> Rucio:
    """The same with changes; the password is expected in the environment."""
    values: dict[str, object] = {
        "host": server.url,
        "account": ACCOUNT,
        "username": IDENTITY,
        "secret": "env:RUCIO_TEST_PASSWORD",
        "rse": RSE,
        "timeout_s": 15.0,
        **changes,
    }
    return Rucio(**values)  # type: ignore[arg-type]


@pytest.fixture
def proxy(rucio_server: RucioServer) -> Iterator[FaultyProxy]:
    """A proxy in front of the server, honest until told otherwise."""
    one = FaultyProxy(rucio_server.url)
    yield one
    one.close()
