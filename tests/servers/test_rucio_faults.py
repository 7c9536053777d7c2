"""A Rucio server in every kind of trouble: nothing is lost, nothing wrong is registered, and nobody waits for long."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from site_configs.schema import Rucio
from tests.conformance.catalog_suite import DATASET, record
from tests.servers.faulty_proxy import Answer, Ask, FaultyProxy, dribble, lost_answer, only, status
from tests.servers.rucio_fixtures import settings_of
from tests.servers.rucio_server import RucioServer
from transformation.catalog.retrying import RetryingCatalog
from transformation.catalog.rucio import RucioCatalog
from transformation.model.failures import Failure
from transformation.ports import Catalog, CatalogError

# A client that is given up in the middle of an answer leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROOT = Path(__file__).parents[2]
RECORDS = [record(number) for number in range(17)]
Door = Callable[..., Catalog]
"""The catalog behind the proxy, for so many seconds of patience, and so many of silence."""


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """That garbage is collected here, not in another module's tests."""
    yield
    gc.collect()


@pytest.fixture
def door(rucio_server: RucioServer, rucio_settings: Rucio, rucio_user: str, proxy: FaultyProxy) -> Door:
    def catalog(patience_s: float, timeout_s: float = 1.0) -> Catalog:
        settings = settings_of(rucio_server, host=proxy.url, timeout_s=timeout_s)
        return RetryingCatalog(RucioCatalog(settings, user=rucio_user), patience_s=patience_s)

    return catalog


@pytest.fixture
def direct(rucio_settings: Rucio, rucio_user: str) -> RucioCatalog:
    return RucioCatalog(rucio_settings, user=rucio_user)


def names(catalog: Catalog) -> list[str]:
    return [one.name for one in catalog.known(DATASET)]


ALL = [one.name for one in RECORDS]


@contextmanager
def pending(within_s: float) -> Iterator[None]:
    began_s = time.monotonic()
    with pytest.raises(CatalogError) as caught:
        yield
    assert time.monotonic() - began_s < within_s
    assert caught.value.failure is Failure.REGISTRATION_PENDING
    assert caught.value.transient
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 500


QUIET = """
import sys
from contextlib import suppress
from site_configs.schema import Rucio
from transformation.catalog.rucio import RucioCatalog
from transformation.ports import CatalogError
host = "http://127.0.0.1:9"
settings = Rucio(host=host, account="a", username="a", secret="env:RUCIO_TEST_PASSWORD", rse="A")
with suppress(CatalogError):
    RucioCatalog(settings, user="tonyj").known("run/v1")
"""


def test_the_client_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUCIO_TEST_PASSWORD", "secret")
    done = subprocess.run([sys.executable, "-c", QUIET], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_down_before_and_between_two_calls(
    direct: RucioCatalog, rucio_settings: Rucio, rucio_user: str, rucio_server: RucioServer
) -> None:
    fresh = RucioCatalog(rucio_settings, user=rucio_user)
    direct.register(RECORDS[:3])
    with rucio_server.down():
        for catalog in (direct, fresh):
            with pending(within_s=5.0):
                catalog.register(RECORDS)
            with pending(within_s=5.0):
                catalog.known(DATASET)
    assert names(fresh) == ALL[:3]
    fresh.register(RECORDS)
    assert names(direct) == ALL


def test_killed_in_the_middle_of_a_call(
    door: Door, direct: RucioCatalog, rucio_server: RucioServer, proxy: FaultyProxy
) -> None:
    def die(method: str, path: str, ask: Ask) -> Answer | None:
        rucio_server.kill()
        return None

    with proxy.faulty(only("attachments", die)), pending(within_s=10.0):
        door(0.0).register(RECORDS)
    rucio_server.start()
    assert names(direct) == []
    direct.register(RECORDS)
    assert names(direct) == ALL


def test_frozen_and_thawed(rucio_server: RucioServer, door: Door, direct: RucioCatalog) -> None:
    with rucio_server.frozen(), pending(within_s=8.0):
        door(0.0).register(RECORDS)
    direct.register(RECORDS)
    assert names(direct) == ALL


FAULTS = {
    "500": status(500),
    "502": status(502),
    "503": status(503, body=b""),
    "null": status(404, body=b"null", headers={"Content-Type": "application/json"}),
    "html": status(200, body=b"<html>a login page</html>"),
    "half": status(200, body=b'[{"half": ', headers={"Content-Type": "application/json"}),
    "binary": status(201, body=b"\xff\xfe\x00", headers={"Content-Type": "application/x-json-stream"}),
    "database": status(500, headers={"ExceptionClass": "DatabaseException", "ExceptionMessage": "deadlock detected"}),
    "lost": lost_answer,
    "dribble": dribble,
}
TROUBLES = {
    "auth/userpass": ["500", "503", "html", "database", "lost", "dribble"],
    "dids": ["database", "lost"],
    "attachments": ["500", "502", "null", "html", "half", "database", "lost", "dribble"],
    "replicas/list": ["500", "html", "binary", "dribble"],
}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param(path, name, marks=[pytest.mark.long] if name == "dribble" and path != "auth/userpass" else [])
        for path, some in TROUBLES.items()
        for name in some
    ],
)
def test_trouble_passes(door: Door, direct: RucioCatalog, proxy: FaultyProxy, path: str, name: str) -> None:
    fault = FAULTS[name]
    with proxy.faulty(only(path, fault)), pending(within_s=8.0):
        door(0.0).register(RECORDS)
    known = names(direct)
    assert known in ([], ALL)
    with proxy.faulty(only(path, fault, times=1)):
        door(60.0, 2.0).register(RECORDS)
    assert names(direct) == ALL


