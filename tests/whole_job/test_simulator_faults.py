"""A simulator that crashes, hangs, dies, or exits 0 with anything but the images that were asked for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.whole_job.aftermath import Outcome
from tests.whole_job.bench import Bench
from tests.whole_job.sky import RAFT, header, one_star

UNIT = "R22_S11-E000"
BOTH = ["R22_S11-E000", "R22_S11-E001"]
E_IMAGE = "lsst_e_4242_f2_R22_S11_E000.fits.gz"

CRASHED, KILLED, HUNG, MISSING, DAMAGED, WRONG, ZERO = (
    *("SIMULATOR_CRASHED", "SIMULATOR_KILLED", "SIMULATOR_HUNG"),
    *("OUTPUT_MISSING", "OUTPUT_DAMAGED", "OUTPUT_WRONG", "IMAGE_ALL_ZERO"),
)
CODES = {CRASHED: 51, KILLED: 52, HUNG: 53, MISSING: 54, DAMAGED: 55, WRONG: 56, ZERO: 57, "SET_UP_FAILED": 50}

ONCE = 'if test "$attempt" = attempt-1; then {}; else real; fi'

RAYTRACE_FAULTS = {
    "it segfaults": (CRASHED, "kill -SEGV $$"),
    "it exits 1": (CRASHED, "echo 'no such table' >&2; exit 1"),
    "it exits 1 with good images": (CRASHED, "real; exit 1"),
    "it is killed": (KILLED, "kill -KILL $$"),
    "a shell reports it killed": (KILLED, "exit 137"),
    "it makes nothing": (MISSING, "exit 0"),
    "it makes another exposure": (MISSING, "real; mv $image another_E009.fits.gz"),
    "it cuts the image short": (DAMAGED, "real; truncate -s 3000 $image"),
    "it leaves an empty file": (DAMAGED, "real; : > $image"),
    "it leaves garbage": (DAMAGED, "real; echo 'not an image' > $image"),
    "it leaves plain FITS": (DAMAGED, "real; gunzip -c $image > plain; mv plain $image"),
    "the stream lacks its end": (DAMAGED, "real; truncate -s -9 $image"),
    "garbage follows the stream": (DAMAGED, "real; echo garbage >> $image"),
    "it says another sensor": (WRONG, "real; doctor card CHIPID \"'R22_S99 '\" $image"),
    "it says another seed": (WRONG, "real; doctor card SEED 99 $image"),
    "it says another visit": (WRONG, "real; doctor card OBSID 4243 $image"),
    "it has another shape": (WRONG, "real; doctor card NAXIS2 407 $image"),
    "all pixels are zero": (ZERO, "real; doctor zero $image"),
}
E2ADC_FAULTS = {
    "it exits 1": (CRASHED, "exit 1"),
    "it makes nothing": (MISSING, "exit 0"),
    "it forgets an amplifier": (MISSING, "real; rm $image"),
    "it cuts an amplifier short": (DAMAGED, "real; truncate -s 200 $image"),
    "it says another amplifier": (WRONG, "real; doctor card AMPID \"'C12     '\" $image"),
}
ALL_UNITS = [f"{sensor}-{exposure}" for sensor in RAFT for exposure in ("E000", "E001")]


def fault_in_each_unit(
    stage: str, image: str, faults: dict[str, tuple[str, str]], bench: Bench, **changes: object
) -> Outcome:
    """Run one job in which each unit has a fault of its own in its first attempt."""
    scripts = zip(ALL_UNITS, (script for _, script in faults.values()), strict=False)
    cases = "".join(f"v4242-{unit}) {ONCE.format(script)};;\n" for unit, script in scripts)
    bench.write("sky.txt", one_star(RAFT))
    bench.break_stage(stage, f'place=${{unit#*-}}\n{image}\ncase "$unit" in\n{cases}*) real;;\nesac')
    outcome = bench.run_job(bench.spec(**{"sensors": "R22_S..", "exposures": "all", **changes}))
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


@pytest.fixture(scope="module")
def raytrace_faults(tmp_path_factory: pytest.TempPathFactory, tiny_release: Path) -> Outcome:
    bench = Bench(folder=tmp_path_factory.mktemp("raytrace"), release=tiny_release)
    return fault_in_each_unit(
        "raytrace", "image=lsst_e_4242_f2_${place%-*}_${place#*-}.fits.gz", RAYTRACE_FAULTS, bench
    )


@pytest.fixture(scope="module")
def e2adc_faults(tmp_path_factory: pytest.TempPathFactory, tiny_release: Path) -> Outcome:
    bench = Bench(folder=tmp_path_factory.mktemp("e2adc"), release=tiny_release)
    image = "image=lsst_a_4242_f2_${place%-*}_C13_${place#*-}.fits.gz"
    return fault_in_each_unit("e2adc", image, E2ADC_FAULTS, bench, sensors="R22_S0.", amplifiers=True)


def check_second_attempt_is_good(outcome: Outcome, unit: str, failure: str) -> None:
    assert outcome.outcomes(unit) == [failure, "good"]
    assert outcome.states[unit] == "committed"
    assert outcome.units[unit]["failure"] is None
    assert outcome.manifests[f"v4242-{unit}"]["attempt"] == 2
    logs = [outcome.workdir / attempt["log"] for attempt in outcome.units[unit]["attempts"]]
    assert all((log / "raytrace.err").is_file() for log in logs)
    assert len(set(logs)) == 2


@pytest.mark.parametrize("fault", RAYTRACE_FAULTS)
def test_fault_of_raytrace_that_passes_costs_one_attempt(raytrace_faults: Outcome, fault: str) -> None:
    unit = ALL_UNITS[list(RAYTRACE_FAULTS).index(fault)]
    check_second_attempt_is_good(raytrace_faults, unit, RAYTRACE_FAULTS[fault][0])


@pytest.mark.long
@pytest.mark.parametrize("fault", E2ADC_FAULTS)
def test_fault_of_e2adc_that_passes_costs_one_attempt(e2adc_faults: Outcome, fault: str) -> None:
    unit = ALL_UNITS[list(E2ADC_FAULTS).index(fault)]
    check_second_attempt_is_good(e2adc_faults, unit, E2ADC_FAULTS[fault][0])
    assert len(e2adc_faults.units[unit]["files"]) == 17


@pytest.mark.parametrize(
    "fault",
    [
        "it segfaults",
        *(pytest.param(fault, marks=pytest.mark.long) for fault in ("it makes nothing", "all pixels are zero")),
    ],
)
def test_fault_of_raytrace_that_stays_ends_the_job_after_three_attempts(bench: Bench, fault: str) -> None:
    failure, script = RAYTRACE_FAULTS[fault]
    bench.break_stage("raytrace", f"image={E_IMAGE}\n{script}")
    outcome = bench.run_job()
    assert outcome.exit_code == CODES[failure]
    assert outcome.outcomes() == [failure] * 3
    assert outcome.units[UNIT]["failure"] == failure
    assert bench.starts() == [f"v4242-{UNIT}/attempt-{number}" for number in (1, 2, 3)]
    assert outcome.manifests == {}


def test_one_bad_unit_leaves_the_others_and_the_job_is_partial(bench: Bench) -> None:
    bench.break_stage("raytrace", "case $unit in *-E001) test -e $notes/mended || kill -SEGV $$;; esac; real")
    spec = bench.spec(exposures="all")
    outcome = bench.run_job(spec)
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (90, "PARTIAL")
    assert outcome.states == {BOTH[0]: "committed", BOTH[1]: "failed"}
    assert outcome.report["missing"] == ["v4242-R22_S11-E001"]
    assert outcome.outcomes(BOTH[1]) == [CRASHED] * 3
    assert "v4242-R22_S11-E001" in outcome.stderr

    # A later job makes what is missing, and only that.
    (bench.notes / "mended").touch()
    again = bench.run_job(spec)
    assert again.exit_code == 0, again.stderr
    assert again.outcomes(BOTH[0]) == []
    assert again.outcomes(BOTH[1]) == ["good"]


def test_attempts_are_as_many_as_the_spec_allows(bench: Bench) -> None:
    bench.break_stage("raytrace", "exit 1")
    outcome = bench.run_job(bench.spec(attempts=1))
    assert outcome.outcomes() == [CRASHED]


def test_process_beyond_the_wall_limit_is_ended_and_named(bench: Bench) -> None:
    bench.break_stage("raytrace", "sleep 1000")
    # Enough for the set-up, which has the same limit, on a busy machine.
    outcome = bench.run_job(bench.spec(attempts=1, limits={"max_unit_hours": 6 / 3600}))
    assert outcome.exit_code == CODES[HUNG]
    (attempt,) = outcome.units[UNIT]["attempts"]
    assert attempt["outcome"] == HUNG
    assert 6 <= attempt["wall_s"] < 20
    assert "max_unit_hours" in outcome.stderr


LATE_WRITER = """
if test "$attempt" = attempt-1; then
    {in_background} "while :; do echo late >> $notes/heartbeat; echo late > $PWD/{image}; sleep 0.02; done" &
    while ! test -s "$notes/heartbeat"; do sleep 0.01; done
    kill -KILL $$
