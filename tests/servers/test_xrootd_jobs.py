"""Whole jobs whose images go to an XRootD server, undisturbed and in trouble."""

from __future__ import annotations

import json
import signal
import zlib
from pathlib import Path

import pytest

from tests.servers.conftest import StartXRootD
from tests.servers.proxy import Proxy
from tests.servers.xrootd_server import IMPATIENT, XRootDServer
from tests.whole_job.aftermath import Outcome, check_journal, check_reports, check_words, processes_in
from tests.whole_job.bench import Bench, Spec, StartedJob, wait_until

UNIT = "R22_S11-E000"


class RemoteBench:
    """Runs jobs on the bench, with their images on a server."""

    def __init__(self, bench: Bench, server: XRootDServer) -> None:
        self.bench = bench
        self.server = server
        bench.write("site.toml", 'name = "remote"\n[catalog]\nkind = "none"\n')

    def spec(self, base: str | None = None, **changes: object) -> Spec:
        return self.bench.spec(**{"amplifiers": True, "output": {"base": base or self.server.root_url}, **changes})

    def start(self, spec: Spec, workdir: str = "work") -> StartedJob:
        return self.bench.start_job(spec, "--site", str(self.bench.folder / "site.toml"), workdir=workdir)

    def run(self, spec: Spec, workdir: str = "work") -> Outcome:
        return self.end(self.start(spec, workdir))

    def end(self, job: StartedJob) -> Outcome:
        """Wait for the job and check what holds after every one."""
        over = job.killed()
        outcome = Outcome(
            exit_code=over.exit_code,
            stdout=over.stdout,
            stderr=over.stderr,
            workdir=over.workdir,
            store=self.server.store,
        )
        check_words(outcome)
        check_reports(outcome)
        check_journal(outcome)
        assert processes_in(outcome.workdir) == []
        self.check_images(outcome)
        return outcome

    def check_images(self, outcome: Outcome) -> None:
        """What a manifest names is there, byte for byte; nothing else can be seen."""
        expected: set[Path] = set()
        for path in outcome.store.rglob(".units/[!.]*.json"):
            for file in json.loads(path.read_text())["files"]:
                image = path.parent.parent / file["name"]
                # A job that was stopped between commit and rename has left its images under their temporary names.
                image = image if image.exists() else path.parent.parent / file["temporary"]
                assert f"{zlib.adler32(image.read_bytes()):08x}" == file["adler32"]
                expected.add(image)
        visible = {path for path in outcome.store.rglob("*.fits.gz") if not path.name.startswith(".")}
        assert visible <= expected


@pytest.fixture
def remote(bench: Bench, start_xrootd: StartXRootD, monkeypatch: pytest.MonkeyPatch) -> RemoteBench:
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)
    return RemoteBench(bench, start_xrootd())


def check_done(remote: RemoteBench, outcome: Outcome) -> None:
    assert outcome.exit_code == 0, outcome.stderr
    assert set(outcome.states.values()) == {"committed"}
    hidden = [path for path in outcome.store.rglob(".*") if path.is_file()]
    assert hidden == []
    # No process of ours survives: the mover runs in the bench's folder.
    assert processes_in(remote.bench.folder) == []


def test_a_job_and_its_rerun(remote: RemoteBench) -> None:
    outcome = remote.run(remote.spec())
    check_done(remote, outcome)
    assert len(outcome.images) == 17
    urls = {file["url"] for unit in outcome.report["units"] for file in unit["files"]}
    assert all(url.startswith(f"{remote.server.root_url}/tonyj/run-00019/v4242/lsst_") for url in urls)
    again = remote.run(remote.spec(), workdir="again")
    check_done(remote, again)
    assert again.processes_started == 0
    assert not [event for event in again.journal if event["event"] == "transfer"]
    # A server that is away is no empty server.
    remote.server.stop()
    blind = remote.run(remote.spec(), workdir="blind")
    assert (blind.exit_code, blind.report["exitAcronym"]) == (70, "STORAGE_UNREACHABLE")
    assert blind.processes_started == 0
    assert [event for event in blind.journal if event["event"] == "storage_retry"]


def test_a_server_that_comes_back_in_time(remote: RemoteBench) -> None:
    remote.server.stop()
    job = remote.start(remote.spec())
    job.wait_for("storage_retry")
    remote.server.start()
    outcome = remote.end(job)
    check_done(remote, outcome)


def upload_begun(remote: RemoteBench, proxy: Proxy, workdir: str) -> StartedJob:
    """A job whose upload goes through a slow line, and has begun."""
    proxy.bytes_per_s = 20_000.0
    wait_until(lambda: unfinished(remote) == set(), "the server's tidying up after the last one")
    job = remote.start(remote.spec(f"root://localhost:{proxy.port}//store"), workdir)
    wait_until(lambda: unfinished(remote) != set(), "the upload")
    return job


def unfinished(remote: RemoteBench) -> set[Path]:
    return {path for path in remote.server.store.rglob(".*") if path.suffix == ".new"}


def test_a_job_that_is_ended_in_the_middle_of_an_upload(remote: RemoteBench) -> None:
    """Three times, by a signal, by a kill and by the end of its server; the fourth makes what is missing."""
    with Proxy(remote.server.port) as proxy:
        job = upload_begun(remote, proxy, "stopped")
        job.send(signal.SIGTERM)
        outcome = remote.end(job)
        assert (outcome.exit_code, outcome.report["exitAcronym"]) == (44, "TERMINATED")
        assert processes_in(remote.bench.folder) == []
    with Proxy(remote.server.port) as proxy:
        job = upload_begun(remote, proxy, "killed")
        job.send(signal.SIGKILL)
        job.killed()
        wait_until(lambda: processes_in(remote.bench.folder) == [], "the end of its mover")
    with Proxy(remote.server.port) as proxy:
        job = upload_begun(remote, proxy, "cut")
        remote.server.kill()
        outcome = remote.end(job)
        assert (outcome.exit_code, outcome.report["exitAcronym"]) == (70, "STORAGE_UNREACHABLE")
    assert outcome.images == [] or all(name.startswith(".") for name in outcome.images)
    remote.server.start()
    check_done(remote, remote.run(remote.spec(), workdir="again"))


def test_two_attempts_at_once(remote: RemoteBench) -> None:
    jobs = [remote.start(remote.spec(), workdir) for workdir in ("one", "two")]
    outcomes = [remote.end(job) for job in jobs]
    for outcome in outcomes:
        check_done(remote, outcome)
    assert sum(outcome.units[UNIT]["made_in_this_run"] for outcome in outcomes) == 1
    assert len(outcomes[0].images) == 17
