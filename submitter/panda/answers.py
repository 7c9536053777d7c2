"""What a PanDA server's answers mean for us. Pure.

States of tasks and jobs: panda-server's `JediTaskSpec` and `JobSpec`, and PanDA's own documentation of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from submitter.jobs import Job, State
from submitter.panda.tasks import task_name
from submitter.troubles import IodError, Trouble
from transformation.model.failures import Failure

_TASK_STATES = {
    "done": State.DONE,
    "finished": State.PARTIAL,
    "failed": State.FAILED,
    "broken": State.FAILED,
    "exhausted": State.FAILED,
    "aborted": State.KILLED,
    **dict.fromkeys(("running", "scouting", "scouted", "finishing", "aborting", "toabort", "passed"), State.RUNNING),
}
"""Every other state of a task comes before its jobs."""
_JOB_STATES = {
    "finished": State.DONE,
    "failed": State.FAILED,
    "cancelled": State.KILLED,
    "closed": State.KILLED,
    **dict.fromkeys(("starting", "running", "holding", "transferring", "merging"), State.RUNNING),
}
"""Every other state of a job comes before its start."""
_TASK_ID = re.compile(r"jediTaskID=(\d+)")
_SELECT = re.compile(r"--select=\\?[\"']?(v[^\"'\s\\]+)")
_ACCEPTED, _STANDS_IN_DEFT, _STANDS_IN_JEDI, _GOES_ON = 0, 1, 2, 3
_PAYLOAD_FAILED = 1305
"""The pilot's word for an exit code that is not 0; what the code was says more."""
_BY_CODE = {failure.code: failure for failure in Failure}


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One PanDA job."""

    panda_id: int
    select: str
    state: State
    attempt: int
    failure: Failure | None
    reason: str
    """Why it failed, in one sentence."""
    where: str
    cpu_s: float


def task_id_of(answer: Sequence[Any]) -> int:
    """The task that an answer to `insertTaskParams` tells of, also if it was there before. Raises `IodError`."""
    if not isinstance(answer, (list, tuple)) or len(answer) != 2:
        raise IodError(Trouble.PANDA_GARBLED, f"no answer to a task: {str(answer)[:200]}")
    code, message = answer
    found = _TASK_ID.search(str(message))
    if code not in {_ACCEPTED, _STANDS_IN_DEFT, _STANDS_IN_JEDI, _GOES_ON} or found is None:
        raise IodError(Trouble.PANDA_REFUSED, f"the task was not taken (code {code}): {message}")
    return int(found[1])


def job_ids_of(answer: object, n_jobs: int) -> list[int]:
    """The PandaIDs in an answer to `submitJobs`, in order. Raises `IodError`."""
    if not isinstance(answer, list) or len(answer) != n_jobs:
        raise IodError(Trouble.PANDA_REFUSED, f"of {n_jobs:,} jobs not all were taken: {str(answer)[:200]}")
    try:
        return [int(entry[0]) for entry in answer]
    except (TypeError, ValueError, IndexError, KeyError):
        raise IodError(Trouble.PANDA_GARBLED, f"no answer to jobs: {str(answer)[:200]}") from None


def tasks_of(job: Job, answer: object) -> Iterator[tuple[int, int]]:
    """Number and id of the job's tasks in an answer to `getJobIDsJediTasksInTimeRange`."""
    tasks = answer.values() if isinstance(answer, dict) else ()
    for task in tasks:
        name, task_id = str(task.get("taskName")), _integer(task.get("jediTaskID"))
        digits = name.rpartition(".")[2]
        if task_id and digits.isdecimal() and name == task_name(job, int(digits)):
            yield int(digits), task_id


def inputs_of(params: object) -> tuple[str, ...]:
    """The pseudo-inputs in an answer to `getTaskParamsMap`: an object; of older servers its text. Raises `IodError`."""
    try:
        found = json.loads(params) if isinstance(params, str) else params
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise IodError(Trouble.PANDA_GARBLED, f"no parameters of a task: {str(params)[:200]}")
    return tuple(map(str, found.get("pfnList") or ()))


def was_taken(answer: object) -> bool:
    """Whether a command for a task was registered: `(True, ...)` or code 0 with its message."""
    return isinstance(answer, (list, tuple)) and len(answer) == 2 and answer[0] in {True, 0} and answer[0] is not False


def state_of_task(status: object) -> State:
    """Of a task, from its status."""
    if not isinstance(status, str):
        raise IodError(Trouble.PANDA_GARBLED, f"no status of a task: {str(status)[:200]}")
    return _TASK_STATES.get(status, State.WAITING)


def state_of_job(status: object) -> State:
    """Of a job, from its status."""
    return _JOB_STATES.get(str(status), State.WAITING)


def facts_of(job: Mapping[str, Any]) -> JobFacts:
    """One job of a list of descriptions."""
    state = state_of_job(job.get("jobStatus"))
    failure, reason = why_failed(job) if state is State.FAILED else (None, "")
    return JobFacts(
        panda_id=_integer(job.get("PandaID")),
        select=_select_of(job),
        state=state,
        attempt=_integer(job.get("attemptNr")),
        failure=failure,
        reason=reason,
        where=str(job.get("computingSite") or ""),
        cpu_s=float(_integer(job.get("cpuConsumptionTime"))),
    )


def latest(jobs: Iterable[Mapping[str, Any]]) -> dict[str, JobFacts]:
    """Of each select its newest job: a retry has a higher number."""
    found: dict[str, JobFacts] = {}
    for job in jobs:
        facts = facts_of(job)
        if facts.select and (facts.select not in found or found[facts.select].panda_id < facts.panda_id):
            found[facts.select] = facts
    return found


def why_failed(job: Mapping[str, Any]) -> tuple[Failure | None, str]:
    """The row of our table that a failed job ended with, if it was ours, and a sentence."""
    for code_key, diag_key in (("exeErrorCode", "exeErrorDiag"), ("transExitCode", "exeErrorDiag")):
        failure = _BY_CODE.get(_integer(job.get(code_key)))
        if failure is not None:
            diag = str(job.get(diag_key) or job.get("pilotErrorDiag") or failure.meaning)
            return failure, diag.removeprefix(f"{failure.name}: ")
    for source in ("pilot", "ddm", "brokerage", "jobDispatcher", "taskBuffer", "sup", "exe"):
        code = _integer(job.get(f"{source}ErrorCode"))
        if code and code != _PAYLOAD_FAILED:
            return None, f"{source} error {code}: {job.get(f'{source}ErrorDiag') or 'no reason given'}"
    return None, str(job.get("pilotErrorDiag") or "no reason given")


def _select_of(job: Mapping[str, Any]) -> str:
    """Its pseudo-input; else what its parameters say."""
    for file in job.get("Files") or ():
        lfn = str(file.get("lfn") or "")
        if file.get("type") in {"input", "pseudo_input"} and lfn.startswith("v") and ":" in lfn:
            return lfn
    found = _SELECT.search(str(job.get("jobParameters") or ""))
    return found[1] if found else ""


def _integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0
