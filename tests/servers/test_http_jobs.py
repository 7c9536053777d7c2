"""Whole jobs whose images go to an HTTP door, undisturbed and in trouble."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.servers.conftest import StartXRootD
from tests.servers.credentials import has_scitokens
from tests.servers.test_xrootd_jobs import RemoteBench, check_done
from tests.servers.webdav_server import WebDavServer
from tests.whole_job.bench import Bench


def test_a_job_and_its_rerun(bench: Bench, start_xrootd: StartXRootD) -> None:
    server = start_xrootd(http=True)
    remote = RemoteBench(bench, server)
    base = f"dav{server.http_url.removeprefix('http')}"
    outcome = remote.run(remote.spec(base))
    check_done(remote, outcome)
    assert len(outcome.images) == 17
    urls = {file["url"] for unit in outcome.report["units"] for file in unit["files"]}
    assert all(url.startswith(f"{base}/tonyj/run-00019/v4242/lsst_") for url in urls)
    again = remote.run(remote.spec(base), workdir="again")
    check_done(remote, again)
    assert again.processes_started == 0
    assert not [event for event in again.journal if event["event"] == "transfer"]


@pytest.mark.skipif(not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens")
def test_a_server_that_dies_in_the_middle(
    bench: Bench, start_xrootd: StartXRootD, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS and a token; what was committed before stays, and the next run makes the rest."""
    server = start_xrootd(http=True, tls=True, token=True)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    remote = RemoteBench(bench, server)
    base = f"davs{server.http_url.removeprefix('https')}"
    spec = remote.spec(base, exposures="all")
    job = bench.start_job(spec, "--site", str(bench.folder / "site.toml"), "--cores", "1")
    job.wait_for("unit_committed")
    server.kill()
    job.wait_for("storage_retry")
    job.send(signal.SIGKILL)
    job.killed()
    server.start()
    again = remote.run(spec, workdir="again")
    check_done(remote, again)
    assert len(again.images) == 34
    assert [unit["made_in_this_run"] for unit in again.report["units"]].count(True) == 1


def test_a_server_without_exclusive_creation_has_to_be_declared(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "webdav").mkdir()
    server = WebDavServer(tmp_path / "webdav")
    try:
        remote = RemoteBench(bench, server)
        refused = remote.run(remote.spec(server.url))
        assert (refused.report["exitAcronym"], refused.processes_started) == ("STORAGE_NOT_EXCLUSIVE", 0)
        endpoint = f'[[storage.endpoints]]\nurl = "{server.url}"\nsingle_writer = true\n'
        bench.write("site.toml", f'name = "declared"\n[catalog]\nkind = "none"\n{endpoint}')
        done = remote.run(remote.spec(server.url), workdir="again")
        check_done(remote, done)
        assert len(done.images) == 17
    finally:
        server.close()
