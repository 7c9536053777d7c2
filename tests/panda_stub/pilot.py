"""What a pilot does with a job: run its command line in a shell, in a folder of its own, and report how it ended."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.panda_stub.tasks import Server, StubJob
from transformation.model.failures import Failure

TIME_LIMIT_S = 120
_NO_RETRY = {failure.code for failure in Failure if failure.needs_a_person}
"""As the retry rules say that are generated from the failure table."""


def run_job(server: Server, job: StubJob, folder: Path, environment: Mapping[str, str]) -> int:
    """Run one job as pilot 3 does (`clean__jobparams`, then bash); the exit code."""
    workdir = folder / f"PanDA_Pilot-{job.panda_id}"
    workdir.mkdir(parents=True)
    job.fields["jobStatus"] = "running"
    words = shlex.split(job.fields["jobParameters"])
    trf = f"{shlex.quote(sys.executable)} -m transformation"
    command = f"{trf} run {shlex.join(words)} --workdir ."
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=workdir,
        env={**os.environ, **environment, "PANDAID": str(job.panda_id), "PanDA_TaskID": str(job.task_id or 0)},
        capture_output=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    report = workdir / "payload_error_report.json"
    diagnosis = json.loads(report.read_bytes())["error_diag"] if report.exists() else ""
    server.end_job(job, done.returncode, diagnosis, no_retry=done.returncode in _NO_RETRY)
    return done.returncode


def run_task(server: Server, task_id: int, folder: Path, environment: Mapping[str, str]) -> str:
    """All jobs of a task, each as often as JEDI would try it; the task's status then."""
    while jobs := server.generate_jobs(task_id):
        for job in jobs:
            run_job(server, job, folder, environment)
    return server.settle_task(task_id)
