"""Simulators that take too much, hide, or fail all at once; slots that end; jobs that are asked, or killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.whole_job.aftermath import processes_in
from tests.whole_job.bench import TIME_LIMIT_S, Bench, wait_until
from tests.whole_job.sky import header, one_star, star

UNIT = "R22_S11-E000"
FOUR = [f"R22_S{at}" for at in ("01", "10", "11", "12")]


def site(bench: Bench, **worker: object) -> tuple[str, str]:
    """Options for a site that is `local` with these limits."""
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"look_s": 0.2, **worker}.items())
    return "--site", str(bench.write("strict.toml", f'name = "strict"\n[worker]\n{lines}'))


# -- what a simulator may take

HOG = 'exec "$QUICKSIM_PYTHON" -c "import time; x = bytearray(b\'x\') * {mb}000000; time.sleep(60)"'


def test_the_greediest_unit_is_stopped_and_made_alone(bench: Bench) -> None:
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]))
    hog = HOG.format(mb=2000)
    stay = f"until grep -q OUT_OF_MEMORY {bench.folder}/work/journal.jsonl; do sleep 0.05; done"
    bench.break_stage("raytrace", f"case $unit/$attempt in *S11-E000/attempt-1) {hog};; *) {stay};; esac; real")
    spec = bench.spec(sensors="R22_S1[12]", exposures="all")
    outcome = bench.run_job(spec, *site(bench), "--cores", "2", "--memory-mb", "1800")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes(UNIT) == ["OUT_OF_MEMORY", "good"]
    assert [attempt["correction"] for attempt in outcome.units[UNIT]["attempts"]] == ["", "alone"]
    assert "of the job's 1,800 MB" in outcome.units[UNIT]["attempts"][0]["detail"]
    assert sum(len(unit["attempts"]) for unit in outcome.report["units"]) == 5, "nobody else was ended"
    assert outcome.report["resource"]["job_memory_bytes"] > 1_000_000_000


def test_a_unit_that_needs_more_than_the_job_has_says_how_much(bench: Bench) -> None:
    bench.break_stage("raytrace", HOG.format(mb=2000))
    outcome = bench.run_job(bench.spec(), *site(bench), "--memory-mb", "1000")
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (43, "MEMORY_SHORT")
    assert outcome.outcomes() == ["MEMORY_SHORT"], "it was alone already: no second try"
    assert "ask for more than" in outcome.units[UNIT]["detail"]


@pytest.mark.parametrize(
    ("script", "limits", "code", "outcomes"),
    [
        ("yes", {"max_log_mb": 1}, 61, ["OUTPUT_GROWS"] * 2),
        ("exec cat /dev/zero > file", {"max_unit_scratch_mb": 20}, 61, ["OUTPUT_GROWS"] * 2),
        ("while :; do :; done", {"max_unit_cpu_hours": 0.0003}, 62, ["CPU_LIMIT"]),
        ("head -c 30000000 /dev/zero > file; sleep 60", {"scratch_mb": 25}, 48, ["SCRATCH_SHORT"]),
    ],
    ids=["log", "file", "cpu", "scratch"],
)
def test_a_simulator_that_takes_too_much(
    bench: Bench, script: str, limits: dict[str, object], code: int, outcomes: list[str]
) -> None:
    bench.break_stage("raytrace", script)
    outcome = bench.run_job(bench.spec(), *site(bench, **limits))
    assert outcome.exit_code == code, outcome.stderr
    assert outcome.outcomes() == outcomes
    assert outcome.manifests == {}


def test_nothing_begins_when_the_disk_has_no_room_left_in_reserve(bench: Bench) -> None:
    bench.break_stage("atmosphere", "real")
    outcome = bench.run_job(bench.spec(), *site(bench, reserve_mb=10**9))
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (42, "DISK_FULL")
    assert outcome.states == {UNIT: "planned"}
    assert bench.starts("atmosphere") == []
    assert "MB kept in reserve" in outcome.report["exitMsg"]


# -- what a simulator leaves behind

DAEMON = """
notes=$notes setsid sh -c 'touch $notes/daemon; while :; do sleep 0.1; done' &
while ! test -e $notes/daemon; do :; done
"""


def test_a_daemon_goes_with_its_unit(bench: Bench) -> None:
    bench.break_stage("raytrace", f"{DAEMON}real")
    assert bench.run_job().exit_code == 0
    assert processes_in(bench.folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_outlives_a_job_that_is_stopped_or_killed(bench: Bench, number: signal.Signals) -> None:
    bench.break_stage("raytrace", f"trap '' TERM; {DAEMON}(sleep 60) & while :; do sleep 0.1; done")
    job = bench.start_job()
    wait_until((bench.notes / "daemon").exists, "the daemon")
    job.send(number)
    outcome = job.killed()
    assert outcome.exit_code == (44 if number is signal.SIGTERM else -number)
    wait_until(lambda: processes_in(bench.folder) == [], "the end of all processes", time_limit_s=20)


def test_scratch_of_a_killed_job_is_swept_by_the_next(bench: Bench) -> None:
    scratch = bench.folder / "fast"
    options = site(bench, scratch=str(scratch))
    bench.break_stage("raytrace", "touch $notes/there; while ! test -e $notes/go; do sleep 0.02; done; real")
    job = bench.start_job(bench.spec(), *options)
    wait_until((bench.notes / "there").exists, "the simulator")
    job.send(signal.SIGKILL)
    job.killed()
    wait_until(lambda: processes_in(bench.folder) == [], "the end of its processes")
    (left,) = [path for path in scratch.iterdir() if path.is_dir()]
    assert list(left.rglob("visit.txt"))
    (bench.notes / "go").touch()
    outcome = bench.run_job(bench.spec(), *options, workdir="next")
    assert outcome.exit_code == 0
    assert list(scratch.iterdir()) == []
    assert [event["folders"] for event in outcome.journal if event["event"] == "swept"] == [[left.name]]


# -- workers that are no good, and slots that end


def test_a_worker_that_fails_everything_at_once_is_left_early(bench: Bench) -> None:
    bench.write("sky.txt", one_star(FOUR))
    bench.break_stage("raytrace", "exit 1")
    outcome = bench.run_job(bench.spec(sensors="|".join(FOUR), exposures="all"), "--cores", "1")
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (49, "BAD_WORKER")
    assert len(bench.starts()) < 16, "of 24 that three attempts at each would be"
    assert "SIMULATOR_CRASHED" in outcome.report["exitMsg"]


def test_a_worker_whose_second_attempts_succeed_is_kept(bench: Bench) -> None:
    bench.write("sky.txt", one_star(FOUR))
    bench.break_stage("raytrace", "case $attempt in attempt-1) exit 1;; esac; real")
    outcome = bench.run_job(bench.spec(sensors="|".join(FOUR)), "--cores", "1")
    assert outcome.exit_code == 0, outcome.stderr
    assert all(outcome.outcomes(unit) == ["SIMULATOR_CRASHED", "good"] for unit in outcome.units)
    attempts = outcome.units[UNIT]["attempts"]
    assert [attempt["correction"] for attempt in attempts] == ["", "again"]


def test_no_unit_begins_that_cannot_end_before_the_slot_does(bench: Bench) -> None:
    crowd = "".join(star("R22_S12", number, 20.0) for number in range(1, 2001))
    bench.write("sky.txt", header() + star("R22_S11", 9999) + crowd)
    bench.break_stage("raytrace", "real")
    spec = bench.spec(sensors="R22_S1[12]")
    plan = json.loads(
        bench.command(["plan", "--job", str(bench.write("plan.json", json.dumps(spec))), "--json"]).stdout
    )
    short_s, long_s = sorted(unit["predicted"]["cpu_s"][1] for unit in plan["units"])
    assert long_s > 2 * short_s
    # Cores so slow that the slot holds the short one only; the clock of the test does not come into it.
    options = site(bench, core_speed=(short_s + long_s) / 2 / 100)
    outcome = bench.run_job(spec, *options, "--deadline", str(time.time() + 120))
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (45, "DEADLINE")
    assert outcome.states == {UNIT: "committed", "R22_S12-E000": "planned"}
    assert bench.starts() == [f"v4242-{UNIT}/attempt-1"]
    assert "1 units were not begun" in outcome.report["exitMsg"]
    assert "--deadline" in outcome.report["exitMsg"]
    assert bench.run_job(spec, workdir="later").exit_code == 0


def test_the_site_says_how_long_a_job_may_run(bench: Bench) -> None:
    bench.break_stage("atmosphere", "real")
    outcome = bench.run_job(bench.spec(), *site(bench, max_job_hours=0.001))
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (45, "DEADLINE")
    assert bench.starts("atmosphere") == []
    assert "max_job_hours" in outcome.report["exitMsg"]


# -- signals


EARLY = """
import builtins, os, signal, sys
load = builtins.__import__
def watched(name, *arguments, **more):
    if name == "{moment}":
        os.kill(os.getpid(), signal.{number})
    return load(name, *arguments, **more)
