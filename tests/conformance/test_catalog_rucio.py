"""The catalog suite over `RucioCatalog` and a real server, and what only Rucio has: RSEs, containers, accounts."""

from __future__ import annotations

import stat
import sys
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from rucio.client.baseclient import BaseClient

from site_configs.schema import Rucio
from tests.conformance.catalog_suite import DATASET, CatalogSuite, record
from tests.servers.rucio_fixtures import settings_of
from tests.servers.rucio_server import PASSWORD, RucioServer
from transformation.catalog import rucio
from transformation.catalog.rucio import RucioCatalog
from transformation.model.failures import Failure
from transformation.ports import CatalogError


@pytest.fixture
def catalog(rucio_settings: Rucio, rucio_user: str) -> RucioCatalog:
    return RucioCatalog(rucio_settings, user=rucio_user)


class TestRucioCatalog(CatalogSuite):
    keeps_metadata = False
    exchanges_lost_versions = False


def refused(catalog: RucioCatalog) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        catalog.register([record()])
    assert PASSWORD not in str(caught.value)
    return caught.value


def test_every_dataset_is_in_the_container_of_its_job(
    catalog: RucioCatalog, rucio_server: RucioServer, rucio_user: str
) -> None:
    catalog.register([record(0, dataset="run-1/v1"), record(0, dataset="run-1/v2")])
    catalog.register([record(0, dataset="run-1/v3")])
    content = rucio_server.admin.list_content(f"user.{rucio_user}", "run-1")
    assert sorted((one["type"], one["name"]) for one in content) == [("DATASET", f"run-1/v{n}") for n in (1, 2, 3)]


def test_a_collection_of_many_jobs(catalog: RucioCatalog, rucio_server: RucioServer, rucio_user: str) -> None:
    """`output.dataset` is a container as well; the job's own stays what it is."""
    for job in ("run-1", "run-2"):
        records = [replace(record(number, dataset=f"{job}/v1"), collection="DC2") for number in (0, 1)]
        for _ in range(2):
            catalog.register(records)
    admin, scope = rucio_server.admin, f"user.{rucio_user}"
    content = {name: sorted(one["name"] for one in admin.list_content(scope, name)) for name in ("run-1", "DC2")}
    assert content == {"run-1": ["run-1/v1"], "DC2": ["run-1/v1", "run-2/v1"]}
    assert admin.get_did(scope, "DC2")["type"] == "CONTAINER"
    assert len(list(admin.list_files(scope, "DC2"))) == 4


def test_files_at_several_destinations_are_replicas_of_their_own_elements(
    rucio_settings: Rucio, rucio_server: RucioServer, rucio_user: str
) -> None:
    spare = f"SPARE{rucio_user.upper()}_SCRATCHDISK"
    rucio_server.add_rse(spare, scheme="file", hostname="localhost", port=0, prefix="/", kind="posix")
    catalog = RucioCatalog(rucio_settings, user=rucio_user, rses={"/spare/store": spare, "/spare": "NOT_HERE"})
    records = [record(0), replace(record(1), url="/spare/store/f1.fits")]
    catalog.register(records)
    assert [(one.name, one.url) for one in catalog.known(DATASET)] == [(one.name, one.url) for one in records]
    dids = [{"scope": f"user.{rucio_user}", "name": one.name} for one in records]
    found = {one["name"]: list(one["rses"]) for one in rucio_server.admin.list_replicas(dids)}
    assert found == {records[0].name: [rucio_settings.rse], records[1].name: [spare]}
    moved = replace(records[0], url="/spare/store/f0.fits", size_bytes=records[0].size_bytes + 1)
    with pytest.raises(CatalogError) as caught:
        catalog.register([moved])
    assert caught.value.failure is Failure.REGISTRATION_CONFLICT


def test_metadata_goes_where_the_server_has_a_column(
    catalog: RucioCatalog, rucio_server: RucioServer, rucio_user: str
) -> None:
    long = replace(record(1), metadata={**record().metadata, "job": "x" * 200, "visit": "87393588a"})
    catalog.register([record(0), long])
    columns = ["run_number", "campaign", "version", "datatype", "stream_name", "panda_id"]
    found = rucio_server.admin.get_metadata(f"user.{rucio_user}", record(0).name)
    assert [found[name] for name in columns] == [
        87393588, "tonyj-run-00019", "quicksim-1.0", "amplifier_image", "R22_S11", None,
    ]  # fmt: skip
    found = rucio_server.admin.get_metadata(f"user.{rucio_user}", record(1).name)
    assert [found[name] for name in columns[:3]] == [None, None, "quicksim-1.0"]


def test_metadata_that_a_server_does_not_take_hinders_nothing(rucio_server: RucioServer, rucio_user: str,
    rucio_settings: Rucio) -> None:  # fmt: skip
    catalog = RucioCatalog(settings_of(rucio_server, json_metadata=True), user=rucio_user)
    catalog.register([record()])
    assert [one.name for one in catalog.known(DATASET)] == [record().name]


