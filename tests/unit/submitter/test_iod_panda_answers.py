"""What a PanDA server's answers mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from submitter.folders import Folders
from submitter.jobs import State
from submitter.panda.answers import (
    facts_of,
    inputs_of,
    job_ids_of,
    latest,
    state_of_job,
    state_of_task,
    task_id_of,
    tasks_of,
    was_taken,
    why_failed,
)
from submitter.panda.gateway import Gateway
from submitter.panda.tasks import task_name
from submitter.settings import PandaSettings
from submitter.troubles import IodError, Trouble
from tests.unit.submitter.job_samples import job
from transformation.model.failures import Failure


@pytest.mark.parametrize(
    ("answer", "task_id"),
    [
        ([0, "succeeded. new jediTaskID=17"], 17),
        ([1, "jediTaskID=18 is already queued for outDS=x. You cannot submit duplicated tasks. "], 18),
        ([2, "jediTaskID=19 is in the running state for outDS=x. You can re-submit ..."], 19),
        ([3, "reactivation accepted. jediTaskID=20 (currently in done)"], 20),
    ],
)
def test_a_task_is_found_whether_new_or_there_before(answer: list[object], task_id: int) -> None:
    assert task_id_of(answer) == task_id


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ([4, "failed to insert"], Trouble.PANDA_REFUSED),
        ([10, "Too many active tasks for tonyj 101>100"], Trouble.PANDA_REFUSED),
        ([None, "database error"], Trouble.PANDA_REFUSED),
        ([0, "succeeded"], Trouble.PANDA_REFUSED),
        ("jediTaskID=3", Trouble.PANDA_GARBLED),
        (None, Trouble.PANDA_GARBLED),
    ],
)
def test_other_answers_to_a_task_are_troubles(answer: Any, row: Trouble) -> None:
    with pytest.raises(IodError) as caught:
        task_id_of(answer)
    assert caught.value.row is row


def test_jobs_are_taken_all_or_it_is_a_trouble() -> None:
    assert job_ids_of([[101, 1, {}], [102, 2, {}]], 2) == [101, 102]
    for answer in ([[101, 1, {}]], None, "no", {"a": 1}):
        with pytest.raises(IodError):
            job_ids_of(answer, 2)
    with pytest.raises(IodError) as caught:
        job_ids_of([["NULL", 1], ["NULL", 2]], 2)
    assert caught.value.row is Trouble.PANDA_GARBLED


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("registered", State.WAITING), ("ready", State.WAITING), ("pending", State.WAITING), ("running", State.RUNNING),
        ("scouting", State.RUNNING), ("done", State.DONE), ("finished", State.PARTIAL), ("failed", State.FAILED),
        ("broken", State.FAILED), ("exhausted", State.FAILED), ("aborted", State.KILLED), ("brand-new", State.WAITING),
    ],
)  # fmt: skip
def test_states_of_tasks(status: str, state: State) -> None:
    assert state_of_task(status) is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("activated", State.WAITING), ("running", State.RUNNING), ("holding", State.RUNNING), ("finished", State.DONE),
        ("failed", State.FAILED), ("cancelled", State.KILLED), ("closed", State.KILLED), (None, State.WAITING),
    ],
)  # fmt: skip
def test_states_of_jobs(status: object, state: State) -> None:
    assert state_of_job(status) is state


@pytest.mark.parametrize(
    ("answer", "taken"),
    [([0, "ok"], True), ([True, 0], True), ([False, "no"], False), ([4, "no"], False), (None, False)],
)
def test_commands_are_taken_or_not(answer: object, taken: bool) -> None:
    assert was_taken(answer) is taken


def test_our_own_code_says_why_a_job_failed() -> None:
    found = {
        "jobStatus": "failed",
        "exeErrorCode": 58,
        "exeErrorDiag": "SED_MISSING: visit 7 lacks x",
        "pilotErrorCode": 1305,
    }
    assert why_failed(found) == (Failure.SED_MISSING, "visit 7 lacks x")
    assert why_failed({"transExitCode": "70", "pilotErrorDiag": "storage is silent"}) == (
        Failure.STORAGE_UNREACHABLE,
        "storage is silent",
    )


def test_others_say_why_where_it_was_not_the_job() -> None:
    assert why_failed({"pilotErrorCode": 1201, "pilotErrorDiag": "SIGTERM"}) == (None, "pilot error 1201: SIGTERM")
    assert (
        why_failed({"taskBufferErrorCode": 300, "taskBufferErrorDiag": None})[1]
        == "taskBuffer error 300: no reason given"
    )
    assert why_failed({}) == (None, "no reason given")


def description(panda_id: int, status: str, select: str = "v7:R22", **more: object) -> dict[str, Any]:
    files = [{"type": "log", "lfn": "x.log.tgz"}, {"type": "pseudo_input", "lfn": select}]
    return {"PandaID": panda_id, "jobStatus": status, "Files": files, "attemptNr": 1, **more}


def test_the_newest_job_of_an_input_counts() -> None:
    found = latest(
        [
            description(5, "failed"),
            description(9, "running"),
            description(7, "failed"),
            description(8, "finished", "v7:R23"),
        ]
    )
    assert {select: (one.panda_id, one.state) for select, one in found.items()} == {
        "v7:R22": (9, State.RUNNING),
        "v7:R23": (8, State.DONE),
    }


def test_an_input_is_known_by_its_command_line_too() -> None:
    one = {
        **description(5, "running"),
        "Files": [],
        "jobParameters": '--job="data:;base64,e30=" --select="v7:R22_S11,v7:R23" --cores=1',
    }
    assert facts_of(one).select == "v7:R22_S11,v7:R23"


def test_tasks_of_a_job_are_found_by_name() -> None:
    one = job()
    answer = {
        "19": {"taskName": task_name(one, 1), "jediTaskID": 4},
        "19002": {"taskName": task_name(one, 2), "jediTaskID": 5},
        "7": {"taskName": "imsim.19.stars.tonyj.other.001", "jediTaskID": 6},
        "8": {"taskName": None, "jediTaskID": None},
    }
    assert sorted(tasks_of(one, answer)) == [(1, 4), (2, 5)]
    assert list(tasks_of(one, None)) == []


def test_lines_that_come_together_are_read_one_by_one() -> None:
    reading, writing = os.pipe()
    said: list[str] = []
    gateway = Gateway("https://panda.example.org", PandaSettings(), Folders(Path("/nowhere")))
    with os.fdopen(reading, "rb") as stream:
        os.write(writing, b'{"say": "sign in"}\n{"status": 0, "output": 1}\n{"status": 0, "output": 2}\n')
        answers = [gateway._read(stream, 5.0, said.append) for _ in range(2)]
        os.close(writing)
        with pytest.raises(EOFError):
            gateway._read(stream, 5.0, said.append)
    assert ([one["output"] for one in answers], said) == ([1, 2], ["sign in"])


@pytest.mark.parametrize("params", [{"pfnList": ["v1:R22"]}, '{"pfnList": ["v1:R22"]}'], ids=["object", "text"])
def test_inputs_of_a_task_that_stands_at_the_server(params: object) -> None:
    assert inputs_of(params) == ("v1:R22",)


@pytest.mark.parametrize("params", [None, "<html>", [1]], ids=["nothing", "page", "list"])
def test_what_are_no_parameters_of_a_task(params: object) -> None:
    with pytest.raises(IodError) as caught:
        inputs_of(params)
    assert caught.value.row is Trouble.PANDA_GARBLED
