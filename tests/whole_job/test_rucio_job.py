"""Whole jobs that register in a real Rucio server, through a proxy that can be made to misbehave."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import zlib
from pathlib import Path

import pytest

from site_configs.schema import Rucio
from tests.servers.faulty_proxy import Ask, Fault, FaultyProxy, dribble, status
from tests.servers.rucio_server import ACCOUNT, IDENTITY, PASSWORD, RSE
from tests.whole_job.bench import Bench, Spec
from transformation.catalog.rucio import RucioCatalog

SITE = """
name = "rucio-test"
[catalog]
kind = "rucio"
patience_s = {patience_s}
[catalog.rucio]
host = "{host}"
account = "{account}"
username = "{username}"
secret = "env:RUCIO_JOB_PASSWORD"
rse = "{rse}"
timeout_s = {timeout_s}
"""
DATASET = "run-00019/v4242"


class RucioBench:
    """A bench whose site registers in Rucio for a user of its own."""

    def __init__(self, bench: Bench, proxy: FaultyProxy, catalog: RucioCatalog, user: str) -> None:
        self.bench = bench
        self.proxy = proxy
        self.catalog = catalog
        self.user = user
        self.site = ["--site", str(bench.folder / "site.toml")]
        self.wait_for_answers(30.0)
        self.location = str(bench.store / user / "run-00019")

    def wait_for_answers(self, timeout_s: float) -> None:
        """How patient the site is."""
        limits = {"timeout_s": timeout_s, "patience_s": timeout_s / 2}
        site = SITE.format(host=self.proxy.url, account=ACCOUNT, username=IDENTITY, rse=RSE, **limits)
        self.bench.write("site.toml", site)

    def spec(self, **changes: object) -> Spec:
        return self.bench.spec(user=self.user, **changes)

    def run(self, *, password: str = PASSWORD) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
        path = self.bench.write("job.json", json.dumps(self.spec()))
        arguments = ["run", "--job", str(path), "--workdir", str(self.bench.folder / "work"), *self.site]
        done = self.bench.command(arguments, environment={"RUCIO_JOB_PASSWORD": password})
        report = json.loads((self.bench.folder / "work" / "jobReport.json").read_text())
        assert report["exitCode"] == done.returncode
        # PanDA's pilot reads the last line; nobody else's errors stand among ours.
        assert len(done.stderr.splitlines()) <= 2, done.stderr
        assert done.returncode == 0 or done.stderr.splitlines()[-1].startswith("ERROR: ")
        for text in (done.stdout, done.stderr, *(path.read_text() for path in self.written())):
            assert PASSWORD not in text
        return done, report

    def written(self) -> list[Path]:
        """What the job wrote about itself."""
        work = self.bench.folder / "work"
        return [work / "jobReport.json", work / "journal.jsonl", *(work / "logs").rglob("*.err")]

    def command(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.bench.command([name, self.location, *self.site, *options])

    def stored(self) -> dict[str, tuple[int, str]]:
        """Size and checksum of everything at the destination, by its name in the catalog."""
        folder = self.bench.store / self.user
        contents = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return {name: (len(content), f"{zlib.adler32(content):08x}") for name, content in contents.items()}

    def registered(self) -> dict[str, tuple[int, str]]:
        """The same as Rucio has it; places included in the check."""
        known = self.catalog.known(DATASET)
        assert all(record.url == str(self.bench.store / self.user / record.name) for record in known)
        return {record.name: (record.size_bytes, record.adler32) for record in known}


@pytest.fixture
def rucio_bench(
    bench: Bench, proxy: FaultyProxy, rucio_settings: Rucio, rucio_user: str, monkeypatch: pytest.MonkeyPatch
) -> RucioBench:
    monkeypatch.setenv("RUCIO_JOB_PASSWORD", PASSWORD)
    return RucioBench(bench, proxy, RucioCatalog(rucio_settings, user=rucio_user), rucio_user)


def test_images_and_receipts_are_registered_once_and_again(rucio_bench: RucioBench) -> None:
    for _ in range(2):
        done, report = rucio_bench.run()
        assert done.returncode == 0, done.stderr
        assert [unit["registered"] for unit in report["units"]] == [True]  # type: ignore[attr-defined]
        assert len(rucio_bench.stored()) == 2
        assert rucio_bench.registered() == rucio_bench.stored()
    done = rucio_bench.command("reconcile", "--checksums")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "all agree"), done.stderr


@pytest.mark.parametrize("fault", [status(500), pytest.param(dribble, marks=pytest.mark.long)], ids=["500", "dribble"])
def test_a_catalog_in_trouble_leaves_the_images_to_a_replay(rucio_bench: RucioBench, fault: Fault) -> None:
    rucio_bench.wait_for_answers(2.0)
    with rucio_bench.proxy.faulty(fault):
        done, report = rucio_bench.run()
        assert (done.returncode, report["exitAcronym"]) == (80, "REGISTRATION_PENDING")
        assert [unit["state"] for unit in report["units"]] == ["committed"]  # type: ignore[attr-defined]
        assert len(rucio_bench.stored()) == 2
        assert rucio_bench.command("register").returncode == 80
    rucio_bench.wait_for_answers(30.0)
    assert rucio_bench.registered() == {}
    done = rucio_bench.command("reconcile", "--json")
    assert done.returncode == 83
    assert json.loads(done.stdout)["counts"]["unregistered"] == 2
    for _ in range(2):
        assert rucio_bench.command("register").returncode == 0
        assert rucio_bench.registered() == rucio_bench.stored()
    assert rucio_bench.command("reconcile").returncode == 0


def test_a_later_attempt_registers_what_an_earlier_one_could_not(rucio_bench: RucioBench) -> None:
    done, _ = rucio_bench.run(password="wrong")
    assert done.returncode == 80
    assert rucio_bench.registered() == {}
    done, report = rucio_bench.run()
    assert done.returncode == 0
    assert not any(unit["made_in_this_run"] for unit in report["units"])  # type: ignore[attr-defined]
    assert rucio_bench.registered() == rucio_bench.stored()


def test_a_hanging_catalog_does_not_delay_the_end_by_a_signal(rucio_bench: RucioBench) -> None:
    rucio_bench.run(password="wrong")
    rucio_bench.wait_for_answers(1000.0)
    reached, over = threading.Event(), threading.Event()

    def hang(method: str, path: str, ask: Ask) -> None:
        reached.set()
        over.wait()

    with rucio_bench.proxy.faulty(hang):
        job = rucio_bench.bench.start_job(rucio_bench.spec(), *rucio_bench.site)
        assert reached.wait(60)
        job.send(signal.SIGTERM)
        outcome = job.killed()  # it does not wait for the answer, which comes when it has ended
        over.set()
    assert outcome.exit_code == 44
    assert outcome.report["units"][0]["state"] == "committed"


def test_another_file_under_the_name_is_named_and_left_alone(rucio_bench: RucioBench) -> None:
    rucio_bench.run()
    first = rucio_bench.registered()
    image = next(path for path in (rucio_bench.bench.store / rucio_bench.user).rglob("lsst_e_*"))
    image.unlink()
    done, report = rucio_bench.run()
    assert (done.returncode, report["exitAcronym"]) == (81, "REGISTRATION_CONFLICT")
    assert rucio_bench.registered() == first != rucio_bench.stored()
    done = rucio_bench.command("reconcile")
    assert done.returncode == 83
    assert "different: 2" in done.stdout
