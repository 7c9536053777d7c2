"""The failure table, and the row that speaks for a job."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.model.failures import (
    FORBIDDEN_CODES,
    Failed,
    Failure,
    JobError,
    Remedy,
    effective_remedy,
    job_failure,
)

F = Failure
NO_PARTIAL = [row for row in Failure if not row.name.startswith("PARTIAL")]


def test_no_two_rows_share_a_code() -> None:
    repeated = [code for code, count in Counter(row.code for row in Failure).items() if count > 1]
    assert repeated == []
    # An Enum makes rows with equal values aliases of each other, without a word.
    assert len(Failure.__members__) == len(list(Failure))


@pytest.mark.parametrize("row", Failure, ids=lambda row: row.name)
def test_a_row_is_complete(row: Failure) -> None:
    assert 3 < row.code < 126
    assert row.code not in FORBIDDEN_CODES
    assert isinstance(row.remedy, Remedy)
    for sentence in (row.meaning, row.action):
        assert len(sentence.split()) > 1, "no sentence"
        assert sentence == " ".join(sentence.split())
    assert len(row.name) + len(row.action) < 150, "a diagnosis of 256 characters needs room for the detail"


def test_codes_never_move() -> None:
    """PanDA's rules key on these; a new row is added here, an old one never changed."""
    codes = {
        "USAGE": 10, "SPEC_INVALID": 11, "SPEC_MISSING": 12, "SPEC_UNREACHABLE": 13, "SENSOR_PATTERN_INVALID": 14,
        "NO_SENSOR_MATCHES": 15, "COMMANDS_INVALID": 16, "CATALOG_INVALID": 20, "CATALOG_CONFLICT": 21,
        "CATALOG_MISSING": 22, "CATALOG_UNREACHABLE": 23, "CATALOG_CHANGED": 24, "PATH_REFUSED": 25,
        "SITE_INVALID": 30, "RELEASE_UNKNOWN": 31, "RELEASE_UNREACHABLE": 32, "RELEASE_BROKEN": 33,
        "WORKDIR_UNUSABLE": 40, "WORKDIR_BUSY": 41, "DISK_FULL": 42, "MEMORY_SHORT": 43, "TERMINATED": 44,
        "DEADLINE": 45, "SET_UP_FAILED": 50, "SIMULATOR_CRASHED": 51, "SIMULATOR_KILLED": 52, "SIMULATOR_HUNG": 53,
        "OUTPUT_MISSING": 54, "OUTPUT_DAMAGED": 55, "OUTPUT_WRONG": 56, "IMAGE_ALL_ZERO": 57, "SED_MISSING": 58,
        "TOO_MANY_OBJECTS": 59, "STORAGE_UNREACHABLE": 70, "STORAGE_FULL": 71, "STORAGE_DENIED": 72,
        "STORAGE_DAMAGED": 73, "REQUEST_CONFLICT": 74, "STORAGE_UNKNOWN": 75, "REGISTRATION_PENDING": 80,
        "REGISTRATION_CONFLICT": 81, "PARTIAL": 90, "PARTIAL_MORE_RESOURCES": 91, "PARTIAL_FINAL": 92,
        "INTERNAL_ERROR": 99,
    }  # fmt: skip
    assert {name: Failure[name].code for name in codes} == codes


@pytest.mark.parametrize(
    ("failures", "n_done", "speaks"),
    [
        ([], 0, None),
        ([], 5, None),
        ([F.SED_MISSING], 0, F.SED_MISSING),
        ([F.SED_MISSING], 1, F.PARTIAL_FINAL),
        # a HERE failure has used up its attempts: it counts as ELSEWHERE
        ([F.SIMULATOR_CRASHED], 0, F.SIMULATOR_CRASHED),
        ([F.SIMULATOR_CRASHED], 1, F.PARTIAL),
        ([F.SIMULATOR_CRASHED, F.SED_MISSING, F.SED_MISSING], 0, F.SIMULATOR_CRASHED),
        ([F.SIMULATOR_CRASHED, F.STORAGE_FULL, F.STORAGE_FULL], 0, F.STORAGE_FULL),
        # NEVER speaks only if all are NEVER
        ([F.SED_MISSING, F.TOO_MANY_OBJECTS, F.TOO_MANY_OBJECTS], 0, F.TOO_MANY_OBJECTS),
        ([F.SED_MISSING] * 9 + [F.STORAGE_UNREACHABLE], 0, F.STORAGE_UNREACHABLE),
        ([F.SED_MISSING] * 9 + [F.STORAGE_UNREACHABLE], 1, F.PARTIAL),
        # more resources before elsewhere
        ([F.STORAGE_UNREACHABLE] * 9 + [F.MEMORY_SHORT], 0, F.MEMORY_SHORT),
        ([F.STORAGE_UNREACHABLE, F.MEMORY_SHORT, F.SED_MISSING], 3, F.PARTIAL_MORE_RESOURCES),
        # the end of the whole job wins over everything
        ([F.MEMORY_SHORT, F.TERMINATED, F.SED_MISSING], 0, F.TERMINATED),
        ([F.MEMORY_SHORT, F.TERMINATED], 7, F.TERMINATED),
        ([F.MEMORY_SHORT, F.DEADLINE], 7, F.DEADLINE),
        ([F.DEADLINE, F.TERMINATED], 0, F.TERMINATED),
    ],
)
def test_who_speaks_for_the_job(failures: list[Failure], n_done: int, speaks: Failure | None) -> None:
    assert job_failure(failures, n_done=n_done) is speaks
    assert job_failure(failures[::-1], n_done=n_done) is speaks


@given(st.lists(st.sampled_from(NO_PARTIAL), min_size=1, max_size=6), st.integers(0, 3))
def test_the_remedy_of_the_job_is_the_most_hopeful_one(failures: list[Failure], n_done: int) -> None:
    speaks = job_failure(failures, n_done=n_done)
    assert speaks is not None
    if {F.TERMINATED, F.DEADLINE} & set(failures):
        assert speaks in {F.TERMINATED, F.DEADLINE}
        return
    remedies = {effective_remedy(failure) for failure in failures}
    assert effective_remedy(speaks) in remedies
    assert speaks.needs_a_person == (remedies == {Remedy.NEVER})
    assert (effective_remedy(speaks) is Remedy.MORE_RESOURCES) == (Remedy.MORE_RESOURCES in remedies)
    assert speaks in failures or n_done


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        (F.SIMULATOR_HUNG, Remedy.ELSEWHERE),
        (F.STORAGE_FULL, Remedy.ELSEWHERE),
        (F.MEMORY_SHORT, Remedy.MORE_RESOURCES),
        (F.SED_MISSING, Remedy.NEVER),
    ],
)
def test_final_remedies(row: Failure, remedy: Remedy) -> None:
    assert effective_remedy(row) is remedy


def test_an_error_tells_what_and_what_to_do() -> None:
    error = JobError(F.SPEC_MISSING, "job.json does not exist")
    assert error.failed == Failed(failure=F.SPEC_MISSING, detail="job.json does not exist")
    assert str(error) == "job.json does not exist"
    assert str(error.failed) == "job.json does not exist (check the location given with --job)"
