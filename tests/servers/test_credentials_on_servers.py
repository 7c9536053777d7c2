"""Whole jobs that show a credential: it ends, it is renewed, it is somebody else's."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers.conftest import StartXRootD
from tests.servers.credentials import has_scitokens
from tests.servers.test_xrootd_jobs import RemoteBench, check_done
from tests.servers.xrootd_server import IMPATIENT, SSS_USER, XRootDServer
from tests.unit.test_credentials import proxy_pem
from tests.whole_job.bench import Bench
from transformation.model.failures import Failure
from transformation.ports import StorageError
from transformation.storage.xrootd import XRootDStorage

UNIT = "R22_S11-E000"
needs_tokens = pytest.mark.skipif(
    not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens"
)


def bench_at(server: XRootDServer, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> RemoteBench:
    for name, value in {**IMPATIENT, **server.environment}.items():
        monkeypatch.setenv(name, value)
    return RemoteBench(bench, server)


class TokenFile:
    """A file that others renew: a new one takes the place of the old."""

    def __init__(self, server: XRootDServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server, self._path = server, path
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))

    def renew(self, lifetime_s: float) -> None:
        new = self._path.with_suffix(".new")
        shutil.copy(self._server.token_file(lifetime_s=lifetime_s), new)
        new.chmod(0o600)
        new.rename(self._path)


def held_up(bench: Bench) -> Path:
    """Raytrace waits until the file is there."""
    flag = bench.folder / "go on"
    bench.break_stage("raytrace", f"while [ ! -e '{flag}' ]; do sleep 0.05; done; real")
    return flag


@needs_tokens
def test_a_token_that_ends_before_the_upload(
    bench: Bench, start_xrootd: StartXRootD, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = bench_at(start_xrootd(tls=True, token=True), bench, monkeypatch)
    token = TokenFile(remote.server, bench.folder / "token", monkeypatch)
    token.renew(600)
    flag = held_up(bench)
    job = remote.start(remote.spec(release=bench.release.name))
    job.wait_for("unit_started")
    token.renew(-60)
    flag.touch()
    outcome = remote.end(job)
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (76, "CREDENTIAL_EXPIRED")
    kept = outcome.workdir / outcome.units[UNIT]["kept"]
    assert len(list(kept.glob("*.fits.gz"))) == 17
    token.renew(600)
    again = remote.run(remote.spec(release=bench.release.name))
    check_done(remote, again)
    assert again.processes_started == 0
    assert len(again.images) == 17


@needs_tokens
def test_a_renewed_token_is_shown_at_once(
    start_xrootd: StartXRootD, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Old connections go on with the old one: a server (5.5.3) that let it in looks at its end a minute late."""
    server = start_xrootd(tls=True, token=True)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    token = TokenFile(server, tmp_path / "token", monkeypatch)
    token.renew(600)
    with closing(XRootDStorage(client_settings=IMPATIENT)) as storage, ThreadPoolExecutor(4) as pool:
        assert storage.create(f"{server.root_url}/first", b"x")
        token.renew(-60)
        with pytest.raises(StorageError) as caught:
            storage.create(f"{server.root_url}/second", b"x")
        assert caught.value.failure is Failure.STORAGE_DENIED
        token.renew(600)
        pid = storage.mover_pid
        creations = [pool.submit(storage.create, f"{server.root_url}/many-{number}", b"x") for number in range(200)]
        while storage.mover_pid == pid and not creations[50].done():
            time.sleep(0.001)
        token.renew(500)
        assert all(one.result(60) for one in creations), "none is lost when the next child takes over"
        assert storage.mover_pid != pid


def test_a_proxy_that_ends_too_soon_starts_nothing(
    bench: Bench, start_xrootd: StartXRootD, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = bench_at(start_xrootd(), bench, monkeypatch)
    proxy = bench.folder / "proxy"
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    for left in (timedelta(minutes=-5), timedelta(seconds=30)):
        proxy.write_bytes(proxy_pem(ends=datetime.now(UTC) + left))
        outcome = remote.run(remote.spec())
        assert (outcome.exit_code, outcome.report["exitAcronym"]) == (76, "CREDENTIAL_EXPIRED")
        assert outcome.processes_started == 0
        assert str(proxy) in outcome.units[UNIT]["detail"]
    proxy.write_bytes(proxy_pem())
    again = remote.run(remote.spec())
    check_done(remote, again)
    assert "Tony Johnson" in again.report["destinations"][0]["credential"]


def test_nobody_writes_into_anothers_folder(
    bench: Bench, start_xrootd: StartXRootD, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = bench_at(start_xrootd(sss=True), bench, monkeypatch)
    site = bench.folder / "site.toml"
    site.write_text(site.read_text() + '[storage]\nbind_user = "subject"\n')
    outcome = remote.run(remote.spec())
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (77, "USER_REFUSED")
    assert outcome.report["units"] == []
    assert SSS_USER in outcome.report["exitMsg"]
    assert list(remote.server.store.iterdir()) == []
    check_done(remote, remote.run(remote.spec(user=SSS_USER), workdir="own"))
