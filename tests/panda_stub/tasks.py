"""What the server knows: tasks, jobs, and what a brokerage and pilots would do with them."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_JOBS = 5_000
_ENDED = {"finished", "done", "failed", "aborted", "broken"}
_RETRIED = {"finished", "failed", "exhausted"}


def answer(success: bool, message: str = "", data: Any = None) -> dict[str, Any]:
    """The envelope of every method."""
    return {"success": success, "message": message, "data": data}


@dataclass(slots=True, kw_only=True)
class StubJob:
    """One PanDA job, as its fields."""

    fields: dict[str, Any]
    task_id: int | None = None
    select: str = ""

    @property
    def panda_id(self) -> int:
        return int(self.fields["PandaID"])

    @property
    def status(self) -> str:
        return str(self.fields["jobStatus"])


@dataclass(slots=True, kw_only=True)
class StubTask:
    """One JEDI task."""

    id: int
    params: dict[str, Any]
    status: str = "registered"
    attempts: dict[str, int] = field(default_factory=dict)
    """Of each input, how often it was tried."""
    final: set[str] = field(default_factory=set)
    """Inputs that are not tried again."""


class Server:
    """Tables and their rules; safe for threads."""

    def __init__(self) -> None:
        self.tasks: dict[int, StubTask] = {}
        self.lags = False
        """JEDI looks at new tasks and commands only when it catches up, as the real one does after some seconds."""
        self._unseen: set[int] = set()
        self._to_retry: set[int] = set()
        self.jobs: dict[int, StubJob] = {}
        self._lock = threading.RLock()
        self._next_job = 1_000

    # ------------------------------------------------------------ tasks
    def submit_task(self, params: dict[str, Any]) -> dict[str, Any]:
        """`insertTaskParamsPanda`: a unique name is taken once while its task is active."""
        with self._lock:
            missing = {"taskName", "vo", "prodSourceLabel", "jobParameters", "transPath"} - params.keys()
            if missing:
                return answer(False, f"failed to insert: {min(missing)}", 4)
            for task in self.tasks.values():
                if params.get("uniqueTaskName") and task.params["taskName"] == params["taskName"]:
                    if task.status not in _ENDED:
                        state = f"is in the {task.status} state for outDS={params['taskName']}. "
                        return answer(False, f"jediTaskID={task.id} {state}You can re-submit the task later", 2)
                    return answer(True, f"reactivation accepted. jediTaskID={task.id} (currently in {task.status})", 3)
            task = StubTask(id=len(self.tasks) + 1, params=params)
            self.tasks[task.id] = task
            if self.lags:
                self._unseen.add(task.id)
            return answer(True, f"succeeded. new jediTaskID={task.id}", task.id)

    def task_status(self, task_id: int) -> dict[str, Any]:
        """`task/get_status`."""
        task = self._seen(task_id)
        return answer(False, "Task not found") if task is None else answer(True, data=task.status)

    def task_parameters(self, task_id: int) -> dict[str, Any]:
        """`task/get_task_parameters`."""
        return answer(True, data=self.tasks[task_id].params)

    def command(self, task_id: int, word: str) -> dict[str, Any]:
        """`sendCommandTaskPanda`: which states take which command, and the server's words."""
        with self._lock:
            task = self._seen(task_id)
            if task is None:
                return answer(False, f"jediTaskID={task_id} not found", 2)
            if (word == "kill") == (task.status in _ENDED) and (word == "kill" or task.status not in _RETRIED):
                status = f"is not accepted if the task is in {task.status} status "
                return answer(False, f"Command rejected: the {word} command {status}", 4)
            if word == "kill":
                task.status = "aborted"
                for job in self.jobs_of(task_id):
                    if job.status not in {"finished", "failed"}:
                        job.fields["jobStatus"] = "cancelled"
            else:
                self._to_retry.add(task_id)
                if not self.lags:
                    self.catch_up()
            return answer(True, f"command={word} is registered. will be executed in a few minutes", 0)

    def catch_up(self) -> None:
        """JEDI picks up new tasks and carries out commands."""
        with self._lock:
            self._unseen.clear()
            for task in map(self.tasks.__getitem__, self._to_retry):
                task.status = "ready"
                task.attempts = dict.fromkeys(task.attempts, 0)
                task.final.clear()
            self._to_retry.clear()

    def _seen(self, task_id: int) -> StubTask | None:
        return None if task_id in self._unseen else self.tasks.get(task_id)

    def job_descriptions(self, task_id: int) -> dict[str, Any]:
        """`task/get_job_descriptions`."""
        return answer(True, data=[self._described(job) for job in self.jobs_of(task_id)])

    def tasks_since(self, _since: str) -> dict[str, Any]:
        """`task/get_tasks_modified_since`, by request id."""
        found = {
            task.params.get("reqID", task.id): {
                "jediTaskID": task.id, "status": task.status, "taskName": task.params["taskName"],
                "reqID": task.params.get("reqID"),
            }
            for task in self.tasks.values()
        }  # fmt: skip
        return answer(True, data=found)

    def jobs_of(self, task_id: int) -> list[StubJob]:
        """A task's jobs, old attempts included."""
        return [job for job in self.jobs.values() if job.task_id == task_id]

    # ------------------------------------------------------------ classic jobs
    def submit_jobs(self, text: str) -> dict[str, Any]:
        """`job/submit`: a JSON text with a list of states, which `JobSpec` of the client writes."""
        from pandaclient import JobSpec

        try:
            states = json.loads(text)
        except ValueError as error:
            return answer(False, f"Failed to deserialize jobs: {error}")
        names = JobSpec.JobSpec._attributes
        accepted = []
        with self._lock:
            for state in states[:MOST_JOBS]:
                fields = {name: None if value == "NULL" else value for name, value in zip(names, state, strict=False)}
                fields["jobStatus"] = "activated"
                job = self._add_job(fields, files=state[-1])
                accepted.append([job.panda_id, fields["jobDefinitionID"], {"jobsetID": fields["jobName"]}])
        return answer(True, data=accepted) if accepted else answer(False, "No jobs were submitted")

    def describe(self, ids: Sequence[int]) -> dict[str, Any]:
        """`job/get_description`."""
        known = [self.jobs.get(panda_id) for panda_id in ids]
        unknown = {"jobStatus": "unknown", "Files": []}
        return answer(
            True,
            data=[
                unknown | {"PandaID": i} if j is None else self._described(j) for i, j in zip(ids, known, strict=True)
            ],
        )

    def kill_jobs(self, ids: Sequence[int]) -> dict[str, Any]:
        """`job/kill`."""
        for panda_id in ids:
            job = self.jobs.get(panda_id)
            if job is not None and job.status not in {"finished", "failed"}:
                job.fields["jobStatus"] = "cancelled"
        return answer(True, data=[panda_id in self.jobs for panda_id in ids])

    # ------------------------------------------------------------ what brokerage and pilots do
    def generate_jobs(self, task_id: int) -> list[StubJob]:
        """One job for each input that is not done and may be tried."""
        with self._lock:
            task = self.tasks[task_id]
            jobs = []
            for select in task.params["pfnList"]:
                active = [job for job in self.jobs_of(task_id) if job.select == select]
                if any(job.status not in {"failed", "cancelled"} for job in active) or select in task.final:
                    continue
                if task.attempts.get(select, 0) >= task.params["maxAttempt"]:
                    continue
                task.attempts[select] = task.attempts.get(select, 0) + 1
                (parameter,) = task.params["jobParameters"]
                fields = {
                    "jobStatus": "activated", "attemptNr": task.attempts[select], "jediTaskID": task_id,
                    "computingSite": task.params["site"], "transformation": task.params["transPath"],
                    "jobParameters": parameter["value"].replace("${IN/L}", select), "jobName": f"job-{select}",
                }  # fmt: skip
                job = self._add_job(fields, files=[])
                job.task_id, job.select = task_id, select
                jobs.append(job)
            task.status = "running" if jobs else task.status
            return jobs

    def end_job(self, job: StubJob, exit_code: int, diagnosis: str = "", *, no_retry: bool = False) -> None:
        """A pilot reports the end of a payload."""
        with self._lock:
            if exit_code == 0:
                job.fields["jobStatus"] = "finished"
            else:
                job.fields.update(
                    jobStatus="failed", transExitCode=str(exit_code), exeErrorCode=exit_code, exeErrorDiag=diagnosis,
                    pilotErrorCode=1305, pilotErrorDiag=diagnosis,
                )  # fmt: skip
            if job.task_id is not None and no_retry:
                self.tasks[job.task_id].final.add(job.select)

    def settle_task(self, task_id: int) -> str:
        """The status that follows from the task's jobs, once no input may be tried again."""
        with self._lock:
            task = self.tasks[task_id]
            jobs = self.jobs_of(task_id)
            good = {job.select for job in jobs if job.status == "finished"}
            if all(job.status in {"finished", "failed", "cancelled"} for job in jobs) and task.status != "aborted":
                everything = len(good) == len(task.params["pfnList"])
                task.status = "done" if everything else "finished" if good else "failed"
            return task.status

    def _add_job(self, fields: dict[str, Any], files: Sequence[Any]) -> StubJob:
        self._next_job += 1
        del files
        job = StubJob(fields={**fields, "PandaID": self._next_job})
        self.jobs[self._next_job] = job
        return job

    def _described(self, job: StubJob) -> dict[str, Any]:
        from pandaclient import JobSpec

        files = [{"type": "pseudo_input", "lfn": job.select}] if job.select else []
        return {**dict.fromkeys(JobSpec.JobSpec._attributes), **job.fields, "Files": files}
