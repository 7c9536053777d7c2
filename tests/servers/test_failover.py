"""Whole jobs with two XRootD servers to go to, of which one is in trouble."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.servers.conftest import StartXRootD
from tests.servers.proxy import Proxy
from tests.servers.test_xrootd_jobs import RemoteBench
from tests.servers.xrootd_server import XRootDServer
from tests.whole_job.aftermath import Document, Outcome
from tests.whole_job.bench import Bench, StartedJob, wait_until

UNIT = "R22_S11-E000"
N_FILES = 17


@dataclass(frozen=True, kw_only=True)
class Two:
    """Two servers, and jobs that name both."""

    benches: tuple[RemoteBench, RemoteBench]

    @property
    def first(self) -> XRootDServer:
        return self.benches[0].server

    @property
    def second(self) -> XRootDServer:
        return self.benches[1].server

    def start(self, workdir: str = "work", first_url: str = "", **changes: object) -> StartedJob:
        bases = [first_url or self.first.root_url, self.second.root_url]
        return self.benches[0].start(self.benches[0].spec(**{"output": {"base": bases}, **changes}), workdir)

    def run(self, workdir: str = "work", **changes: object) -> Outcome:
        return self.end(self.start(workdir, **changes))

    def end(self, job: StartedJob) -> Outcome:
        outcome = self.benches[0].end(job)
        for bench in self.benches:
            bench.check_images(stored(outcome, bench.server))
        return outcome


def stored(outcome: Outcome, server: XRootDServer) -> Outcome:
    """The same job, looking at that server."""
    return Outcome(
        exit_code=outcome.exit_code,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        workdir=outcome.workdir,
        store=server.store,
    )


@pytest.fixture
def two(bench: Bench, start_xrootd: StartXRootD) -> Two:
    return two_servers(bench, start_xrootd)


def two_servers(bench: Bench, start_xrootd: StartXRootD, **first: object) -> Two:
    return Two(benches=(RemoteBench(bench, start_xrootd(**first)), RemoteBench(bench, start_xrootd())))


def check_at(outcome: Outcome, server: XRootDServer, other: XRootDServer) -> None:
    """The job is done, its images are at that server, and nothing of them at the other."""
    assert outcome.exit_code == 0, outcome.stderr
    (unit,) = outcome.report["units"]
    assert {file["url"].rpartition("/")[0] for file in unit["files"]} == {f"{server.root_url}/tonyj/run-00019/v4242"}
    assert len(stored(outcome, server).images) == N_FILES
    assert list(stored(outcome, server).manifests) == [unit["id"]]
    assert not any(name.startswith("lsst_") for name in stored(outcome, other).images)
    assert stored(outcome, other).manifests == {}
    used = [one["url"] for one in outcome.report["destinations"] if one["used"]]
    assert used == [server.root_url]


def destination(outcome: Outcome, server: XRootDServer) -> Document:
    (found,) = [one for one in outcome.report["destinations"] if one["url"] == server.root_url]
    return found


def test_a_dead_first_and_what_is_known_of_it_later(two: Two) -> None:
    two.first.stop()
    outcome = two.run()
    check_at(outcome, two.second, two.first)
    assert destination(outcome, two.first)["failure"] == "STORAGE_UNREACHABLE"
    assert f"localhost:{two.first.port}" in destination(outcome, two.first)["detail"]
    two.first.start()
    again = two.run("again")
    check_at(again, two.second, two.first)
    assert again.processes_started == 0
    for server in (two.first, two.second):
        found = destination(again, server)
        assert (found["tried"], found["failure"]) == (True, None)
    # By now the first has heard of it: the second's silence does not mean that the unit is missing.
    two.second.stop()
    blind = two.run("blind")
    assert (blind.exit_code, blind.processes_started) == (70, 0)
    assert blind.units[UNIT]["failure"] == "STORAGE_UNREACHABLE"
    assert "may stand at" in blind.units[UNIT]["detail"]


@pytest.mark.long
def test_a_dead_second_hinders_nobody(two: Two) -> None:
    two.second.stop()
    outcome = two.run()
    check_at(outcome, two.first, two.second)
    assert destination(outcome, two.second)["failure"] == "STORAGE_UNREACHABLE"
    assert destination(outcome, two.first)["free_bytes"] > 0
    (unit,) = outcome.report["units"]
    good = [transfer for transfer in unit["transfers"] if transfer["outcome"] == "good"]
    assert sorted(transfer["name"] for transfer in good) == sorted(file["name"] for file in unit["files"])
    for transfer in good:
        assert transfer["url"].startswith(f"{two.first.root_url}/tonyj/")
        assert transfer["size"] > 0
        assert transfer["wall_s"] > 0
        assert transfer["bytes_per_s"] > 0


def killed(server: XRootDServer) -> None:
    server.kill()


def frozen(server: XRootDServer) -> None:
    server.freeze()


@pytest.mark.parametrize("fault", [killed, pytest.param(frozen, marks=pytest.mark.long)])
def test_a_first_that_goes_away_in_the_middle_of_a_copy(
    two: Two, fault: Callable[[XRootDServer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRD_STREAMTIMEOUT", "3")
    monkeypatch.setenv("XRD_REQUESTTIMEOUT", "5")
    with Proxy(two.first.port) as proxy:
        proxy.bytes_per_s = 20_000.0
        job = two.start(first_url=f"root://localhost:{proxy.port}//store")
        wait_until(lambda: any(path.suffix == ".new" for path in two.first.store.rglob(".*")), "the upload")
        fault(two.first)
        outcome = two.end(job)
        check_at(outcome, two.second, two.first)
        unit = outcome.units[UNIT]
        assert len(unit["attempts"]) == 1
        bad = [transfer for transfer in unit["transfers"] if transfer["outcome"] != "good"]
        assert bad
        assert all(f"localhost:{proxy.port}" in transfer["url"] and transfer["detail"] for transfer in bad)
        if fault is frozen:
            return
        two.first.start()
        proxy.bytes_per_s = None
        again = two.end(two.start("again", first_url=f"root://localhost:{proxy.port}//store"))
        check_at(again, two.second, two.first)
        assert again.processes_started == 0
        assert stored(again, two.first).images == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk for the server can only be mounted as root")
def test_a_first_that_fills_up(bench: Bench, start_xrootd: StartXRootD) -> None:
    two = two_servers(bench, start_xrootd, capacity_mb=1)
    others = two.first.store / "others"
    bench.break_stage("raytrace", f"real; dd if=/dev/zero of={others} bs=4k 2> /dev/null; truncate -s -100k {others}")
    outcome = two.run(release=bench.release.name)
    check_at(outcome, two.second, two.first)
    assert destination(outcome, two.first)["failure"] == "STORAGE_FULL"
    assert "STORAGE_FULL" in {transfer["outcome"] for transfer in outcome.units[UNIT]["transfers"]}


def test_a_first_that_denies(bench: Bench, start_xrootd: StartXRootD, monkeypatch: pytest.MonkeyPatch) -> None:
    two = two_servers(bench, start_xrootd, sss=True)
    for name, value in two.first.environment.items():
        monkeypatch.setenv(name, value)
    outcome = two.end(two.start(first_url=f"{two.first.root_url}/locked"))
    check_at(outcome, two.second, two.first)
    denied = outcome.report["destinations"][0]
    assert (denied["failure"], denied["used"]) == ("STORAGE_DENIED", False)
    assert "of imsim" in denied["credential"]


def test_images_that_nobody_takes_are_kept(two: Two) -> None:
    with Proxy(two.first.port) as first, Proxy(two.second.port) as second:
        bases = [f"root://localhost:{proxy.port}//store" for proxy in (first, second)]
        first.bytes_per_s = second.bytes_per_s = 20_000.0
        job = two.start(output={"base": bases})
        wait_until(lambda: any(path.suffix == ".new" for path in two.first.store.rglob(".*")), "the upload")
        two.first.kill()
        two.second.kill()
        outcome = two.end(job)
        assert outcome.exit_code == 70, outcome.stderr
        kept = outcome.units[UNIT]["kept"]
        assert len(list((outcome.workdir / kept).glob("*.fits.gz"))) == N_FILES


def test_the_catalog_remembers_what_no_destination_can_tell(two: Two) -> None:
    """The second was used while the first was away; now it is the other way round, and the first never heard of it."""
    site = two.benches[0].bench.folder / "site.toml"
    site.write_text(f'name = "remote"\n[catalog]\npath = "{two.benches[0].bench.folder}/images.sqlite"\n')
    two.first.stop()
    outcome = two.run()
    check_at(outcome, two.second, two.first)
    assert outcome.units[UNIT]["registered"]
    two.first.start()
    two.second.stop()
    blind = two.run("blind")
    assert (blind.exit_code, blind.processes_started) == (70, 0)
    assert json.loads((outcome.workdir / "jobReport.json").read_text())["exitCode"] == 0


# -- a redirector in front of several servers


def test_a_redirector_that_is_not_declared_is_refused(two: Two, start_xrootd: StartXRootD) -> None:
    redirector = start_xrootd(redirector=True)
    outcome = two.run(output={"base": [two.first.root_url, redirector.root_url]})
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (78, "STORAGE_NOT_EXCLUSIVE")
    assert outcome.processes_started == 0
    assert f"localhost:{redirector.port}" in outcome.report["exitMsg"]
    assert list(two.first.store.iterdir()) == []


def test_a_redirector_with_its_data_server(two: Two, start_xrootd: StartXRootD) -> None:
    redirector = start_xrootd(redirector=True)
    endpoint = f'[[storage.endpoints]]\nurl = "{redirector.root_url}"\ndata_server = "localhost:{two.first.port}"\n'
    site = two.benches[0].bench.folder / "site.toml"
    site.write_text(site.read_text() + endpoint)
    outcome = two.run(output=None)
    assert outcome.exit_code == 0, outcome.stderr
    assert len(stored(outcome, two.first).images) == N_FILES
    (unit,) = outcome.report["units"]
    assert all(file["url"].startswith(f"{redirector.root_url}/tonyj/") for file in unit["files"])
    assert two.run("again", output=None).processes_started == 0
