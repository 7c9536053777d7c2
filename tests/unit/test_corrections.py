"""What is done differently after a failure, and when nothing is."""

from __future__ import annotations

import pytest

from transformation.corrections import Attempted, Correction, correct, settle
from transformation.model.failures import Failed, Failure, Remedy


@pytest.mark.parametrize("failure", [one for one in Failure if one.remedy is not Remedy.HERE])
def test_what_no_attempt_here_can_help_is_not_tried_again(failure: Failure) -> None:
    assert correct(failure, number=1, most=3, alone=False) is None


@pytest.mark.parametrize("failure", [one for one in Failure if one.remedy is Remedy.HERE])
def test_every_other_failure_has_a_named_correction_and_a_cap(failure: Failure) -> None:
    assert correct(failure, number=1, most=3, alone=False) in set(Correction)
    assert correct(failure, number=3, most=3, alone=False) is None
    assert correct(failure, number=1, most=1, alone=False) is None


@pytest.mark.parametrize(
    ("failure", "number", "alone", "correction"),
    [
        (Failure.SIMULATOR_CRASHED, 1, False, Correction.AGAIN),
        (Failure.SIMULATOR_CRASHED, 2, False, Correction.AGAIN),
        (Failure.OUT_OF_MEMORY, 1, False, Correction.ALONE),
        (Failure.SCRATCH_LOW, 1, False, Correction.ALONE),
        (Failure.SIMULATOR_CRASHED, 2, True, Correction.ALONE),  # once alone, always alone
        (Failure.OUTPUT_GROWS, 1, False, Correction.AGAIN),
        (Failure.OUTPUT_GROWS, 2, False, None),
    ],
)
def test_the_correction(failure: Failure, number: int, alone: bool, correction: Correction | None) -> None:
    assert correct(failure, number=number, most=3, alone=alone) is correction


@pytest.mark.parametrize(
    ("failure", "alone", "disk", "settled"),
    [
        (Failure.OUT_OF_MEMORY, False, False, Failure.OUT_OF_MEMORY),
        (Failure.OUT_OF_MEMORY, True, False, Failure.MEMORY_SHORT),
        (Failure.SCRATCH_LOW, False, True, Failure.SCRATCH_LOW),
        (Failure.SCRATCH_LOW, True, True, Failure.DISK_FULL),
        (Failure.SCRATCH_LOW, True, False, Failure.SCRATCH_SHORT),
        (Failure.SIMULATOR_CRASHED, True, True, Failure.SIMULATOR_CRASHED),
    ],
)
def test_who_had_everything_to_itself_needs_more(failure: Failure, alone: bool, disk: bool, settled: Failure) -> None:
    facts = Attempted(alone=alone, disk=disk, max_rss_bytes=4_000_000_000)
    found = settle(Failed(failure=failure, detail="u: stopped"), facts)
    assert found.failure is settled
    assert ("ask for more than 5,000 MB" in found.detail) == (settled is Failure.MEMORY_SHORT)
