"""Rucio on PostgreSQL: metadata of every name, and many clients at work on one dataset at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from tests.conformance.catalog_suite import DATASET, CatalogSuite, record
from tests.servers.postgres_server import NoPostgres, PostgresServer
from tests.servers.rucio_fixtures import settings_of
from tests.servers.rucio_server import PASSWORD, NotInstalled, RucioServer
from transformation.catalog.retrying import RetryingCatalog
from transformation.catalog.rucio import RucioCatalog

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def rucio_server() -> Iterator[RucioServer]:
    """Takes the place of the server on SQLite in this module."""
    postgres = PostgresServer()
    server = RucioServer(schema="rucio", workers=3)
    try:
        postgres.start()
        server.database = postgres.database
        server.build()
        server.start()
        server.set_up()
        yield server
    except (NoPostgres, NotInstalled) as error:
        pytest.skip(str(error))
    finally:
        server.remove()
        postgres.remove()


@pytest.fixture
def catalog(rucio_server: RucioServer, rucio_user: str, monkeypatch: pytest.MonkeyPatch) -> RucioCatalog:
    monkeypatch.setenv("RUCIO_TEST_PASSWORD", PASSWORD)
    return RucioCatalog(settings_of(rucio_server, json_metadata=True), user=rucio_user)


class TestRucioOnPostgres(CatalogSuite):
    exchanges_lost_versions = False

    def test_many_at_once(self, catalog: RucioCatalog) -> None:  # type: ignore[override]
        """See below: here clients are refused, and the coat repeats."""


def test_metadata_can_be_searched(catalog: RucioCatalog, rucio_server: RucioServer, rucio_user: str) -> None:
    other = replace(record(1), metadata={**record(1).metadata, "sensor": "R22_S12"})
    catalog.register([record(0), other])
    filters = [{"sensor": "R22_S12", "visit": "87393588"}]
    assert list(rucio_server.admin.list_dids(f"user.{rucio_user}", filters, did_type="file")) == [other.name]


def test_many_clients_that_write_the_same_at_once(
    rucio_server: RucioServer, rucio_user: str, catalog: RucioCatalog
) -> None:
    records = [record(number) for number in range(17)]

    def register(_: int) -> None:
        one = RucioCatalog(settings_of(rucio_server, json_metadata=True), user=rucio_user)
        RetryingCatalog(one, patience_s=60.0).register(records)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(register, range(6)))
    assert list(catalog.known(DATASET)) == records
