"""Jobs that are told to stop, are killed, are run again, or meet each other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from tests.whole_job.aftermath import Outcome, check_store, processes_in
from tests.whole_job.bench import COMMAND, Bench, StartedJob, wait_until
from tests.whole_job.sky import one_star

BOTH = ["R22_S11-E000", "R22_S11-E001"]
SECOND_WAITS = 'case "$unit" in *-E001) while test ! -e $notes/go; do sleep 0.02; done;; esac; real'
ALL_WAIT = "while test ! -e $notes/go; do sleep 0.02; done; real"


def first_committed_second_waiting(bench: Bench) -> StartedJob:
    """A job with one unit done and the other one stuck in its simulator."""
    bench.break_stage("raytrace", SECOND_WAITS)
    job = bench.start_job(bench.spec(exposures="all"))
    job.wait_for("unit_registered", BOTH[0])
    wait_until(lambda: len(bench.starts()) == 2, "both simulators")
    return job


def let_go(bench: Bench) -> None:
    """Nothing waits any more, and starts are counted from here."""
    (bench.notes / "go").touch()
    (bench.notes / "raytrace.starts").unlink(missing_ok=True)


def check_only_second_is_made(bench: Bench, workdir: str) -> None:
    let_go(bench)
    outcome = bench.run_job(bench.spec(exposures="all"), workdir=workdir)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == dict.fromkeys(BOTH, "committed")
    assert [unit["made_in_this_run"] for unit in outcome.report["units"]] == [False, True]
    assert bench.starts() == [f"v4242-{BOTH[1]}/attempt-1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_signal_ends_the_job_in_order_and_a_later_one_makes_the_rest(bench: Bench, number: signal.Signals) -> None:
    job = first_committed_second_waiting(bench)
    sent = time.monotonic()
    job.send(number)
    outcome = job.end()
    # The goal is three seconds; a busy machine may take longer, a job that waits for its simulator takes for ever.
    assert time.monotonic() - sent < 15
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (44, "TERMINATED")
    assert outcome.report["state"] == "terminated"
    assert number.name in outcome.report["exitMsg"]
    assert outcome.states == {BOTH[0]: "committed", BOTH[1]: "failed"}
    assert outcome.units[BOTH[1]]["failure"] == "TERMINATED"
    assert processes_in(bench.folder) == []
    if number is signal.SIGTERM:
        check_only_second_is_made(bench, "work")


@pytest.mark.long
def test_second_signal_changes_nothing(bench: Bench) -> None:
    job = first_committed_second_waiting(bench)
    for _ in range(5):
        job.send(signal.SIGTERM)
        time.sleep(0.01)
    outcome = job.end()
    assert outcome.exit_code == 44
    assert outcome.states == {BOTH[0]: "committed", BOTH[1]: "failed"}


def test_simulator_that_ignores_the_signal_is_ended_too(bench: Bench) -> None:
    bench.break_stage("raytrace", "trap '' TERM; touch $notes/deaf; while :; do sleep 0.05; done")
    job = bench.start_job()
    wait_until((bench.notes / "deaf").exists, "the simulator")
    job.send(signal.SIGTERM)
    assert job.end().exit_code == 44
    assert processes_in(bench.folder) == []


def test_signal_in_the_set_up_leaves_all_units_for_later(bench: Bench) -> None:
    bench.break_stage("atmosphere", ALL_WAIT)
    job = bench.start_job()
    wait_until(lambda: bench.starts("atmosphere") != [], "the set-up")
    job.send(signal.SIGTERM)
    outcome = job.end()
    assert outcome.exit_code == 44
    assert outcome.report["missing"] == [f"v4242-{BOTH[0]}"]
    assert processes_in(bench.folder) == []


@pytest.mark.parametrize(
    "delay_s", [0.05, 0.5, pytest.param(0.25, marks=pytest.mark.long), pytest.param(1.0, marks=pytest.mark.long)]
)
def test_signal_at_any_moment_ends_the_job_with_a_code_that_is_true(bench: Bench, delay_s: float) -> None:
    job = bench.start_job()
    time.sleep(delay_s)
    job.send(signal.SIGTERM)
    outcome = job.killed()
    if outcome.exit_code == -signal.SIGTERM:
        # So early that not even the work folder was there.
        assert not (outcome.workdir / "jobReport.json").exists()
    else:
        assert job.end().exit_code in {0, 44}


def test_signal_while_the_job_tidies_up_changes_nothing(bench: Bench) -> None:
    # So much scratch that removing it takes a while.
    fill = "mkdir ../../../../fill; cd ../../../../fill; seq 20000 | xargs touch; cd - > /dev/null"
    bench.break_stage("raytrace", f"{fill}; real")
    job = bench.start_job()
    job.wait_for("unit_registered")
    fill_folder = job.workdir / "scratch/fill"
    wait_until(lambda: not (fill_folder / "10000").exists(), "the removal of scratch")
    job.send(signal.SIGTERM)
    outcome = job.end()
    assert outcome.exit_code == 0
    assert outcome.states == {BOTH[0]: "committed"}


def test_a_reader_who_reads_nothing_does_not_keep_a_job_that_is_told_to_stop(bench: Bench) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"x"):
            pass
    os.set_blocking(writer, True)
    words = [COMMAND, "run", "--job", str(bench.write_spec()), "--workdir", str(bench.folder / "work")]
    with subprocess.Popen(words, env=bench.environment(), stdout=writer, stderr=writer) as process:
        journal = bench.folder / "work/journal.jsonl"
        wait_until(lambda: journal.exists() and '"job_start"' in journal.read_text(), "the job's first line")
        process.terminate()
        try:
            assert process.wait(30) == 44
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)
    assert json.loads((bench.folder / "work/jobReport.json").read_text())["exitCode"] == 44


def test_deadline_ends_the_job_in_order(bench: Bench) -> None:
    bench.break_stage("raytrace", SECOND_WAITS)
    # The job ends 20 s before; none is left when the first unit is done.
    outcome = bench.run_job(bench.spec(exposures="all"), "--deadline", str(time.time() + 26))
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (45, "DEADLINE")
    assert outcome.states[BOTH[1]] == "failed"
    assert processes_in(bench.folder) == []


@pytest.mark.parametrize("workdir", ["work", pytest.param("elsewhere", marks=pytest.mark.long)])
def test_killed_job_is_finished_by_the_next(bench: Bench, workdir: str) -> None:
    job = first_committed_second_waiting(bench)
    job.send(signal.SIGKILL)
    outcome = job.killed()
    assert outcome.exit_code == -signal.SIGKILL
    # What a killed job leaves can be read: it says that nothing is known of its end.
    assert outcome.report["exitAcronym"] == "TERMINATED"
    assert (outcome.workdir / "payload_error_report.json").exists()
    assert outcome.journal[-1]["event"] != "job_end"
    check_store(bench.store)
    # The simulator does not outlive it.
    wait_until(lambda: processes_in(bench.folder) == [], "the end of its processes", time_limit_s=10)
    check_only_second_is_made(bench, workdir)


@pytest.mark.parametrize(
    ("event", "workdir"),
    [
        pytest.param("visit_set_up", "work", marks=pytest.mark.long),
        pytest.param("unit_started", "elsewhere", marks=pytest.mark.long),
        pytest.param("unit_attempted", "work", marks=pytest.mark.long),
        pytest.param("transfer", "elsewhere", marks=pytest.mark.long),
        ("unit_committed", "work"),
    ],
)
def test_job_killed_at_any_moment_is_finished_by_the_next(bench: Bench, event: str, workdir: str) -> None:
    bench.may_leave_processes = True
    bench.break_stage("raytrace", "real")
    spec = bench.spec(amplifiers=True)
    job = bench.start_job(spec)
    job.wait_for(event)
    job.send(signal.SIGKILL)
    job.killed()
    was_committed = bool(Outcome(exit_code=0, stdout="", stderr="", workdir=job.workdir, store=bench.store).manifests)
    let_go(bench)
    bench.may_leave_processes = False
    outcome = bench.run_job(spec, workdir=workdir)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == {BOTH[0]: "committed"}
    assert len(outcome.images) == 17
    assert bench.starts() == ([] if was_committed else [f"v4242-{BOTH[0]}/attempt-1"])
    # The guardian of the killed job looks for a second whether anybody is left.
    wait_until(lambda: processes_in(bench.folder) == [], "the end of the guardian", time_limit_s=10)


def test_two_runs_of_one_job_end_as_one(bench: Bench) -> None:
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]))
    spec = bench.spec(sensors="R22_S1[12]", amplifiers=True)
    jobs = [bench.start_job(spec, workdir=workdir) for workdir in ("one", "two")]
    exit_codes = [job.process.wait(timeout=60) for job in jobs]
    outcomes = [job.end() for job in jobs]
    assert exit_codes == [0, 0]
    for outcome in outcomes:
        assert outcome.states == {"R22_S11-E000": "committed", "R22_S12-E000": "committed"}
    makers = [sum(unit["made_in_this_run"] for unit in outcome.report["units"]) for outcome in outcomes]
    assert sum(makers) == 2
    assert len(outcomes[0].images) == 34


def test_other_request_under_the_same_name_is_refused(bench: Bench) -> None:
    bench.break_stage("raytrace", "real")
    assert bench.run_job().exit_code == 0
    before = {path: path.read_bytes() for path in bench.store.rglob("*") if path.is_file()}
    bench.write("sky.txt", one_star(seed=2000))
    outcome = bench.run_job(workdir="other")
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (74, "REQUEST_CONFLICT")
    digest = outcome.report["visits"][0]["digest"]
    (manifest,) = outcome.manifests.values()
    assert digest in outcome.units[BOTH[0]]["detail"]
    assert manifest["digest"] in outcome.units[BOTH[0]]["detail"]
    assert len(bench.starts()) == 1
    assert {path: path.read_bytes() for path in bench.store.rglob("*") if path.is_file()} == before


@pytest.mark.long
def test_other_request_that_commits_first_is_left_alone(bench: Bench) -> None:
    bench.break_stage("raytrace", f"case $PWD in */slow/*) {ALL_WAIT};; *) real;; esac")
    slow = bench.start_job(workdir="slow")
    slow.wait_for("unit_started")
    bench.write("sky.txt", one_star(seed=2000))
    assert bench.run_job(workdir="fast").exit_code == 0
    let_go(bench)
    outcome = slow.end()
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (74, "REQUEST_CONFLICT")
    # Once the images are moved away its request may be tried again: nothing may stand in the way.
    assert not list(bench.store.rglob("*.failed.json"))


def test_unit_that_lost_a_file_is_made_again_alone(bench: Bench) -> None:
    bench.break_stage("raytrace", "real")
    spec = bench.spec(exposures="all", amplifiers=True)
    first = bench.run_job(spec)
    lost = next(bench.store.rglob("lsst_a_*_C13_E001.fits.gz"))
    cut = next(bench.store.rglob("lsst_a_*_C14_E001.fits.gz"))
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    (bench.notes / "raytrace.starts").unlink()
    again = bench.run_job(spec, workdir="again")
    assert again.exit_code == 0, again.stderr
    assert bench.starts() == [f"v4242-{BOTH[1]}/attempt-1"]
    assert [unit["made_in_this_run"] for unit in again.report["units"]] == [False, True]
    assert again.manifests[f"v4242-{BOTH[0]}"] == first.manifests[f"v4242-{BOTH[0]}"]


def test_images_wait_for_a_catalog_that_does_not_answer(bench: Bench) -> None:
    bench.store.mkdir()
    (bench.store / "catalog.sqlite").write_bytes(b"not a database" * 100)
    job = bench.start_job()
    outcome = job.killed()
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (80, "REGISTRATION_PENDING")
    assert "catalog.sqlite: file is not a database" in outcome.report["exitMsg"]
    assert outcome.states == {BOTH[0]: "committed"}
    assert not outcome.units[BOTH[0]]["registered"]
    (bench.store / "catalog.sqlite").unlink()
    again = bench.run_job(workdir="again")
    assert again.exit_code == 0
    assert again.processes_started == 0
    assert again.units[BOTH[0]]["registered"]


def test_scratch_of_a_killed_job_goes_with_the_next(bench: Bench) -> None:
    (bench.folder / "work/scratch/visit-0/units").mkdir(parents=True)
    shutil.copy(bench.release / "release.json", bench.folder / "work/scratch/visit-0/units")
    assert bench.run_job().exit_code == 0
    assert not (bench.folder / "work/scratch").exists()
