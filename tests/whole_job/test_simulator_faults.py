"""A simulator that crashes, hangs, dies, or exits 0 with anything but the images that were asked for."""

from __future__ import annotations

import time

import pytest

from tests.whole_job.bench import Bench
from tests.whole_job.sky import header, one_star

UNIT = "R22_S11-E000"
BOTH = ["R22_S11-E000", "R22_S11-E001"]
E_IMAGE = "lsst_e_4242_f2_R22_S11_E000.fits.gz"

CRASHED, KILLED, HUNG, MISSING, DAMAGED, WRONG, ZERO = (
    *("SIMULATOR_CRASHED", "SIMULATOR_KILLED", "SIMULATOR_HUNG"),
    *("OUTPUT_MISSING", "OUTPUT_DAMAGED", "OUTPUT_WRONG", "IMAGE_ALL_ZERO"),
)
CODES = {CRASHED: 51, KILLED: 52, HUNG: 53, MISSING: 54, DAMAGED: 55, WRONG: 56, ZERO: 57, "SET_UP_FAILED": 50}

ONCE = 'if test "$attempt" = attempt-1; then {}; else real; fi'

FAULTS = {
    "it segfaults": (CRASHED, "kill -SEGV $$"),
    "it exits 1": (CRASHED, "echo 'no such table' >&2; exit 1"),
    "it exits 1 with good images": (CRASHED, "real; exit 1"),
    "it is killed": (KILLED, "kill -KILL $$"),
    "a shell reports it killed": (KILLED, "exit 137"),
    "it makes nothing": (MISSING, "exit 0"),
    "it makes another exposure": (MISSING, "real; mv lsst_e_*_E000.fits.gz lsst_e_4242_f2_R22_S11_E001.fits.gz"),
    "it cuts the image short": (DAMAGED, "real; truncate -s 3000 lsst_e_*.fits.gz"),
    "it leaves an empty file": (DAMAGED, "real; : > " + E_IMAGE),
    "it leaves garbage": (DAMAGED, "real; echo 'not an image' > " + E_IMAGE),
    "it leaves plain FITS": (DAMAGED, f"real; gunzip -c {E_IMAGE} > plain; mv plain {E_IMAGE}"),
    "the stream lacks its end": (DAMAGED, "real; truncate -s -9 lsst_e_*.fits.gz"),
    "garbage follows the stream": (DAMAGED, "real; echo garbage >> " + E_IMAGE),
    "it says another sensor": (WRONG, f"real; doctor card CHIPID \"'R22_S12 '\" {E_IMAGE}"),
    "it says another seed": (WRONG, f"real; doctor card SEED 1001 {E_IMAGE}"),
    "it says another visit": (WRONG, f"real; doctor card OBSID 4243 {E_IMAGE}"),
    "it has another shape": (DAMAGED, f"real; doctor card NAXIS2 407 {E_IMAGE}"),
    "all pixels are zero": (ZERO, f"real; doctor zero {E_IMAGE}"),
}


@pytest.mark.parametrize(("failure", "script"), FAULTS.values(), ids=FAULTS.keys())
def test_fault_of_raytrace_that_passes_costs_one_attempt(bench: Bench, failure: str, script: str) -> None:
    bench.break_stage("raytrace", ONCE.format(script))
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes() == [failure, "good"]
    assert outcome.manifests["v4242-R22_S11-E000"]["attempt"] == 2
    assert outcome.units[UNIT]["failure"] is None
    assert bench.starts() == ["v4242-R22_S11-E000/attempt-1", "v4242-R22_S11-E000/attempt-2"]
    assert (outcome.workdir / outcome.units[UNIT]["attempts"][0]["log"] / "raytrace.err").exists()


@pytest.mark.parametrize("fault", ["it segfaults", "it makes nothing", "all pixels are zero"])
def test_fault_of_raytrace_that_stays_ends_the_job_after_three_attempts(bench: Bench, fault: str) -> None:
    failure, script = FAULTS[fault]
    bench.break_stage("raytrace", script)
    outcome = bench.run_job()
    assert outcome.exit_code == CODES[failure]
    assert outcome.outcomes() == [failure] * 3
    assert outcome.units[UNIT]["failure"] == failure
    assert outcome.manifests == {}
    assert outcome.images == []


def test_one_bad_unit_leaves_the_others_and_the_job_is_partial(bench: Bench) -> None:
    bench.break_stage("raytrace", "case $unit in *-E001) kill -SEGV $$;; esac; real")
    spec = bench.spec(exposures="all")
    outcome = bench.run_job(spec)
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (90, "PARTIAL")
    assert outcome.states == {BOTH[0]: "committed", BOTH[1]: "failed"}
    assert outcome.report["missing"] == ["v4242-R22_S11-E001"]
    assert outcome.outcomes(BOTH[1]) == [CRASHED] * 3
    assert "v4242-R22_S11-E001" in outcome.stderr

    # A later job makes what is missing, and only that.
    bench.release = bench.release.rename(bench.folder / "broken")
    (bench.folder / "releases").mkdir(exist_ok=True)
    again = bench.run_job(spec, environment={"IOD_RELEASES": str(mended(bench))})
    assert again.exit_code == 0, again.stderr
    assert again.outcomes(BOTH[0]) == []
    assert again.outcomes(BOTH[1]) == ["good"]


def mended(bench: Bench) -> str:
    """The root of a release that is whole again: the original under the broken one's name."""
    (bench.release / "bin/raytrace").unlink()
    (bench.release / "bin/raytrace.real").rename(bench.release / "bin/raytrace")
    bench.release = bench.release.rename(bench.folder / "releases/quicksim-tiny-1.0")
    return str(bench.release.parent)


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


AMPLIFIER = "lsst_a_4242_f2_R22_S11_C13_E000.fits.gz"
E2ADC_FAULTS = {
    "it exits 1": (CRASHED, "exit 1"),
    "it makes nothing": (MISSING, "exit 0"),
    "it forgets an amplifier": (MISSING, f"real; rm {AMPLIFIER}"),
    "it cuts an amplifier short": (DAMAGED, f"real; truncate -s 200 {AMPLIFIER}"),
    "it says another amplifier": (WRONG, f"real; doctor card AMPID \"'C12     '\" {AMPLIFIER}"),
}


@pytest.mark.parametrize(("failure", "script"), E2ADC_FAULTS.values(), ids=E2ADC_FAULTS.keys())
def test_fault_of_e2adc_that_passes_costs_one_attempt(bench: Bench, failure: str, script: str) -> None:
    bench.break_stage("e2adc", ONCE.format(script))
    outcome = bench.run_job(bench.spec(amplifiers=True))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes() == [failure, "good"]
    assert len(outcome.images) == 17


@pytest.mark.parametrize("stage", ["trim", "atmosphere", "phosim.py"])
def test_step_of_the_visit_that_fails_once_is_done_again(bench: Bench, stage: str) -> None:
    bench.break_stage(stage, ONCE.format("echo spoiled > trimcatalog_4242_R22_S11.pars; exit 1"))
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
    bench.break_stage("raytrace", "echo \"Can't find SED file: /data/SEDs/none.gz\" >&2; exit 1")
    outcome = bench.run_job()
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (58, "SED_MISSING")
    assert outcome.outcomes() == ["SED_MISSING"]
    # What is known of this request is remembered beside the images: no later attempt simulates it either.
    again = bench.run_job(workdir="again")
    assert again.exit_code == 58
    assert bench.starts() == ["v4242-R22_S11-E000/attempt-1"]
