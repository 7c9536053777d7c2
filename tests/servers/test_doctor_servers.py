"""The doctor, and `iod-site check --online`, against real servers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.servers.conftest import StartXRootD
from tests.servers.rucio_server import ACCOUNT, IDENTITY, PASSWORD, RSE, RucioServer
from tests.servers.xrootd_server import XRootDServer
from tests.whole_job.bench import Bench

IOD_SITE = str(Path(sys.executable).with_name("iod-site"))
_NUMBERS = count(1)


def check(bench: Bench, text: str, only: str, *, code: int, **environment: str) -> dict[str, Any]:
    """The one check of that name for a site of that text."""
    site = bench.write("example.toml", f'name = "example"\n{text}')
    done = bench.command(["doctor", "--json", "--site", str(site), "--only", only], environment=environment)
    assert done.returncode == code, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["checks"]
    return dict(found)


def endpoint(url: str) -> str:
    return f'[[storage.endpoints]]\nurl = "{url}"\n'


def test_a_good_storage(bench: Bench, plain_xrootd: XRootDServer) -> None:
    found = check(bench, endpoint(f"{plain_xrootd.root_url}/doctor"), "storage", code=0)
    assert "write, size, checksum, rename, delete" in found["found"]
    assert not list((plain_xrootd.store / "doctor").iterdir())


def test_a_storage_that_is_down(bench: Bench, start_xrootd: StartXRootD) -> None:
    server = start_xrootd()
    server.kill()
    found = check(bench, endpoint(server.root_url), "storage", code=37)
    assert found["facts"]["failure"] == "STORAGE_UNREACHABLE"
    assert found["wall_s"] < 60


def test_a_storage_that_refuses(bench: Bench, start_xrootd: StartXRootD) -> None:
    server = start_xrootd(sss=True)
    good, locked = server.root_url, f"{server.root_url}/locked"
    assert check(bench, endpoint(good), "storage", code=0, **server.environment)["verdict"] == "ok"
    found = check(bench, endpoint(locked), "storage", code=37, **server.environment)
    assert found["facts"]["failure"] == "STORAGE_DENIED"
    keytab = f'{endpoint(good)}credential = "sss"\n'
    assert check(bench, keytab, "credential", code=0, **server.environment)["verdict"] == "ok"


# ---------------------------------------------------------------- the catalog
def rucio(server: RucioServer, rse: str, *, base: str, more: str = "") -> str:
    return f"""
[storage]
bases = ["{base}"]
[catalog]
kind = "rucio"
[catalog.rucio]
host = "{server.url}"
account = "{ACCOUNT}"
username = "{IDENTITY}"
secret = "env:RUCIO_TEST_PASSWORD"
rse = "{rse}"
{more}
"""


@pytest.fixture
def identity_rse(rucio_server: RucioServer) -> Iterator[str]:
    """One that computes places, `/store/imsim/SCOPE/NAME`."""
    name = f"LSST{next(_NUMBERS)}_SCRATCHDISK"
    rucio_server.add_rse(name, scheme="file", hostname="localhost", port=0, prefix="/store/imsim/", kind="posix")
    rucio_server.admin.update_rse(name, {"deterministic": True})
    rucio_server.admin.add_rse_attribute(name, "lfn2pfn_algorithm", "identity")
    yield name
    rucio_server.admin.delete_rse(name)


def test_a_catalog_that_keeps_places_as_they_are(bench: Bench, rucio_server: RucioServer) -> None:
    found = check(bench, rucio(rucio_server, RSE, base="/anywhere"), "catalog", code=0, RUCIO_TEST_PASSWORD=PASSWORD)
    assert "not deterministic and names files as jobs write them" in found["found"]


def test_a_catalog_that_computes_the_places_that_we_write(
    bench: Bench, rucio_server: RucioServer, identity_rse: str
) -> None:
    text = rucio(rucio_server, identity_rse, base="/store/imsim", more='scope = "{user}"')
    found = check(bench, text, "catalog", code=0, RUCIO_TEST_PASSWORD=PASSWORD)
    assert "is deterministic and names files as jobs write them" in found["found"]


def test_a_catalog_that_computes_other_places(bench: Bench, rucio_server: RucioServer, identity_rse: str) -> None:
    text = rucio(rucio_server, identity_rse, base="/store/imsim")
    found = check(bench, text, "catalog", code=37, RUCIO_TEST_PASSWORD=PASSWORD)
    assert found["facts"]["failure"] == "REGISTRATION_CONFLICT"


def test_the_element_of_an_endpoint_is_asked_where_no_base_is_named(
    bench: Bench, rucio_server: RucioServer, identity_rse: str
) -> None:
    text = rucio(rucio_server, RSE, base="/x").replace('bases = ["/x"]', "")
    text += f'[[storage.endpoints]]\nurl = "/store/imsim"\nrse = "{identity_rse}"\n'
    found = check(bench, text, "catalog", code=37, RUCIO_TEST_PASSWORD=PASSWORD)
    assert f"{identity_rse} is deterministic, and would look for /store/imsim/" in found["found"]


def test_a_catalog_without_a_protocol_for_our_storage(bench: Bench, rucio_server: RucioServer) -> None:
    text = rucio(rucio_server, RSE, base="root://elsewhere:1094//store")
    found = check(bench, text, "catalog", code=37, RUCIO_TEST_PASSWORD=PASSWORD)
    assert "would look for root://elsewhere" in found["found"]


@pytest.mark.parametrize(
    ("rse", "password", "says"),
    [(RSE, "wrong", "CannotAuthenticate"), ("NO_SCRATCHDISK", PASSWORD, "RSENotFound"), (RSE, "", "RUCIO_TEST_PASS")],
    ids=["password", "rse", "no-password"],
)
def test_a_catalog_that_does_not_let_us_in(
    bench: Bench, rucio_server: RucioServer, rse: str, password: str, says: str
) -> None:
    text = rucio(rucio_server, rse, base="/x")
    found = check(bench, text, "catalog", code=37, RUCIO_TEST_PASSWORD=password)
    assert says in found["found"]
    assert not password or password not in json.dumps(found)


def test_check_online(bench: Bench, rucio_server: RucioServer, identity_rse: str) -> None:
    for rse, code in ((RSE, 0), (identity_rse, 37)):
        site = bench.write("example.toml", f'name = "example"\n{rucio(rucio_server, rse, base="/x")}')
        done = subprocess.run(
            [IOD_SITE, "check", str(site), "--online", "--json"],
            env=bench.environment({"RUCIO_TEST_PASSWORD": PASSWORD}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        found = json.loads(done.stdout)
        assert found["valid"] is True
        assert [one["name"] for one in found["online"]["checks"]] == ["catalog"]
