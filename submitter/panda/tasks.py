"""A request as JEDI tasks: what `Client.insertTaskParams` is given. Pure.

Fields and their forms: those that were seen to run with panda-server 0.8.1 and its JEDI, and that ctrl_bps_panda sends.
One pseudo-input stands for one PanDA job: it is the value of `--select`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from submitter.jobs import Job
from submitter.naming import instance_of
from submitter.settings import PandaSettings

MOST_INPUTS = 10_000
"""Pseudo-inputs of one task, and so of one call."""
LONGEST_SPEC = 60_000
"""Characters of a spec in the command line of a job: Linux takes 131,072 in one word, and base64 adds a third."""
ATTEMPTS = 3
_LONGEST_TASK_NAME = 120
_SECONDS_PER_HOUR = 3600
_REQUEST_NUMBERS = 1_000_000_000
"""JEDI's tables hold nine digits."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the jobs of a request are to run."""

    site: str
    """What `lsst-trf --site` is given."""
    queue: str
    cloud: str
    label: str
    """`prodSourceLabel` that its queues take."""
    most_wall_s: int


class TaskDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A task in the making: its jobs, and the part of the request that they need."""

    selects: tuple[str, ...]
    spec: bytes


def draft_tasks(job: Job, selects: Iterable[str], *, most_inputs: int = MOST_INPUTS) -> Iterator[TaskDraft]:
    """The request in tasks that the server takes, one after the other, never all in memory."""
    document: dict[str, Any] = msgspec.json.decode(job.spec)
    items = document.get("visits")
    if items is None:
        yield from (TaskDraft(selects=chunk, spec=job.spec) for chunk in _chunks(selects, most_inputs))
        return
    place = {visit: at for at, (visit, _) in enumerate(job.plan.visits)}
    lengths = [len(msgspec.json.encode(item)) + 1 for item in items]
    bare = len(job.spec) - sum(lengths)
    taken: list[str] = []
    visits: dict[int, None] = {}
    length = bare
    for select in selects:
        at = place[visit_of(select)]
        more = 0 if at in visits else lengths[at]
        if taken and (len(taken) == most_inputs or length + more > LONGEST_SPEC):
            yield TaskDraft(selects=tuple(taken), spec=_part_of(document, items, visits))
            taken, visits, length, more = [], {}, bare, lengths[at]
        taken.append(select)
        visits[at] = None
        length += more
    if taken:
        yield TaskDraft(selects=tuple(taken), spec=_part_of(document, items, visits))


def task_params(job: Job, draft: TaskDraft, number: int, place: Place, settings: PandaSettings) -> dict[str, Any]:
    """One task as the server wants it."""
    params: dict[str, Any] = {
        "taskName": task_name(job, number),
        "uniqueTaskName": True,
        "userName": job.user,
        "vo": settings.vo,
        "prodSourceLabel": place.label,
        "taskType": settings.task_type,
        "processingType": "imsim",
        "taskPriority": settings.priority,
        "reqID": request_number(job, number),
        "architecture": "",
        "transUses": "",
        "transHome": None,
        "transPath": settings.transformation,
        **_resources(job, place),
        "maxAttempt": ATTEMPTS,
        "maxFailure": ATTEMPTS,
        "skipScout": True,
        "noInput": True,
        "pfnList": list(draft.selects),
        "nFiles": len(draft.selects),
        "nFilesPerJob": 1,
        "log": _log(dataset_name(job), number),
        "jobParameters": [{"type": "constant", "value": command_line(job, draft.spec, place, "${IN/L}")}],
    }
    if settings.working_group is not None:
        params["workingGroup"] = settings.working_group
    return params


def _resources(job: Job, place: Place) -> dict[str, Any]:
    cores, memory_mb = job.share.cores or 1, job.share.memory_mb or 2000
    return {
        "site": place.queue,
        "cloud": place.cloud,
        "coreCount": cores,
        "ramCount": -(-memory_mb // cores),
        "ramUnit": "MBPerCoreFixed",
        "maxWalltime": place.most_wall_s,
    }


def _log(dataset: str, number: int) -> dict[str, Any]:
    """Of each job's log tarball; `local` keeps PanDA from registering it anywhere."""
    place = {"token": "local", "destination": "local", "dataset": dataset}
    return {"type": "template", "param_type": "log", **place, "value": f"{dataset}.{number:03d}.${{SN}}.log.tgz"}


def command_line(job: Job, spec: bytes, place: Place, select: str) -> str:
    """The arguments of `lsst-trf.sh`, as text for the shell of a pilot.

    Every value is of letters that mean nothing within double quotes: base64, names, `v161899:R22,...`, or JEDI's
    `${IN/L}`, which is filled in before.
    """
    inline = base64.b64encode(spec).decode("ascii")
    words = [f'--job="data:;base64,{inline}"', f'--site="{place.site}"', f'--select="{select}"']
    if job.share.cores is not None:
        words.append(f"--cores={job.share.cores}")
    if job.share.memory_mb is not None:
        words.append(f"--memory-mb={job.share.memory_mb}")
    return " ".join(words)


def task_name(job: Job, number: int) -> str:
    """`imsim.<instance>.<task>.<user>.<tag>`, the tag being the job's name and the task's number within it."""
    name = f"imsim.{instance_of(job.name)}.{job.task}.{job.user}.{job.name}.{number:03d}"
    return name if len(name) <= _LONGEST_TASK_NAME else f"imsim.{job.user[:20]}.{job.name[-80:]}.{number:03d}"


def request_number(job: Job, number: int) -> int:
    """PROCESSINSTANCE for the first task. The server lists tasks by it, so others have their own, of nine digits."""
    instance = instance_of(job.name)
    return instance if number == 1 else (instance * 1000 + number) % _REQUEST_NUMBERS


def dataset_name(job: Job) -> str:
    """What PanDA's own log tarballs are called after."""
    return f"panda.imsim.{job.user}.{job.name}"


def visit_of(select: str) -> str:
    """`161899` of `v161899:R22_S11,v161899:R22_S12`."""
    return select.partition(":")[0].removeprefix("v")


def longest_wall_s(job_hours: float, queue_hours: float | None) -> int:
    """What a job may last, for PanDA: what the queue allows, else twice what it should."""
    return round((queue_hours or 2.0 * job_hours) * _SECONDS_PER_HOUR)


def _chunks(selects: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    taken: list[str] = []
    for select in selects:
        taken.append(select)
        if len(taken) == size:
            yield tuple(taken)
            taken = []
    if taken:
        yield tuple(taken)


def _part_of(document: Mapping[str, Any], items: Sequence[Any], visits: Iterable[int]) -> bytes:
    return msgspec.json.encode({**document, "visits": [items[at] for at in visits]})