builtins.__import__ = watched
from transformation.entry import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("number", "moment", "code"),
    [
        ("SIGTERM", "transformation.cli", 44),
        ("SIGINT", "transformation.cli", 44),
        ("SIGHUP", "transformation.cli", 44),
        ("SIGUSR1", "transformation.cli", 0),
        ("SIGTERM", "ctypes", 44),  # the work folder is open, and nobody listens yet
    ],
)
def test_a_signal_before_the_job_has_begun(bench: Bench, number: str, moment: str, code: int) -> None:
    words = ["run", "--job", str(bench.write_spec()), "--workdir", str(bench.folder / "work")]
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(number=number, moment=moment), *words],
        env=bench.environment(), capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    report = json.loads((bench.folder / "work/jobReport.json").read_text())
    assert report["exitCode"] == code
    assert (number in report["exitMsg"]) == (code == 44)


def test_a_job_tells_how_it_is_doing_when_it_is_asked(bench: Bench) -> None:
    bench.break_stage("raytrace", "touch $notes/there; while ! test -e $notes/go; do sleep 0.02; done; real")
    job = bench.start_job(bench.spec(), *site(bench), "--deadline", str(time.time() + 7200))
    wait_until((bench.notes / "there").exists, "the simulator")
    for _ in range(3):
        job.send(signal.SIGUSR1)
    job.wait_for("status")
    (bench.notes / "go").touch()
    outcome = job.end()
    assert outcome.exit_code == 0, outcome.stderr
    line = next(line for line in outcome.stdout.splitlines() if line.startswith("status "))
    assert f"0 of 1 units done; 1 running: v4242-{UNIT}" in line
    assert "MB of memory" in line
    assert "slot ends in 2.0 h (--deadline)" in line