def test_more_files_than_one_call_takes(catalog: RucioCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rucio, "_FILES_PER_CALL", 10)
    catalog.register([record(number) for number in range(21)])
    assert len(catalog.known(DATASET)) == 21


def test_another_place_under_the_same_name_is_a_conflict(catalog: RucioCatalog) -> None:
    catalog.register([record()])
    with pytest.raises(CatalogError, match=r"/elsewhere/f\.fits") as caught:
        catalog.register([replace(record(), url="/elsewhere/f.fits")])
    assert caught.value.failure is Failure.REGISTRATION_CONFLICT
    assert record().url in caught.value.detail


def test_a_place_outside_the_rse_is_refused(rucio_server: RucioServer, rucio_settings: Rucio, rucio_user: str) -> None:
    name = f"{rucio_user.upper()}_SCRATCHDISK"
    rucio_server.add_rse(name, scheme="root", hostname="door.example", port=1094, prefix="//lsst/", kind="xrootd")
    catalog = RucioCatalog(settings_of(rucio_server, rse=name), user=rucio_user)
    for url in ("root://other.example:1094//lsst/f", "root://door.example//lsst/f", "root://door.example:1094//des/f"):
        with pytest.raises(CatalogError, match="RSEFileNameNotSupported") as caught:
            catalog.register([replace(record(), url=url)])
        assert (caught.value.failure, caught.value.transient) == (Failure.REGISTRATION_PENDING, False)
    good = replace(record(), url="root://door.example:1094//lsst/store/f.fits.gz")
    catalog.register([good])
    assert [one.url for one in catalog.known(DATASET)] == [good.url]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"secret": "env:RUCIO_WRONG_PASSWORD"}, "CannotAuthenticate"),
        ({"secret": "env:RUCIO_NO_PASSWORD"}, "empty or not set"),
        ({"secret": "file:/nowhere/secret"}, "cannot be read"),
        ({"auth": "token", "secret": "env:RUCIO_WRONG_PASSWORD"}, "may have expired"),
        ({"account": "root"}, "CannotAuthenticate"),
        ({"rse": "NOWHERE_SCRATCHDISK"}, "NOWHERE_SCRATCHDISK"),
        ({"scope": "mock.{user}"}, "mock"),
    ],
)  # fmt: skip
def test_what_is_refused_waits_for_a_person(
    rucio_server: RucioServer, rucio_settings: Rucio, rucio_user: str, monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object], reason: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("RUCIO_WRONG_PASSWORD", "wrong")
    error = refused(RucioCatalog(settings_of(rucio_server, **changes), user=rucio_user))
    assert error.failure is Failure.REGISTRATION_PENDING
    assert not error.transient
    assert reason in error.detail


def test_a_wrong_password_does_not_work_although_a_good_one_did(
    catalog: RucioCatalog, rucio_settings: Rucio, rucio_user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.register([record()])
    monkeypatch.setenv("RUCIO_TEST_PASSWORD", "wrong")
    assert "CannotAuthenticate" in refused(RucioCatalog(rucio_settings, user=rucio_user)).detail


def test_a_secret_that_others_can_read_is_not_used(rucio_server: RucioServer, rucio_user: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o644)
    settings = settings_of(rucio_server, secret=f"file:{secret}")
    assert "0644" in refused(RucioCatalog(settings, user=rucio_user)).detail
    secret.chmod(stat.S_IRUSR | stat.S_IWUSR)
    RucioCatalog(settings, user=rucio_user).register([record()])


def test_a_token_is_read_again_when_it_is_refused(
    catalog: RucioCatalog, rucio_server: RucioServer, rucio_user: str, tmp_path: Path
) -> None:
    catalog.register([record(0)])
    assert catalog._conversation._session is not None
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("expired")
    bearer = RucioCatalog(settings_of(rucio_server, auth="token", secret=f"file:{token}"), user=rucio_user)
    assert "may have expired" in refused(bearer).detail
    token.write_text(catalog._conversation._session.auth_token)
    bearer.register([record(1)])
    assert len(catalog.known(DATASET)) == 2


def test_the_process_is_left_as_it_was(catalog: RucioCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/somewhere/lsst-trf", "run"])
    kept = Path(BaseClient.TOKEN_PATH_PREFIX).parent  # where rucio-clients leaves tokens by itself
    before = set(kept.glob(".rucio_*/*"))
    catalog.register([record()])
    assert sys.argv == ["/somewhere/lsst-trf", "run"]
    assert set(kept.glob(".rucio_*/*")) == before
    assert list(tmp_path.iterdir()) == []
    assert catalog._conversation._session is not None
    token_file = Path(catalog._conversation._session.token_file)
    assert (token_file.stat().st_mode & 0o777, token_file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    catalog._conversation._session = None
    assert not token_file.exists()
    assert threading.active_count() < 20
