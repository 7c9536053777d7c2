"""Why a simulator process failed: the recorded failures, one folder each in `tests/recorded/`, and the finer points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from transformation.evidence import Evidence, explain
from transformation.limits import EndedBy
from transformation.model.failures import Failed, Failure
from transformation.process import Finished

RECORDED = Path(__file__).parents[1] / "recorded"
CASES = sorted(path.name for path in RECORDED.iterdir())
RELEASE = "/cvmfs/sw.example.org/phosim/3.4.47"
WHAT = "v1-R22_S11-E000: raytrace"
ITSELF = Finished(exit_status=1, signal=None, ended_by=EndedBy.ITSELF, wall_s=2.0, cpu_s=1.0, max_rss_bytes=1)


def by_signal(number: int) -> Finished:
    return replace(ITSELF, exit_status=None, signal=number)


def recorded(name: str) -> tuple[Evidence, dict[str, str]]:
    facts: dict[str, Any] = json.loads((RECORDED / name / "facts.json").read_text())
    verdict = facts["verdict"] and Failed(failure=Failure[facts["verdict"][0]], detail=facts["verdict"][1])
    finished = Finished(
        exit_status=facts["exit_status"], signal=facts["signal"], ended_by=EndedBy(facts["ended_by"]),
        wall_s=60.0, cpu_s=50.0, max_rss_bytes=facts["max_rss_bytes"],
    )  # fmt: skip
    evidence = Evidence(
        what=WHAT, finished=finished, errors=(RECORDED / name / "stderr").read_text(),
        output=(RECORDED / name / "stdout").read_text(), verdict=verdict, free_bytes=facts["free_bytes"],
        folder="/scratch", n_objects=facts["n_objects"], release_root=RELEASE,
        release_is_visible=facts["release_is_visible"], memory_limit_bytes=facts["memory_limit_bytes"],
    )  # fmt: skip
    return evidence, facts["expected"]


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_failure_has_its_row_and_names_its_cause(name: str) -> None:
    evidence, expected = recorded(name)
    failed = explain(evidence, Failure.SIMULATOR_CRASHED)
    assert (failed.failure.name, failed.failure.remedy.value) == (expected["failure"], expected["remedy"])
    assert expected["says"] in failed.detail
    assert failed.detail.startswith("v1-R22_S11-E000: ")


@pytest.mark.parametrize(
    ("facts", "failure"),
    [
        ({"oom_killed": True}, Failure.OUT_OF_MEMORY),  # of a child: the program itself may go on and end well
        ({"oom_nearby": True}, Failure.SIMULATOR_CRASHED),  # somebody else was meant
        ({"oom_nearby": True, "signal": 9, "exit_status": None}, Failure.OUT_OF_MEMORY),
        ({"oom_nearby": True, "exit_status": 137}, Failure.OUT_OF_MEMORY),
        ({"signal": 9, "exit_status": None}, Failure.SIMULATOR_KILLED),
        ({"signal": 25, "exit_status": None}, Failure.OUTPUT_GROWS),
        *[({"ended_by": by}, row) for by, row in (
            (EndedBy.MEMORY, Failure.OUT_OF_MEMORY), (EndedBy.CPU_LIMIT, Failure.CPU_LIMIT),
            (EndedBy.SCRATCH_LIMIT, Failure.OUTPUT_GROWS), (EndedBy.LOG_LIMIT, Failure.OUTPUT_GROWS),
            (EndedBy.SCRATCH, Failure.SCRATCH_LOW), (EndedBy.DISK, Failure.SCRATCH_LOW),
            (EndedBy.WALL_LIMIT, Failure.SIMULATOR_HUNG), (EndedBy.STOP, Failure.TERMINATED),
        )],
    ],
)  # fmt: skip
def test_what_kernel_and_supervisor_know_comes_first(facts: dict[str, Any], failure: Failure) -> None:
    finished = replace(ITSELF, remark="so much", **facts)
    failed = explain(Evidence(what=WHAT, finished=finished), Failure.SIMULATOR_CRASHED)
    assert failed.failure is failure
    assert ("so much" in failed.detail) == ("ended_by" in facts)


def test_a_file_at_the_limit_explains_a_crash() -> None:
    evidence = Evidence(
        what=WHAT, finished=ITSELF, errors="OSError: [Errno 27] File too large\n", has_file_at_limit=True
    )
    assert explain(evidence, Failure.SIMULATOR_CRASHED).failure is Failure.OUTPUT_GROWS


def test_the_row_of_the_step_is_used_where_nothing_is_known() -> None:
    failed = explain(Evidence(what="visit 1: set-up", finished=ITSELF), Failure.SET_UP_FAILED)
    assert failed == Failed(failure=Failure.SET_UP_FAILED, detail="visit 1: set-up: exit status 1 after 2.0 s")


def test_the_judges_verdict_stands_where_nothing_else_is_known() -> None:
    verdict = Failed(failure=Failure.OUTPUT_WRONG, detail="v1: seed 2, not 1")
    evidence = Evidence(what=WHAT, finished=replace(ITSELF, exit_status=0), verdict=verdict, errors="a warning\n")
    assert explain(evidence, Failure.SIMULATOR_CRASHED) is verdict


@pytest.mark.parametrize(
    ("finished", "errors", "failure"),
    [
        (replace(ITSELF, exit_status=255), "", Failure.SIMULATOR_CRASHED),
        # signals from outside; a shell in between says 128 + number
        (by_signal(9), "", Failure.SIMULATOR_KILLED),
        (by_signal(15), "", Failure.SIMULATOR_KILLED),
        (replace(ITSELF, exit_status=143), "", Failure.SIMULATOR_KILLED),
        (ITSELF, "sh: line 1: 12345 Killed                  raytrace < x.pars\n", Failure.SIMULATOR_KILLED),
        # the program's own
        (by_signal(11), "Segmentation fault\n", Failure.SIMULATOR_CRASHED),
        (by_signal(6), "Aborted\n", Failure.SIMULATOR_CRASHED),
        (replace(ITSELF, exit_status=139), "", Failure.SIMULATOR_CRASHED),
        (by_signal(40), "", Failure.SIMULATOR_CRASHED),
        # words that only look alike
        (ITSELF, "Photons Killed: 12\n", Failure.SIMULATOR_CRASHED),
        (ITSELF, "FITSIO status = 104: could not open\n", Failure.SIMULATOR_CRASHED),
        # a full disk, in the words of Python, the shell and cfitsio
        (ITSELF, "OSError: [Errno 28] No space left on device: 'x'\n", Failure.DISK_FULL),
        (ITSELF, "cp: Disk quota exceeded\n", Failure.DISK_FULL),
        (ITSELF, "FITSIO status = 106: error writing to FITS file\n", Failure.DISK_FULL),
        (ITSELF, "FITSIO status = 107: tried to move past end of file\nAborted\n", Failure.DISK_FULL),
    ],
)
def test_each_end_has_its_row(finished: Finished, errors: str, failure: Failure) -> None:
    failed = explain(Evidence(what=WHAT, finished=finished, errors=errors), Failure.SIMULATOR_CRASHED)
    assert failed.failure is failure
    assert failed.detail.startswith(f"{WHAT}: {finished}")


def test_words_are_cut() -> None:
    detail = explain(
        Evidence(what="x", finished=ITSELF, errors="first\n" + "y" * 1000 + "\n\n"), Failure.PARTIAL
    ).detail
    assert detail.endswith(": " + "y" * 160)


@pytest.mark.parametrize(("objects", "failure"), [(150_000, "SIMULATOR_CRASHED"), (150_001, "TOO_MANY_OBJECTS")])
def test_the_limit_of_objects(objects: int, failure: str) -> None:
    evidence = Evidence(what=WHAT, finished=by_signal(11), n_objects=objects)
    assert explain(evidence, Failure.SIMULATOR_CRASHED).failure.name == failure


@pytest.mark.parametrize(("free_bytes", "failure"), [(999_999, "DISK_FULL"), (1_000_000, "SIMULATOR_CRASHED")])
def test_the_limit_of_space(free_bytes: int, failure: str) -> None:
    evidence = Evidence(what=WHAT, finished=ITSELF, free_bytes=free_bytes)
    assert explain(evidence, Failure.SIMULATOR_CRASHED).failure.name == failure
