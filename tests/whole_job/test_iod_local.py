"""`iod` with the local backend, end to end: jobs, their queue, crashes and restarts."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.whole_job.bench import Bench
from tests.whole_job.iod import COMMAND, Iod, until
from tests.whole_job.sky import one_star

UNIT = "v4242-R22_S11-E000"
HELD = "while [ -e $notes/hold ]; do sleep 0.05; done; real"
"""A simulator stage that waits as long as there is a file."""


def hold(bench: Bench) -> Path:
    """Let every raytrace wait until the file that is returned is gone."""
    bench.break_stage("raytrace", HELD)
    flag = bench.notes / "hold"
    flag.touch()
    return flag


def test_a_job_from_options_to_its_history(iod: Iod) -> None:
    job = iod.submit("--comment", "a first look\n\x1b[2J")
    assert job["name"].endswith("-ImsimOnDemand-00001")
    assert job["state"] in {"waiting", "running"}
    status = iod.json("status", job["name"], "--watch")
    assert (status["state"], status["counts"]["done"]) == ("done", 1)
    (unit,) = status["units"]
    assert (unit["id"], unit["state"], unit["attempts"]) == (UNIT, "done", 1)
    images = list(Path(status["output"]).glob("v4242/lsst_e_*.fits.gz"))
    assert len(images) == 1
    (line,) = iod.json("history")["jobs"]
    assert (line["job"], line["status"], line["comment"]) == (job["name"], "done", "a first look\n\x1b[2J")
    assert iod.run("history").stdout.endswith("a first look \\x1b[2J\n")
    assert line["output"] == status["output"]
    assert line["type"] == iod.bench.release.name
    assert iod.json("history", "--state", "failed")["jobs"] == []
    assert "committed" in iod.run("logs", job["name"]).stdout
    assert iod.json("logs", job["name"], UNIT)["logs"][0].endswith("raytrace.out")
    until(lambda: not iod.local_processes(), "the runner to end with its work")


def test_the_same_request_again(iod: Iod) -> None:
    first = iod.submit()["name"]
    refused = iod.submit(code=102)
    assert refused["error"]["name"] == "SUBMITTED_ALREADY"
    assert first in refused["error"]["message"]
    assert iod.submit("--yes")["name"].endswith("00002")
    third = iod.submit("--yes", "--idempotency-key", "k")
    again = iod.submit("--idempotency-key", "k")
    assert (third["existed"], again["existed"], again["name"]) == (False, True, third["name"])
    assert len(iod.json("status")["jobs"]) == 3
    iod.bench.write("sky.txt", one_star(seed=7))
    assert iod.submit("--idempotency-key", "k", code=102)["error"]["message"].startswith("the key 'k' belongs")
    assert iod.submit("--exposures", "1")["name"].endswith("00004")


def test_a_name_that_is_written_out_belongs_to_one_request(iod: Iod) -> None:
    first = iod.submit("--name", "mine")
    assert first["name"] == "mine"
    assert iod.submit("--name", "mine", "--yes")["existed"] is True
    refused = iod.submit("--name", "mine", "--exposures", "1", code=74)
    assert refused["error"]["name"] == "REQUEST_CONFLICT"
    elsewhere = iod.submit("--name", "mine", "--output", "elsewhere", code=74)
    assert elsewhere["error"]["name"] == "REQUEST_CONFLICT"
    assert not (iod.bench.folder / "elsewhere").exists(), "a name was claimed in vain"
    with closing(sqlite3.connect(iod.home / "jobs.sqlite", isolation_level=None)) as db:
        iod.power_cut()
        db.execute("UPDATE part SET state = 'failed'")
        db.execute("UPDATE job SET state = 'failed'")
    assert iod.submit("--name", "mine", "--yes")["state"] in {"waiting", "running"}


def test_numbers_are_unique_among_machines_and_at_once(iod: Iod) -> None:
    elsewhere = Iod(bench=iod.bench, home=iod.bench.folder / "laptop")
    iod.bench.spec()
    usual = ["submit", "--catalog", "sky.txt", "--sensors", "R22_S11", "--no-amplifiers", "--output", "store"]
    usual += ["--release", iod.bench.release.name, "--yes", "--json"]
    running = [one.start(*usual, "--exposures", str(n)) for n in (0, 1) for one in (iod, elsewhere)]
    ends = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0, 0], ends
    names = [json.loads(stdout)["name"][-5:] for stdout, _ in ends]
    assert sorted(names) == ["00001", "00002", "00003", "00004"]
    assert len(iod.json("status")["jobs"]) == len(elsewhere.json("status")["jobs"]) == 2
    elsewhere.close()


def test_one_key_is_one_job_also_for_two_at_once(iod: Iod) -> None:
    iod.bench.spec()
    iod.json("status")  # makes the folder
    with (iod.home / "submit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ["submit", "--catalog", "sky.txt", "--sensors", "R22_S11", "--no-amplifiers", "--output", "store"]
        words += ["--release", iod.bench.release.name, "--idempotency-key", "k", "--json"]
        both = [iod.start(*words) for _ in range(2)]
        for process in both:
            assert process.stderr is not None
            assert process.stderr.readline() == b"another iod is submitting; waiting for it\n"
    answers = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0]["name"] == answers[1]["name"]
    assert sorted(one["existed"] for one in answers) == [False, True]


@pytest.mark.parametrize("victims", [pytest.param("runner", marks=pytest.mark.long), "everything"])
def test_a_crash_costs_nothing_but_time(iod: Iod, victims: str) -> None:
    flag = hold(iod.bench)
    name = iod.submit("--sensors", "R22_S11", "--exposures", "0,1")["name"]
    until(lambda: len(iod.bench.starts()) >= 1, "the first unit to begin")
    if victims == "runner":
        (runner,) = [
            pid for pid in iod.local_processes() if b"local.runner" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(runner, signal.SIGKILL)
    else:
        iod.power_cut()
    flag.unlink()
    status = iod.wait(name)
    assert status["state"] == "done"
    (part,) = status["parts"]
    assert part["attempt"] == (1 if victims == "runner" else 2)
    assert len(list(Path(status["output"]).glob("v4242/lsst_e_*.fits.gz"))) == 2


def test_a_stranger_with_the_number_of_our_process_is_left_alone(iod: Iod) -> None:
    hold(iod.bench)
    name = iod.submit()["name"]
    until(lambda: len(iod.bench.starts()) == 1, "the unit to begin")
    iod.power_cut()
    with closing(sqlite3.connect(iod.home / "jobs.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE part SET pid = ?", (os.getpid(),))
    assert iod.json("kill", name)["state"] == "killed"


def test_a_killed_job_is_gone_and_can_go_on(iod: Iod) -> None:
    flag = hold(iod.bench)
    name = iod.submit()["name"]
    until(lambda: len(iod.bench.starts()) == 1, "the unit to begin")
    assert iod.json("kill", name)["state"] == "killed"
    until(lambda: not iod.local_processes(), "everything to end")
    assert iod.json("kill", name, code=104)["error"]["name"] == "NOT_POSSIBLE"
    flag.unlink()
    assert iod.json("rerun", name)["state"] in {"waiting", "running"}
    status = iod.wait(name)
    assert status["state"] == "done"
    assert [part["replaced"] for part in status["parts"]] == [True, False]
    assert iod.json("rerun", name, code=104)["error"]["message"].endswith("nothing is missing")


@pytest.mark.long
def test_so_many_jobs_at_once_and_the_others_wait(iod: Iod) -> None:
    iod.configure("[local]\njobs_at_once = 1\n")
    flag = hold(iod.bench)
    first = iod.submit()["name"]
    second = iod.submit("--exposures", "1")["name"]
    until(lambda: len(iod.bench.starts()) == 1, "the first job to begin")
    assert iod.json("status", first)["state"] == "running"
    assert iod.json("status", second)["state"] == "waiting"
    assert iod.json("kill", second)["state"] == "killed"
    flag.unlink()
    assert iod.wait(first)["state"] == "done"
    assert len(iod.bench.starts()) == 1


def test_a_job_that_fails_says_why_and_is_tried_as_often_as_it_may(iod: Iod) -> None:
    iod.configure("[local]\nattempts = 2\nretry_wait_s = 0\n")
    iod.bench.break_stage("atmosphere", "echo no >&2; exit 1")
    name = iod.submit()["name"]
    status = iod.wait(name)
    assert status["state"] == "failed"
    assert "SET_UP_FAILED" in status["message"]
    assert [part["attempt"] for part in status["parts"]] == [2]
    assert status["units"][0]["state"] == "failed"
    assert status["units"][0]["failure"] == "SET_UP_FAILED"
    text = iod.run("status", name).stdout
    assert f"`iod rerun {name}` makes what is missing" in text


def test_a_lost_state_file_is_made_anew(iod: Iod) -> None:
    name = iod.submit()["name"]
    before = iod.wait(name)
    for path in iod.home.glob("jobs.sqlite*"):
        path.unlink()
    assert iod.json("status")["jobs"] == []
    found = iod.json("sync", "store")
    assert (found["found"], found["known"]) == ([name], 0)
    after = iod.json("status", name)
    assert {key: after[key] for key in ("state", "counts", "output")} == {
        key: before[key] for key in ("state", "counts", "output")
    }
    assert iod.json("sync", "store")["known"] == 1


def test_what_is_unknown_is_said_in_one_line(iod: Iod) -> None:
    for words, code, name in (
        (["status", "nobody"], 100, "JOB_UNKNOWN"),
        (["frobnicate"], 10, "USAGE"),
        (["submit", "--sensors"], 10, "USAGE"),
        (["submit", "nowhere.json"], 12, "SPEC_MISSING"),
        (["check", "--catalog", "nowhere.txt", "--sensors", "R22_S11", "--site", "nowhere"], 30, "SITE_INVALID"),
        (["history", "--limit", "-1"], 10, "USAGE"),
        (["submit", "nowhere.json", "--idempotency-key", ""], 10, "USAGE"),
        (["sync", "gsiftp://nowhere/x"], 75, "STORAGE_UNKNOWN"),
        (["check", "--catalog", "a.txt", "--visits", "b.txt", "--sensors", "R22_S11"], 10, "USAGE"),
    ):
        done = iod.run(*words, code=code)
        assert done.stderr.startswith(f"ERROR: {name}: "), done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "streams", "code"),
    [
        (["status"], "<&- >&-", 0),
        (["status", "nobody"], "<&- >&- 2>&-", 100),
        (["status", "--json"], ">/dev/full", 42),
        (["status", "nobody", "--json"], ">/dev/full 2>/dev/full", 100),
    ],
)
def test_streams_that_are_closed_or_full(iod: Iod, words: list[str], streams: str, code: int) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {streams}', "sh", COMMAND, *words],
        env=iod.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
