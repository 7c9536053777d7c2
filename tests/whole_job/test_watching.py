"""What a job shows of simulators at work: progress, signs of life, and what it does to those that show none."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.whole_job.bench import Bench, StartedJob, wait_until
from tests.whole_job.imitation import change_facts, own_release
from tests.whole_job.sky import header, one_star, star

UNIT = "R22_S11-E000"
SITE = """
name = "impatient"
[worker]
look_s = {look_s}
max_idle_hours = {idle_hours}
"""
BURN = '"$QUICKSIM_PYTHON" -c "import os\nwhile not os.path.exists(\'$notes/go\'): sum(range(10000))"'
HEADING = "Type  Sources  Photons  (Sat,Rem,Rej,Acc)%  Time (s)  Photons/s"
IGNORED_BY_THE_PILOT = (".py", "prmon", "pilotlog", "memory_", "pandaJob", ".lib.tgz")


def site(bench: Bench, *, look_s: float = 0.2, idle_s: float = 3600.0) -> tuple[str, str]:
    path = bench.write("impatient.toml", SITE.format(look_s=look_s, idle_hours=idle_s / 3600))
    return "--site", str(path)


def newest(folder: Path) -> float:
    """Time of the newest file that the pilot would see below the folder."""
    times = [0.0]
    for path in folder.rglob("*"):
        if path.is_file() and not any(word in path.name for word in IGNORED_BY_THE_PILOT):
            with suppress(FileNotFoundError):
                times.append(path.stat().st_mtime)
    return max(times)


def running_unit(job: StartedJob) -> dict[str, float | None]:
    """The first unit in the report, which may be a moment behind the journal."""
    units: list[dict[str, float | None]] = json.loads((job.workdir / "jobReport.json").read_text())["units"]
    return units[0] if units else {"progress": None}


def test_simulator_without_cpu_time_is_ended_and_leaves_the_folder_quiet(bench: Bench) -> None:
    bench.break_stage("raytrace", "touch $notes/asleep; sleep 1000")
    job = bench.start_job(bench.spec(attempts=1), *site(bench, idle_s=5.0))
    wait_until((bench.notes / "asleep").exists, "the simulator to sleep")
    time.sleep(2.5)
    quiet_since = newest(job.workdir)
    time.sleep(1.5)
    assert newest(job.workdir) == quiet_since
    outcome = job.end()
    assert outcome.exit_code == 53
    assert outcome.outcomes() == ["SIMULATOR_HUNG"]
    assert "no CPU time" in outcome.units[UNIT]["detail"]


def test_folder_stays_fresh_while_a_silent_simulator_works(bench: Bench) -> None:
    bench.break_stage("raytrace", f"{BURN}; real")
    job = bench.start_job(bench.spec(), *site(bench))
    job.wait_for("unit_started")
    times = set()
    for _ in range(12):
        time.sleep(0.5)
        with suppress(FileNotFoundError):
            times.add((job.workdir / "progress.json").stat().st_mtime)
    (bench.notes / "go").touch()
    assert len(times) >= 4
    assert job.end().exit_code == 0


@pytest.mark.parametrize("terminal", [pytest.param(True, marks=pytest.mark.long), False])
def test_progress_of_a_unit_is_in_the_report_while_it_runs(bench: Bench, terminal: bool) -> None:
    bench.write("sky.txt", header() + star("R22_S11", 1, 20.0) + star("R22_S11", 2, 17.5))
    band = "Astrophysical m=20  1  100  ( 0, 92, 1, 7)  2.00  50"
    printing = (
        f"import time; print('{HEADING}'); print('{band}')\nwhile not __import__('os').path.exists('$notes/go'): pass"
    )
    bench.break_stage("raytrace", f'"$QUICKSIM_PYTHON" -c "{printing}"; real')
    change_facts(own_release(bench), options={"threads": True, "checkpoint": True, "terminal": terminal})
    bench.write("sky.txt", header() + star("R22_S11", 1, 20.0) + star("R22_S11", 2, 17.5))
    spec = bench.spec(commands=["$(PHOSIMDIR)/examples/nobackground"])
    job = bench.start_job(spec, *site(bench))
    job.wait_for("unit_started")
    if terminal:
        wait_until(lambda: (running_unit(job)["progress"] or 0.0) > 0.2, "progress")
        seen = [running_unit(job)["progress"] or 0.0]
        wait_until(lambda: (running_unit(job)["progress"] or 0.0) > seen[0], "more of it")
        report = json.loads((job.workdir / "jobReport.json").read_text())
        assert 0.2 < report["progress"] < 1.0
        assert report["eta_s"] > 0.0
        assert 0.0 < (running_unit(job)["eta_s"] or 0.0) < 20.0
    else:
        time.sleep(4.0)
        assert running_unit(job)["progress"] is None
    (bench.notes / "go").touch()
    outcome = job.end()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.units[UNIT]["progress"] is None
    log = outcome.workdir / outcome.units[UNIT]["attempts"][0]["log"] / "raytrace.out"
    assert log.read_text().count("Astrophysical m=20") == 2


TOO_LARGE = """
exec "$QUICKSIM_PYTHON" -c "import os; x = b'x' * 200_000_000; os.kill(os.getpid(), 9)"
"""


def test_unit_killed_for_memory_is_tried_again_alone(bench: Bench) -> None:
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]))
    bench.break_stage(
        "raytrace",
        f"""
echo begin $unit >> $notes/log
case $unit/$attempt in
*S11-E000/attempt-1) {TOO_LARGE};;
*S11-E000/attempt-2) sleep 1;;
*) sleep 0.5;;
esac
real
echo end $unit >> $notes/log""",
    )
    spec = bench.spec(sensors="R22_S1[12]", exposures="all")
    outcome = bench.run_job(spec, "--cores", "2", "--memory-mb", "4000")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.report["resource"]["units_at_once"] == 2
    assert outcome.outcomes(UNIT) == ["OUT_OF_MEMORY", "good"]
    assert [attempt["correction"] for attempt in outcome.units[UNIT]["attempts"]] == ["", "alone"]
    lines = (bench.notes / "log").read_text().splitlines()
    began = [at for at, line in enumerate(lines) if line == f"begin v4242-{UNIT}"][1]
    others = [line.split()[0] for line in lines[:began] if UNIT not in line]
    assert others.count("begin") == others.count("end"), "another simulator was at work when it began"
    assert lines[began + 1] == f"end v4242-{UNIT}"


def test_unit_that_does_not_fit_even_alone_says_what_it_needs(bench: Bench) -> None:
    bench.break_stage("raytrace", TOO_LARGE)
    outcome = bench.run_job()
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (43, "MEMORY_SHORT")
    assert outcome.outcomes() == ["OUT_OF_MEMORY", "MEMORY_SHORT"]
    assert "ask for more than 2" in outcome.units[UNIT]["detail"]
