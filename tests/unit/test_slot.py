"""When a job has to be over, and what clocks that jump do to it: nothing."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

import pytest

from transformation.arguments import parse_deadline
from transformation.slot import MARGIN_S, Clocks, Slot, clock_jump_s, find_slot

NOW = Clocks(epoch_s=1_800_000_000.0, boot_s=5_000.0)


def find(
    *, deadline_s: float | None = None, job: float | None = None, queue: float | None = None, **environment: str
) -> Slot | None:
    return find_slot(deadline_s=deadline_s, max_job_hours=job, queue_hours=queue, environment=environment, now=NOW)


def test_no_end_is_known() -> None:
    assert find() is None
    assert find(SLURM_JOB_END_TIME="", IOD_SLOT_END="soon") is None


@pytest.mark.parametrize(
    ("slot", "lasts_s", "said_by"),
    [
        (find(deadline_s=NOW.epoch_s + 600), 600, "--deadline"),
        (find(deadline_s=NOW.epoch_s - 600), -600, "--deadline"),
        (find(job=2), 7200, "worker.max_job_hours of the site"),
        (find(queue=1.5), 5400, "max_wall_hours of the queue"),
        (find(SLURM_JOB_END_TIME="1800000900"), 900, "SLURM_JOB_END_TIME"),
        (find(IOD_SLOT_END="1800000300"), 300, "IOD_SLOT_END"),
        # the earliest counts
        (find(deadline_s=NOW.epoch_s + 4000, job=1, queue=2, SLURM_JOB_END_TIME="1800003700"), 3600, "worker.max_job"),
        (find(deadline_s=NOW.epoch_s + 3000, job=1), 3000, "--deadline"),
    ],
    ids=["deadline", "deadline past", "site", "queue", "slurm", "own", "site first", "deadline first"],
)
def test_the_earliest_end_counts(slot: Slot | None, lasts_s: float, said_by: str) -> None:
    assert slot is not None
    assert slot.end_s == NOW.boot_s + lasts_s
    assert slot.said_by.startswith(said_by)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1800000000", 1.8e9), ("1.8e9", 1.8e9), ("2027-01-15T08:00", 1.8e9), ("2027-01-15T09:00+01:00", 1.8e9)],
)
def test_a_deadline_is_iso_8601_or_seconds(text: str, seconds: float) -> None:
    assert parse_deadline(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "+2h", "nan", "inf", "-inf", "1e400", "2027-13-01"])
def test_what_is_no_deadline(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"'{re.escape(text)}' is n"):
        parse_deadline(text)


def test_what_fits() -> None:
    slot = Slot(end_s=1000.0, said_by="x")
    assert slot.left_s(900.0) == 100.0 - MARGIN_S
    assert slot.fits(80.0, 900.0)
    assert not slot.fits(80.1, 900.0)
    assert not slot.fits(0.0, 990.0)


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_jumps_changes_nothing(jump_s: float) -> None:
    slot = find(deadline_s=NOW.epoch_s + 600)
    assert slot is not None
    later = Clocks(epoch_s=NOW.epoch_s + 60.0 + jump_s, boot_s=NOW.boot_s + 60.0)
    assert slot.left_s(later.boot_s) == 540.0 - MARGIN_S
    assert clock_jump_s(NOW, later) == jump_s


def test_drift_is_no_jump() -> None:
    assert clock_jump_s(NOW, Clocks(epoch_s=NOW.epoch_s + 61.0, boot_s=NOW.boot_s + 60.0)) == 0.0
