"""A unit in segments: the same pixels, and a later attempt goes on where an earlier one stopped."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.whole_job.bench import Bench, wait_until
from tests.whole_job.imitation import without_grid_mode
from tests.whole_job.sky import header, star
from tests.whole_job.test_driver_mode import data_of

UNIT = "R22_S11-E000"
STARS = header() + "".join(star("R22_S11", number, 24.0 - number) for number in range(1, 7))
ASLEEP_IN_SEGMENT_2 = "if test $(wc -l < $notes/raytrace.starts) = 3; then sleep 1000; fi; real"


def hidden(bench: Bench) -> list[Path]:
    return sorted(path for path in bench.store.rglob("*.ckpt-*"))


def events(workdir: Path, name: str) -> list[str]:
    return [line for line in (workdir / "journal.jsonl").read_text().splitlines() if f'"event":"{name}"' in line]


@pytest.mark.long
@pytest.mark.parametrize("amplifiers", [False, True])
def test_segments_make_the_same_pixels_and_leave_nothing_else(bench: Bench, amplifiers: bool) -> None:
    bench.write("sky.txt", STARS)
    whole = bench.run_job(bench.spec(amplifiers=amplifiers), workdir="whole")
    images = data_of(bench)
    bench.store.rename(bench.folder / "whole-store")
    bench.break_stage("raytrace", "real")
    parts = bench.run_job(bench.spec(amplifiers=amplifiers, options={"checkpoints": 3}), workdir="parts")
    assert (whole.exit_code, parts.exit_code) == (0, 0), parts.stderr
    assert data_of(bench) == images
    assert len(bench.starts()) == 4
    assert hidden(bench) == []


def test_another_worker_goes_on_after_the_last_segment(bench: Bench) -> None:
    bench.may_leave_processes = True
    bench.write("sky.txt", STARS)
    expected = bench.run_job(workdir="whole")
    images = data_of(bench)
    bench.store.rename(bench.folder / "whole-store")
    assert expected.exit_code == 0
    bench.break_stage("raytrace", ASLEEP_IN_SEGMENT_2)
    spec = bench.spec(options={"checkpoints": 3})
    job = bench.start_job(spec, workdir="killed")
    job.wait_for("checkpoint_kept", '"segment":1')
    wait_until(lambda: len(bench.starts()) == 3, "segment 2 to begin")
    job.send(signal.SIGKILL)
    job.killed()
    assert [path.name.partition(".ckpt-")[2][0] for path in hidden(bench)] == ["1"] * 3, "the newest pair is enough"
    again = bench.run_job(spec, workdir="elsewhere")
    assert again.exit_code == 0, again.stderr
    assert len(bench.starts()) == 3 + 2
    assert len(events(again.workdir, "checkpoint_used")) == 1
    assert data_of(bench) == images
    assert hidden(bench) == []


@pytest.mark.long
def test_second_try_in_the_same_job_goes_on_too(bench: Bench) -> None:
    bench.write("sky.txt", STARS)
    bench.break_stage("raytrace", "if test $(wc -l < $notes/raytrace.starts) = 3; then exit 1; fi; real")
    outcome = bench.run_job(bench.spec(options={"checkpoints": 3}))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes() == ["SIMULATOR_CRASHED", "good"]
    assert bench.starts() == [f"v4242-{UNIT}/attempt-1"] * 3 + [f"v4242-{UNIT}/attempt-2"] * 2


@pytest.mark.long
def test_segment_without_its_pair_is_tried_again(bench: Bench) -> None:
    bench.write("sky.txt", STARS)
    bench.break_stage("raytrace", 'real; if test "$attempt" = attempt-1; then rm *_ckptfp_*; fi')
    outcome = bench.run_job(bench.spec(options={"checkpoints": 1}))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.outcomes() == ["OUTPUT_MISSING", "good"]


def test_release_that_cannot_make_checkpoints_is_refused_them(bench: Bench) -> None:
    without_grid_mode(bench)
    outcome = bench.run_job(bench.spec(options={"checkpoints": 1}))
    assert outcome.exit_code == 11
    assert "options.checkpoints" in outcome.stderr