# -- what is told, and what is kept


def test_the_dossier_of_a_failed_job_is_in_the_report_and_on_stdout(bench: Bench) -> None:
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]))
    bench.break_stage("raytrace", "case $unit in *S12*) echo no luck >&2; exit 1;; esac; real")
    outcome = bench.run_job(bench.spec(sensors="R22_S1[12]", attempts=2))
    assert outcome.exit_code == 90
    dossier = outcome.report["dossier"]
    assert f"dossier  {dossier}" in outcome.stdout.splitlines()
    assert "Of 2 units, 1 stored, 1 failed." in dossier
    assert "v4242-R22_S12-E000" in dossier
    assert "no luck" in dossier
    assert f"safe in {bench.store}/tonyj/run-00019/v4242" in dossier
    assert len(dossier) <= 1200


def test_a_job_with_debug_ships_its_work_files(bench: Bench) -> None:
    bench.break_stage("raytrace", "case $attempt in attempt-1) truncate -s 150M large; exit 3;; esac; real")
    done = bench.command(["run", "--job", str(bench.write_spec(debug=True)), "--workdir", str(bench.folder / "work")])
    assert done.returncode == 0, done.stderr
    archives = sorted(bench.store.rglob(".debug/*.tar.gz"))
    assert [path.parent.relative_to(bench.store) for path in archives] == [Path("tonyj/run-00019/v4242/.debug")] * 2
    assert all(path.name.startswith(f"v4242-{UNIT}-") for path in archives)
    with tarfile.open(archives[0]) as failed, tarfile.open(archives[1]) as good:
        assert {"logs/raytrace.err", "units/raytrace_4242_R22_S11_E000_0.pars"} <= set(failed.getnames())
        left_out = failed.extractfile("LEFT_OUT.txt")
        assert left_out is not None
        assert b"units/large" in left_out.read()
        assert any(name.endswith("E000.fits.gz") for name in good.getnames())
    again = bench.command(["run", "--job", str(bench.write_spec()), "--workdir", str(bench.folder / "again")])
    assert again.returncode == 0, "the archives are in nobody's way"