fi
real
"""


def test_writer_that_a_killed_raytrace_leaves_behind_is_ended(bench: Bench) -> None:
    bench.break_stage("raytrace", LATE_WRITER.format(in_background="sh -c", image=E_IMAGE))
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes() == [KILLED, "good"]
    heartbeat = (bench.notes / "heartbeat").stat().st_size
    time.sleep(0.1)
    assert (bench.notes / "heartbeat").stat().st_size == heartbeat


def test_writer_that_leaves_the_session_spoils_nothing(bench: Bench) -> None:
    bench.may_leave_processes = True
    bench.break_stage("raytrace", LATE_WRITER.format(in_background="setsid sh -c", image=E_IMAGE))
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes() == [KILLED, "good"]


def test_all_zero_image_is_good_and_flagged_where_no_light_was_due(bench: Bench) -> None:
    bench.write("sky.txt", header(minsource=0))
    outcome = bench.run_job(bench.spec(commands=["$(PHOSIMDIR)/examples/nobackground"]))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == {UNIT: "committed"}
    (note,) = outcome.units[UNIT]["notes"]
    assert f"{E_IMAGE} is all zero" in note
    assert outcome.manifests["v4242-R22_S11-E000"]["notes"] == [note]


def test_all_zero_image_is_a_failure_where_a_star_alone_was_due(bench: Bench) -> None:
    bench.break_stage("raytrace", f"real; doctor zero {E_IMAGE}")
    outcome = bench.run_job(bench.spec(commands=["$(PHOSIMDIR)/examples/nobackground"], attempts=1))
    assert outcome.exit_code == CODES[ZERO]
    assert outcome.images == []


@pytest.mark.parametrize("end", ["exit 1", pytest.param("kill -KILL $$", marks=pytest.mark.long)])
@pytest.mark.parametrize("stage", ["trim", "atmosphere", "phosim.py"])
def test_step_of_the_visit_that_fails_once_is_done_again(bench: Bench, stage: str, end: str) -> None:
    bench.break_stage(stage, ONCE.format(f"echo spoiled > trimcatalog_4242_R22_S11.pars; {end}"))
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert len(bench.starts(stage)) == 2
    assert outcome.outcomes() == ["good"]


@pytest.mark.parametrize(
    ("stage", "script"),
    {
        "trim fails": ("trim", "exit 1"),
        "trim makes nothing": ("trim", "exit 0"),
        "atmosphere fails": ("atmosphere", "kill -SEGV $$"),
        "the driver makes nothing": ("phosim.py", "exit 0"),
    }.values(),
    ids=["trim fails", "trim makes nothing", "atmosphere fails", "the driver makes nothing"],
)
def test_step_of_the_visit_that_fails_always_fails_all_its_units(bench: Bench, stage: str, script: str) -> None:
    bench.break_stage(stage, script)
    outcome = bench.run_job(bench.spec(exposures="all"))
    assert outcome.exit_code == CODES["SET_UP_FAILED"]
    assert outcome.states == dict.fromkeys(BOTH, "failed")
    assert len(bench.starts(stage)) == 3
    assert outcome.processes_started == 0


def test_visit_whose_set_up_fails_leaves_the_other_visit(bench: Bench) -> None:
    bench.write("other.txt", one_star(obshistid=4243))
    bench.break_stage("atmosphere", "if ls obs_4242.pars; then exit 1; else real; fi")
    visits = [{"catalogs": ["sky.txt"]}, {"catalogs": ["other.txt"]}]
    outcome = bench.run_job(bench.spec(catalogs=None, visits=visits))
    assert outcome.exit_code == 90
    assert outcome.states == {"v4242-R22_S11-E000": "failed", "v4243-R22_S11-E000": "committed"}


def test_release_that_leaves_the_filter_out_of_names_in_its_work_folder(bench: Bench) -> None:
    bench.break_stage("raytrace", f"real; mv {E_IMAGE} lsst_e_4242_R22_S11_E000.fits.gz")
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.images == [E_IMAGE]


def test_stage_that_cannot_be_started_is_the_releases_fault(bench: Bench) -> None:
    bench.break_stage("raytrace", "exit 0")
    (bench.release / "bin/raytrace").chmod(0o644)
    outcome = bench.run_job()
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (33, "RELEASE_BROKEN")
    assert outcome.units[UNIT]["failure"] == "RELEASE_BROKEN"


def test_missing_spectrum_is_never_tried_again(bench: Bench) -> None:
    bench.break_stage("raytrace", 'echo "Can\'t find SED file: /data/SEDs/none.gz" >&2; exit 1')
    outcome = bench.run_job()
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (58, "SED_MISSING")
    assert outcome.outcomes() == ["SED_MISSING"]
    # What is known of this request is remembered beside the images: no later attempt simulates it either.
    again = bench.run_job(workdir="again")
    assert again.exit_code == 58
    assert bench.starts() == ["v4242-R22_S11-E000/attempt-1"]
