"""Releases without grid mode: one run of the driver a sensor, judged by the files alone."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from tests.whole_job.bench import Bench
from tests.whole_job.imitation import tree, with_own_interpreter, without_grid_mode
from tests.whole_job.sky import header, one_star, star

BOTH = ["R22_S11-E000", "R22_S11-E001"]
E_IMAGE = "lsst_e_4242_f2_R22_S11_{}.fits.gz"


def pixels(path: Path) -> bytes:
    """The data of a gzipped FITS file: all after the header's END card and its padding."""
    content = gzip.decompress(path.read_bytes())
    end = content.index(b"END" + b" " * 77)
    return content[(end // 2880 + 1) * 2880 :]


def data_of(bench: Bench) -> dict[str, bytes]:
    return {path.name: pixels(path) for path in bench.store.rglob("*.fits.gz")}


@pytest.mark.long
def test_both_ways_of_driving_make_the_same_pixels(bench: Bench) -> None:
    bench.write("sky.txt", one_star(["R22_S11"]))
    spec = bench.spec(sensors="R22_S1[12]", exposures="all", amplifiers=True)
    staged = bench.run_job(spec, workdir="staged")
    images = data_of(bench)
    bench.store.rename(bench.folder / "staged-store")
    without_grid_mode(bench)
    driven = bench.run_job(spec, workdir="driven")
    assert (staged.exit_code, driven.exit_code) == (0, 0), driven.stderr
    assert driven.states == staged.states
    assert driven.states == dict.fromkeys(BOTH, "committed") | {"R22_S12-E000": "empty", "R22_S12-E001": "empty"}
    assert len(images) == 34
    assert data_of(bench) == images
    # One run for both exposures, and its log is in the report.
    logs = {driven.units[unit]["attempts"][0]["log"] for unit in BOTH}
    assert [(driven.workdir / log / "driver.out").is_file() for log in logs] == [True]


def test_driver_that_exits_0_without_one_exposure_costs_that_exposure_another_run(bench: Bench) -> None:
    without_grid_mode(bench)
    bench.break_stage(
        "raytrace", 'if test "$attempt" = attempt-1 && test -e $notes/first; then exit 1; fi; touch $notes/first; real'
    )
    outcome = bench.run_job(bench.spec(exposures="all"))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes(BOTH[0]) == ["good"]
    assert outcome.outcomes(BOTH[1]) == ["OUTPUT_MISSING", "good"]
    manifests = outcome.manifests
    assert [manifests[f"v4242-{unit}"]["attempt"] for unit in BOTH] == [1, 2]
    assert [line.partition("/")[2] for line in bench.starts()] == ["attempt-1"] * 2 + ["attempt-2"] * 2


@pytest.mark.parametrize(
    ("script", "outcomes"),
    [
        ("exit 1", ["OUTPUT_MISSING", "good"]),
        pytest.param("echo Killed >&2; exit 137", ["SIMULATOR_KILLED", "good"], marks=pytest.mark.long),
        pytest.param(
            "echo 'Segmentation fault (core dumped)' >&2; exit 139",
            ["SIMULATOR_CRASHED", "good"],
            marks=pytest.mark.long,
        ),
        pytest.param(
            "real; truncate -s 3000 " + E_IMAGE.format("E000"), ["OUTPUT_DAMAGED", "good"], marks=pytest.mark.long
        ),
        pytest.param("real; doctor zero " + E_IMAGE.format("E000"), ["IMAGE_ALL_ZERO", "good"], marks=pytest.mark.long),
        pytest.param("echo 'FITSIO status = 110' >&2; exit 1", ["DISK_FULL"], marks=pytest.mark.long),
        pytest.param('echo "Can\'t find SED file: none.gz" >&2; exit 1', ["SED_MISSING"], marks=pytest.mark.long),
        pytest.param(
            "echo 'Transport endpoint is not connected' >&2; exit 1", ["RELEASE_LOST"], marks=pytest.mark.long
        ),
    ],
)
def test_cause_of_a_failure_under_the_driver_is_found(bench: Bench, script: str, outcomes: list[str]) -> None:
    without_grid_mode(bench)
    bench.break_stage("raytrace", f'if test "$attempt" = attempt-1; then {script}; else real; fi')
    outcome = bench.run_job()
    assert outcome.outcomes() == outcomes
    assert outcome.exit_code == {"DISK_FULL": 42, "SED_MISSING": 58, "RELEASE_LOST": 34}.get(outcomes[-1], 0)


def test_writers_that_a_killed_driver_leaves_are_ended_before_the_next_run(bench: Bench) -> None:
    without_grid_mode(bench)
    late = "sh -c 'while :; do echo late >> $0/heartbeat; sleep 0.02; done' $notes & sleep 0.3"
    bench.break_stage(
        "raytrace", f'if test "$attempt" = attempt-1; then {late}; kill -KILL $PPID; sleep 60; else real; fi'
    )
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes() == ["SIMULATOR_KILLED", "good"]
    heartbeat = (bench.notes / "heartbeat").stat().st_size
    time.sleep(0.1)
    assert (bench.notes / "heartbeat").stat().st_size == heartbeat


@pytest.mark.parametrize(
    ("minsource", "state"), [pytest.param(1, "committed", marks=pytest.mark.long), (2, "committed"), (3, "empty")]
)
def test_minsource_is_the_drivers_own(bench: Bench, minsource: int, state: str) -> None:
    without_grid_mode(bench)
    bench.write("sky.txt", header(minsource=minsource) + star("R22_S11"))
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == {"R22_S11-E000": state}


def test_dark_without_objects_is_simulated(bench: Bench) -> None:
    without_grid_mode(bench)
    bench.write("sky.txt", header(telconfig=1))
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == {"R22_S11-E000": "committed"}


def test_silent_run_without_a_trim_is_no_empty_sensor(bench: Bench) -> None:
    without_grid_mode(bench)
    bench.break_stage("phosim.py", "exit 0")
    outcome = bench.run_job(bench.spec(attempts=1))
    assert outcome.outcomes() == ["OUTPUT_MISSING"]


@pytest.mark.parametrize("driven", [pytest.param(True, marks=pytest.mark.long), False])
def test_tables_that_the_commands_ask_for_are_outputs(bench: Bench, driven: bool) -> None:
    if driven:
        without_grid_mode(bench)
    commands = [{"inline": "centroidfile 1\nthroughputfile 1\nextraid 7\n"}]
    outcome = bench.run_job(bench.spec(commands=commands, exposures="all"))
    assert outcome.exit_code == 0, outcome.stderr
    unit = "R22_S11-E001"
    assert {file["name"]: file["role"] for file in outcome.units[unit]["files"]} == {
        "lsst_e_42427_f2_R22_S11_E001.fits.gz": "electron_image",
        "centroid_lsst_e_42427_f2_R22_S11_E001.txt": "centroids",
        "throughput_lsst_e_42427_f2_R22_S11_E001.txt": "throughput",
    }


@pytest.mark.parametrize("driven", [True, False])
@pytest.mark.long
def test_install_is_not_written_to_and_its_own_interpreter_runs_the_driver(bench: Bench, driven: bool) -> None:
    with_own_interpreter(bench)
    if driven:
        without_grid_mode(bench)
    before = tree(bench.release)
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert tree(bench.release) == before
    (start,) = (bench.notes / "interpreter.starts").read_text().splitlines()
    words = start.split()
    assert words[0] == str(bench.release / "phosim.py")
    for option in ("-w", "-o"):
        assert Path(words[words.index(option) + 1]).is_absolute()
    assert words[words.index("-i") + 1] == "lsst"
    assert words[words.index("-t") + 1] == "1"
