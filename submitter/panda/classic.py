"""A request as classic PanDA jobs, with the field rules of the `lsstSubmit` of 2014. Pure.

One job for each `--select`. PIPELINE_STREAM is its number within the request, PIPELINE_EXECUTIONNUMBER which try it is:
PanDA does not try payloads of classic jobs again, so `iod watch` submits those that failed with the next number.
"""

from __future__ import annotations

import base64
from typing import Any

from submitter.jobs import Job
from submitter.naming import instance_of
from submitter.panda.tasks import Place
from submitter.settings import PandaSettings

MOST_JOBS = 5_000
"""Jobs of one call: the server drops what is beyond."""
MOST_EXECUTIONS = 3
VO = "lsst"
SCOPE = "panda"
"""The log file needs one, or the pilot raises."""


def job_fields(
    job: Job, spec: bytes, select: str, stream: int, execution: int, place: Place, settings: PandaSettings
) -> dict[str, Any]:
    """One job: the fields of a `JobSpec`, and under `files` those of its `FileSpec`s."""
    instance = instance_of(job.name)
    name = f"job.{instance}.{job.task}.{execution}.{job.user}.{stream}"
    dataset = f"panda.lsst.user.{instance}.{job.task}.{job.user}"
    fields: dict[str, Any] = {
        "jobDefinitionID": stream,
        "jobName": name,
        "transformation": settings.transformation,
        "destinationDBlock": dataset,
        "destinationSE": "local",
        "currentPriority": 1000,
        "prodSourceLabel": "panda",
        "jobParameters": job_parameters(job, spec, select, stream, execution, place),
        "prodUserName": job.user,
        "taskID": instance,
        "attemptNr": execution,
        "processingType": job.task,
        "computingSite": place.queue,
        "VO": VO,
        "coreCount": job.share.cores or 1,
        "minRamCount": job.share.memory_mb or 2000,
        "maxWalltime": place.most_wall_s,
    }
    return {**fields, "files": [_log(name, dataset)]}


def _log(name: str, dataset: str) -> dict[str, str]:
    return {
        "lfn": f"{name}.job.log.tgz",
        "destinationDBlock": dataset,
        "destinationSE": "local",
        "dataset": dataset,
        "type": "log",
        "scope": SCOPE,
    }


def job_parameters(job: Job, spec: bytes, select: str, stream: int, execution: int, place: Place) -> str:
    """The arguments of `lsst-trf.sh` in the form of 2014, the spec inline."""
    inline = base64.b64encode(spec).decode("ascii")
    pairs = {
        "DP_USER": job.user,
        "PIPELINE_USER": job.user,
        "PIPELINE_TASK": job.task,
        "PIPELINE_PROCESSINSTANCE": instance_of(job.name),
        "PIPELINE_EXECUTIONNUMBER": execution,
        "PIPELINE_STREAM": stream,
        "JOB_SPEC": f"data:;base64,{inline}",
    }
    words = [
        f'--lsstJobParams="{"|".join(f"{key}={value}" for key, value in pairs.items())}"',
        f'--site="{place.site}"',
        f'--select="{select}"',
    ]
    if job.share.cores is not None:
        words.append(f"--cores={job.share.cores}")
    if job.share.memory_mb is not None:
        words.append(f"--memory-mb={job.share.memory_mb}")
    return f" {' '.join(words)} "
