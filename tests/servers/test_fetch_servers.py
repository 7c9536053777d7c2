"""`iod fetch` from a real XRootD server, by both of its doors, killed at any moment."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from site_configs.schema import Rucio
from tests.servers.conftest import StartXRootD
from tests.servers.rucio_server import ACCOUNT, IDENTITY, RSE
from tests.servers.xrootd_server import IMPATIENT, XRootDServer
from tests.unit.submitter.fetch_world import NAME, USER, held, job_at, lay_out, remember
from transformation.catalog.rucio import RucioCatalog
from transformation.ports import FileRecord

COMMAND = str(Path(sys.executable).with_name("iod"))
TIME_LIMIT_S = 120.0
_HIDDEN = ".iod-part"


def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The real command."""
    environment = {**os.environ, **IMPATIENT, "IOD_HOME": str(home)}
    return subprocess.Popen([COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(home: Path, *arguments: str, code: int = 0) -> Any:
    """The document of a command that ends with that code."""
    process = start(home, *arguments, "--json")
    stdout, stderr = process.communicate(timeout=TIME_LIMIT_S)
    assert process.returncode == code, stdout + stderr
    return json.loads(stdout)


def names(folder: Path) -> list[str]:
    """All that stands there at this moment."""
    return [name for _, _, files in os.walk(folder) for name in files]


def named(folder: Path) -> dict[str, bytes]:
    """Files that have their names."""
    return {path: content for path, content in held(folder).items() if _HIDDEN not in path}


def test_killed_at_any_moment_and_run_again(plain_xrootd: XRootDServer, tmp_path: Path) -> None:
    base = f"{plain_xrootd.root_url}/{tmp_path.name}"
    contents = lay_out(base, tmp_path / "sources", n_sensors=6, n_files=10, n_bytes=400_000)
    remember(tmp_path / "home", job_at(base))
    chance = random.Random(8)
    n_caught = 0
    for _ in range(4):
        process = start(tmp_path / "home", "fetch", NAME, "--to", str(tmp_path / "to"))
        end = time.monotonic() + TIME_LIMIT_S
        n_files = len(names(tmp_path / "to")) + chance.randrange(1, 12)
        while process.poll() is None and len(names(tmp_path / "to")) < n_files:
            assert time.monotonic() < end
        process.kill()
        process.communicate()
        n_caught += process.returncode != 0
        found = named(tmp_path / "to")
        assert found == {path: contents[path] for path in found}, "what has its name is whole and right"
    assert n_caught > 0
    report = run(tmp_path / "home", "fetch", NAME, "--to", str(tmp_path / "to"))
    assert (report["failed"], report["fetched"] + report["kept"]) == (0, len(contents))
    assert held(tmp_path / "to") == contents
    assert run(tmp_path / "home", "fetch", NAME, "--to", str(tmp_path / "to"))["kept"] == len(contents)


def test_what_the_server_holds_wrong_is_not_taken(start_xrootd: StartXRootD, tmp_path: Path) -> None:
    server = start_xrootd()
    contents = lay_out(f"{server.root_url}/one", tmp_path / "sources", n_files=4)
    remember(tmp_path / "home", job_at(f"{server.root_url}/one"))
    changed, cut, lost, *good = contents
    stands = {path: next(server.store.rglob(path.partition("/")[2])) for path in contents}
    stands[changed].write_bytes(bytes(len(contents[changed])))
    stands[cut].write_bytes(contents[cut][:-1])
    stands[lost].unlink()
    for path in (changed, cut):
        # XRootD keeps a checksum until the second of the file's last change is another one.
        os.utime(stands[path], (time.time() + 10, time.time() + 10))
    report = run(tmp_path / "home", "fetch", NAME, "--to", str(tmp_path / "to"), code=105)
    assert {file["name"] for file in report["files"] if file["state"] == "failed"} == {
        path.partition("/")[2] for path in (changed, cut, lost)
    }
    assert held(tmp_path / "to") == {path: contents[path] for path in good}


def test_from_the_other_door(start_xrootd: StartXRootD, tmp_path: Path) -> None:
    server = start_xrootd(http=True)
    contents = lay_out(f"{server.root_url}/one", tmp_path / "sources")
    remember(tmp_path / "home", job_at(f"{server.http_url}/one"))
    listed = run(tmp_path / "home", "ls", NAME)
    assert {f"v{file['visit']}/{file['name']}" for file in listed["files"]} == set(contents)
    assert run(tmp_path / "home", "fetch", NAME, "--to", str(tmp_path / "to"))["fetched"] == len(contents)
    assert held(tmp_path / "to") == contents


def test_what_a_folder_has_lost_a_server_still_has(start_xrootd: StartXRootD, tmp_path: Path) -> None:
    server = start_xrootd()
    second = str(tmp_path / "second")
    contents = lay_out(f"{server.root_url}/one", tmp_path / "sources")
    lay_out(second, tmp_path / "sources")
    remember(tmp_path / "home", job_at(second, ("4406",), f"{server.root_url}/one"))
    lost = tmp_path / "second" / USER / NAME / min(contents)
    lost.unlink()
    assert run(tmp_path / "home", "fetch", NAME, "--to", str(tmp_path / "to"))["failed"] == 0
    assert held(tmp_path / "to") == contents


@pytest.mark.parametrize("arguments", [("ls",), ("fetch",)], ids="-".join)
def test_a_job_that_is_unknown(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(tmp_path / "home", *arguments, "nobody", code=100)["error"]["name"] == "JOB_UNKNOWN"


SITE = """
name = "rucio-fetch"
[catalog]
kind = "rucio"
[catalog.rucio]
host = "{host}"
account = "{account}"
username = "{username}"
secret = "env:RUCIO_TEST_PASSWORD"
rse = "{rse}"
timeout_s = 15.0
"""


@pytest.mark.parametrize("lost", ["file", "server"])
def test_replicas_that_only_rucio_knows(
    rucio_settings: Rucio, rucio_user: str, plain_xrootd: XRootDServer, tmp_path: Path, lost: str
) -> None:
    base = f"{plain_xrootd.root_url}/{tmp_path.name}"
    contents = lay_out(base, tmp_path / "sources", user=rucio_user)
    records = [
        FileRecord(
            name=f"{NAME}/{path}",
            dataset=f"{NAME}/v4406",
            url=str(tmp_path / "elsewhere" / rucio_user / NAME / path),
            size_bytes=len(content),
            adler32=f"{zlib.adler32(content):08x}",
            metadata={
                "visit": "4406",
                "sensor": path[21:28],
                "exposure": 0,
                "role": "electron_image",
                "user": rucio_user,
            },
        )
        for path, content in contents.items()
    ]
    for record, content in zip(records, contents.values(), strict=True):
        Path(record.url).parent.mkdir(parents=True, exist_ok=True)
        Path(record.url).write_bytes(content)
    RucioCatalog(rucio_settings, user=rucio_user).register(records)
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(host=rucio_settings.host, account=ACCOUNT, username=IDENTITY, rse=RSE))
    if lost == "file":
        (plain_xrootd.store / tmp_path.name / rucio_user / NAME / min(contents)).unlink()
    else:
        base = f"root://localhost:{closed_port()}//store"
    remember(tmp_path / "home", job_at(base, user=rucio_user, site=str(site)))
    report = run(tmp_path / "home", "fetch", NAME, "--to", str(tmp_path / "to"))
    assert (report["failed"], report["fetched"]) == (0, len(contents))
    assert held(tmp_path / "to") == contents


def closed_port() -> int:
    """Nobody listens there."""
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])
