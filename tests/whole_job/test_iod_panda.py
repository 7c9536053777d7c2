"""Requests through the real panda-client to a stand-in for the server, and what its pilots make of them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from submitter.client import Client
from submitter.drafts import Wishes
from submitter.folders import Folders
from submitter.jobs import Job
from submitter.prepare import Options
from submitter.settings import BACKENDS, BackendName, PandaSettings, Settings
from submitter.submission import digest_of
from submitter.troubles import IodError
from tests.panda_stub.pilot import run_job, run_task
from tests.panda_stub.server import TOKEN, PandaStub
from tests.whole_job.bench import Bench
from tests.whole_job.iod import Iod
from tests.whole_job.sky import one_star

UNITS = ["v4242-R22_S11-E000", "v4242-R22_S12-E000"]


@pytest.fixture
def client(bench: Bench, panda: PandaStub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """With a token, a catalog, and a short patience for the server."""
    for name in ("PANDA_URL_SSL", "PANDA_AUTH", "PANDA_AUTH_VO", "PANDA_CONFIG_ROOT", "PANDA_AUTH_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IOD_RELEASES", str(bench.release.parent))
    monkeypatch.chdir(bench.folder)
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]))
    folders = Folders(bench.folder / "home")
    folders.panda.mkdir(parents=True)
    (folders.panda / ".token").write_text(json.dumps({"id_token": TOKEN}))
    settings = Settings(user="tonyj", task="stars", panda=PandaSettings(server=panda.url, timeout_s=20.0))
    with Client(folders, settings) as one:
        yield one


WISHES = Wishes(
    catalogs=["sky.txt"],
    sensors="R22_S1[12]",
    exposures="0",
    amplifiers=False,
    output="store",
    release="quicksim-tiny-1.0",
)


def submit(client: Client, backend: BackendName = "panda", **wishes: Any) -> Job:
    report = client.check(client.draft(wishes=replace(WISHES, **wishes)), Options(backend=backend))
    return client.submit(report, again=True).job


def trouble(client: Client, name: str, **wishes: Any) -> str:
    with pytest.raises(IodError) as caught:
        submit(client, **wishes)
    assert caught.value.row.name == name, caught.value
    return str(caught.value)


# ---------------------------------------------------------------- tasks
def test_a_task_makes_the_images(client: Client, panda: PandaStub, tmp_path: Path) -> None:
    job = submit(client)
    assert job.name == "tonyj-stars-00001"
    (task,) = panda.server.tasks.values()
    assert task.params["pfnList"] == ["v4242:R22"]
    assert client.status(job.name).counts["waiting"] == 2
    task.status = "ready"
    jobs = panda.server.generate_jobs(task.id)
    jobs[0].fields["jobStatus"] = "running"
    assert client.status(job.name).counts["running"] == 2
    assert run_job(panda.server, jobs[0], tmp_path / "pilots", {}) == 0
    assert panda.server.settle_task(task.id) == "done"
    status = client.status(job.name)
    assert (status.state, status.counts["done"], status.progress) == ("done", 2, 1.0)
    assert status.links == ["https://panda-doma.cern.ch/task/1/"]
    copy = next((client.folders.home or tmp_path).parent.glob("store/tonyj/*/.inputs/*/sky.txt"))
    assert copy.read_text() == one_star(["R22_S11", "R22_S12"])


def test_a_worker_refuses_another_catalog_than_was_checked(client: Client, panda: PandaStub, tmp_path: Path) -> None:
    job = submit(client)
    copy = next(tmp_path.glob("store/tonyj/*/.inputs/*/sky.txt"))
    copy.write_text(one_star(["R22_S11", "R22_S12"], seed=2000))
    (one,) = panda.server.generate_jobs(1)
    panda.server.tasks[1].params["maxAttempt"] = 1
    assert run_job(panda.server, one, tmp_path / "pilots", {}) == 24
    assert panda.server.settle_task(1) == "failed"
    status = client.status(job.name)
    assert {unit.failure for unit in status.units} == {"CATALOG_CHANGED"}


def fail(panda: PandaStub, code: int = 32) -> None:
    """Let all jobs end with that code, as often as they are tried."""
    for task in panda.server.tasks.values():
        while jobs := panda.server.generate_jobs(task.id):
            for job in jobs:
                panda.server.end_job(job, code, "RELEASE_UNREACHABLE: no release area is readable")
        panda.server.settle_task(task.id)


def test_what_failed_is_retried_by_panda_and_what_is_missing_anew(client: Client, panda: PandaStub) -> None:
    job = submit(client)
    fail(panda)
    status = client.status(job.name)
    assert (status.state, status.counts["failed"]) == ("failed", 2)
    assert status.units[0].failure == "RELEASE_UNREACHABLE"
    assert status.units[0].attempts == 3
    client.rerun(job.name)
    assert (panda.count("task/retry"), panda.count("task/submit")) == (1, 1)
    assert client.status(job.name).state == "waiting"
    client.kill(job.name)
    assert panda.server.tasks[1].status == "aborted"
    client.rerun(job.name)
    assert panda.count("task/submit") == 2
    assert panda.server.tasks[2].params["pfnList"] == ["v4242:R22"]
    assert client.status(job.name).state == "waiting"


def test_an_old_end_is_not_believed_while_a_retry_is_under_way(client: Client, panda: PandaStub) -> None:
    job = submit(client)
    fail(panda)
    assert client.status(job.name).state == "failed"
    panda.server.lags = True
    client.rerun(job.name)
    assert panda.server.tasks[1].status == "failed"
    assert client.status(job.name).state == "waiting"
    panda.server.catch_up()
    assert client.status(job.name).state == "waiting"
    fail(panda)
    assert client.status(job.name).state == "failed"


def test_a_task_that_jedi_has_not_picked_up_yet(client: Client, panda: PandaStub) -> None:
    panda.server.lags = True
    job = submit(client)
    status = client.status(job.name)
    assert (status.state, status.notes) == ("waiting", [])
    later = threading.Timer(0.5, panda.server.catch_up)
    later.start()
    assert client.kill(job.name).state == "killed"
    later.join()
    assert panda.server.tasks[1].status == "aborted"


def test_only_what_is_missing_is_made_again(client: Client, panda: PandaStub, tmp_path: Path) -> None:
    job = submit(client)
    task = panda.server.tasks[1]
    task.params["pfnList"] = ["v4242:R22_S11"]  # the rest is never begun
    assert run_task(panda.server, 1, tmp_path / "pilots", {}) == "done"
    task.status = "aborted"
    status = client.status(job.name)
    assert (status.state, status.counts["done"], status.counts["waiting"]) == ("killed", 1, 1)
    client.rerun(job.name)
    assert panda.server.tasks[2].params["pfnList"] == ["v4242:R22_S12"]


def test_a_killed_job_is_so_at_panda(client: Client, panda: PandaStub) -> None:
    job = submit(client)
    panda.server.generate_jobs(1)
    assert client.kill(job.name).state == "killed"
    assert {one.status for one in panda.server.jobs.values()} == {"cancelled"}
    assert client.status(job.name).state == "killed"


@pytest.mark.parametrize("way", ["rerun", "key"])
def test_a_lost_answer_is_found_by_the_task_s_name(client: Client, panda: PandaStub, way: str) -> None:
    report = client.check(client.draft(wishes=WISHES), Options(backend="panda"))
    panda.faults.kinds["task/submit"] = "lost answer"
    with pytest.raises(IodError, match="`iod rerun tonyj-stars-00001` hands it over"):
        client.submit(report, key="k")
    assert len(panda.server.tasks) == 1
    panda.faults.kinds.clear()
    job = client.rerun("tonyj-stars-00001") if way == "rerun" else client.submit(report, key="k").job
    assert len(panda.server.tasks) == 1
    assert [part.remote_id for part in client.store.parts(job.id)] == [1]


@pytest.mark.parametrize("fault", ["lost answer", "hang up"])
def test_a_job_that_was_not_handed_over_can_be_killed(client: Client, panda: PandaStub, fault: str) -> None:
    report = client.check(client.draft(wishes=WISHES), Options(backend="panda"))
    panda.faults.kinds["task/submit"] = fault
    with pytest.raises(IodError):
        client.submit(report)
    name = "tonyj-stars-00001"
    assert client.status(name).notes == [f"nobody works on it yet: `iod rerun {name}` hands it over"]
    assert client.kill(name).state == "killed"
    assert [task.status for task in panda.server.tasks.values()] == ["aborted"] * (fault == "lost answer")
    panda.faults.kinds.clear()
    assert client.rerun(name).state == "waiting"
    assert panda.server.tasks[len(panda.server.tasks)].params["pfnList"] == ["v4242:R22"]


def test_jobs_are_found_again_at_panda(client: Client, panda: PandaStub, tmp_path: Path) -> None:
    job = submit(client)
    for lost in [*client.folders.state.glob("jobs.sqlite*"), *tmp_path.glob("store/tonyj/*/.inputs/parts-*")]:
        lost.unlink()
    client.close()
    found = client.sync([str(tmp_path / "store")])
    assert found.added == [job.name]
    (part,) = client.store.parts(client.job(job.name).id)
    assert (part.remote_id, part.selects) == (1, ("v4242:R22",))


# ---------------------------------------------------------------- classic jobs
def test_classic_jobs_are_tried_again_by_who_watches(client: Client, panda: PandaStub, tmp_path: Path) -> None:
    job = submit(client, "panda-classic")
    for execution in (1, 2, 3):
        last = panda.server.jobs[max(panda.server.jobs)]
        assert f"PIPELINE_EXECUTIONNUMBER={execution}|" in last.fields["jobParameters"]
        assert last.fields["attemptNr"] == execution
        panda.server.end_job(last, 32, "RELEASE_UNREACHABLE: no release area is readable")
        lines = client.tend()
        assert bool(lines) == (execution < 3)
    assert client.status(job.name).state == "failed"
    assert client.tend() == []
    client.rerun(job.name)
    run_job(panda.server, panda.server.jobs[max(panda.server.jobs)], tmp_path / "pilots", {})
    status = client.status(job.name)
    assert (status.state, status.counts["done"]) == ("done", 2)
    assert len(panda.server.jobs) == 4


def test_what_no_retry_can_cure_is_not_tried_again(client: Client, panda: PandaStub) -> None:
    submit(client, "panda-classic")
    (job,) = panda.server.jobs.values()
    panda.server.end_job(job, 58, "SED_MISSING: visit 4242 lacks it")
    assert client.tend() == []
    assert len(panda.server.jobs) == 1


def test_killed_classic_jobs(client: Client, panda: PandaStub) -> None:
    job = submit(client, "panda-classic")
    assert client.kill(job.name).state == "killed"
    assert [one.status for one in panda.server.jobs.values()] == ["cancelled"]


# ---------------------------------------------------------------- servers in trouble
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("401", "PANDA_DENIED"), ("403", "PANDA_DENIED"), ("500", "PANDA_UNREACHABLE"), ("html", "PANDA_GARBLED"),
        ("garbage", "PANDA_GARBLED"), ("refuse", "PANDA_REFUSED"), ("hang up", "PANDA_UNREACHABLE"),
    ],
)  # fmt: skip
def test_troubles_of_the_server_have_names(client: Client, panda: PandaStub, fault: str, name: str) -> None:
    panda.faults.kinds["*"] = fault
    assert TOKEN not in trouble(client, name)
    assert client.store.parts(client.job("tonyj-stars-00001").id) == []
    log = (client.folders.state / "panda-client.log").read_text()
    assert TOKEN not in log


def test_a_silent_server_is_not_waited_for(client: Client, panda: PandaStub) -> None:
    job = submit(client)
    client.close()
    hasty = Client(client.folders, Settings(panda=PandaSettings(server=panda.url, timeout_s=0.2)))
    panda.faults.kinds["task/get_status"] = "silent"
    with hasty:
        hasty.backend(hasty.job(job.name)).gateway(job)._started = True  # type: ignore[attr-defined]
        status = hasty.status(job.name)
    assert status.state == "waiting"
    assert "gave no answer to getTaskStatus" in status.notes[0]


def test_a_state_that_cannot_be_renewed_is_told_with_a_note(iod: Iod, panda: PandaStub) -> None:
    iod.use_panda(panda)
    job = iod.submit("--backend", "panda")
    panda.faults.kinds["*"] = "500"
    found = iod.json("status")
    assert [one["name"] for one in found["jobs"]] == [job["name"]]
    assert "HTTP 500" in found["notes"][0]


def test_without_a_token_nothing_is_sent(client: Client, panda: PandaStub) -> None:
    (client.folders.panda / ".token").unlink()
    trouble(client, "CREDENTIAL_MISSING")
    expired = base64.urlsafe_b64encode(b'{"exp": 1000}').decode()
    (client.folders.panda / ".token").write_text(json.dumps({"id_token": f"e30.{expired}.x"}))
    trouble(client, "CREDENTIAL_MISSING")
    assert panda.calls == []


def test_logging_in_says_where_and_keeps_the_token(iod: Iod, panda: PandaStub) -> None:
    iod.use_panda(panda)
    (iod.home / "panda" / ".token").unlink()
    done = iod.run("login")
    assert f"{panda.url}/activate?user_code=ABCD" in done.stderr
    assert "logged in until 2100" in done.stdout
    kept = iod.home / "panda" / ".token"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["id_token"] == TOKEN
    assert TOKEN not in done.stdout + done.stderr
    assert iod.submit("--backend", "panda")["state"] == "waiting"


def test_a_closed_port(client: Client) -> None:
    client.close()
    client._settings = Settings(user="tonyj", panda=PandaSettings(server="http://127.0.0.1:9", timeout_s=20.0))
    trouble(client, "PANDA_UNREACHABLE")


# ---------------------------------------------------------------- what would be sent
def test_a_dry_run_sends_and_writes_nothing(iod: Iod, panda: PandaStub) -> None:
    iod.use_panda(panda)
    found = iod.submit("--backend", "panda", "--dry-run")
    (task,) = found["would_send"]
    assert (task["maxAttempt"], task["pfnList"]) == (3, ["v4242:R22"])
    spec = json.loads(base64.b64decode(task["jobParameters"][0]["value"].split('"')[1].partition(",")[2]))
    assert spec["catalogs"][0]["adler32"]
    (classic,) = iod.submit("--classic", "--dry-run")["would_send"]
    assert classic["jobParameters"].startswith(' --lsstJobParams="DP_USER=')
    (local,) = iod.submit("--dry-run")["would_send"]
    assert local["command"].startswith("lsst-trf run --job job.json --site local")
    assert panda.calls == []
    assert not (iod.bench.folder / "store").exists()


def test_a_job_whose_site_is_gone_keeps_no_other_back(client: Client, panda: PandaStub) -> None:
    good, bad = submit(client), submit(client)
    with client.store.change() as db:
        db.execute("UPDATE job SET site = '/nowhere/gone.toml' WHERE id = ?", (bad.id,))
    panda.server.generate_jobs(1)
    for jobs in ([bad, good], [good, bad]):
        (note,) = client.refresh([client.job(job.name) for job in jobs])
        assert "gone.toml" in note
        assert client.job(good.name).state == "running"


def test_the_same_by_another_backend_is_another_request(client: Client, panda: PandaStub) -> None:
    digests = {
        digest_of(client.check(client.draft(wishes=WISHES), Options(backend=backend)))
        for backend in (*BACKENDS, *BACKENDS)
    }
    assert len(digests) == len(BACKENDS)
    assert panda.calls == []


def test_many_visits_are_one_request(client: Client, panda: PandaStub, bench: Bench) -> None:
    for number in range(30):
        bench.write(f"v{number:02d}.txt", one_star(["R22_S11"], obshistid=6000 + number))
    job = submit(client, catalogs=(), visits=["v*.txt"], sensors="R22_S11")
    (task,) = panda.server.tasks.values()
    assert task.params["pfnList"] == [f"v{6000 + number}:R22" for number in range(30)]
    assert job.n_units == 30
    assert len(list((bench.folder / "store").glob("tonyj/*/.inputs/*/v*.txt"))) == 30