def test_a_dead_catalog_is_given_up_in_time(door: Door, proxy: FaultyProxy) -> None:
    with proxy.faulty(status(500)), pending(within_s=6.0):
        door(3.0).register(RECORDS)
    assert 1 < len(proxy.requests) < 20


def test_a_session_that_expired_is_renewed(door: Door, direct: RucioCatalog, proxy: FaultyProxy) -> None:
    catalog = door(0.0, 15.0)
    catalog.register(RECORDS[:1])
    expired = status(401, headers={"ExceptionClass": "CannotAuthenticate", "ExceptionMessage": "token expired"})
    with proxy.faulty(only("attachments", expired, times=1)):
        catalog.register(RECORDS)
    assert names(direct) == ALL


def test_a_call_takes_few_requests(door: Door, proxy: FaultyProxy) -> None:
    catalog = door(0.0, 15.0)
    catalog.register(RECORDS)
    assert len(proxy.requests) == 4
    catalog.register(RECORDS)
    assert len(proxy.requests) == 6


def test_a_silent_registration_is_not_believed(door: Door, direct: RucioCatalog, proxy: FaultyProxy) -> None:
    """A server, or something in between, that says yes and does nothing."""
    with proxy.faulty(only("attachments", status(201, body=b"Created"))), pending(within_s=5.0):
        door(0.0).register(RECORDS)
    assert names(direct) == []


def test_threads_that_write_one_dataset_at_once(rucio_settings: Rucio, rucio_user: str, direct: RucioCatalog) -> None:
    def register(_: int) -> None:
        RetryingCatalog(RucioCatalog(rucio_settings, user=rucio_user), patience_s=30.0).register(RECORDS)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(register, range(4)))
    assert names(direct) == ALL


REGISTER = """
import sys
from site_configs.schema import Rucio
from tests.conformance.catalog_suite import record
from transformation.catalog.retrying import RetryingCatalog
from transformation.catalog.rucio import RucioCatalog
import msgspec
settings = msgspec.json.decode(sys.argv[1], type=Rucio)
catalog = RetryingCatalog(RucioCatalog(settings, user=sys.argv[2]), patience_s=30.0)
for start in (0, 5, 9):
    catalog.register([record(number) for number in range(start, 17)])
"""


def test_two_processes_register_the_same(rucio_settings: Rucio, rucio_user: str, direct: RucioCatalog) -> None:
    import msgspec

    arguments = [msgspec.json.encode(rucio_settings).decode(), rucio_user]
    processes = [subprocess.Popen([sys.executable, "-c", REGISTER, *arguments], cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert names(direct) == ALL


def test_a_conflict_is_told_once_and_at_once(door: Door, direct: RucioCatalog, proxy: FaultyProxy) -> None:
    direct.register([record(5, adler32="ffffffff")])
    with pytest.raises(CatalogError, match=r"ffffffff.*0a1b2c3d") as caught:
        door(30.0, 15.0).register(RECORDS)
    assert caught.value.failure is Failure.REGISTRATION_CONFLICT
    assert len(proxy.requests) < 10
    assert names(direct) == [record(5).name]
