"""Requests as JEDI tasks, which try their jobs up to three times by the retry rules of the failure table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice

from msgspec.structs import replace

from submitter.backends import UnitState
from submitter.jobs import Job, Part, State
from submitter.panda.answers import JobFacts, inputs_of, latest, state_of_task, task_id_of, tasks_of, was_taken
from submitter.panda.backend import PandaBackend, shortened
from submitter.panda.tasks import TaskDraft, draft_tasks, task_params
from submitter.troubles import IodError, Trouble
from transformation.model.failures import Failure

_MOST_JOBS_ASKED = 2_000
"""Of a larger task the jobs are not asked for one by one: their descriptions are 4 kB each."""
_CLOCKS_DIFFER_S = 86_400.0
_LONGEST_WORD = 120_000
"""Characters of base64 that a command line takes."""
_BY_PANDA = "PanDA says that the task is"
_NOT_FOUND = "not found"
"""In the words of the server for a task that it has taken, but JEDI has not picked up yet: some seconds."""
_PICKED_UP_S = 120.0
_COMMAND_S = 600.0
"""JEDI does what it is told after "a few minutes"; until then it shows the old end of a task that is to be retried."""
_LOOK_S = 2.0


class TaskBackend(PandaBackend):
    """See `Backend`."""

    def hand_over(self, job: Job, selects: Iterable[str]) -> None:
        """One call a task. A task that a lost answer hides is found by its name, which the server takes only once."""
        handed_over = {part.number for part in self.store.parts(job.id)}
        for number, draft in enumerate(draft_tasks(job, selects), start=1):
            if number not in handed_over:
                self._insert(job, draft, number)

    def dry_run(self, job: Job, selects: Iterable[str]) -> list[dict[str, object]]:
        """The first tasks."""
        place, settings = self.place(job), self.settings.panda
        drafts = enumerate(draft_tasks(job, selects), start=1)
        return [shortened(task_params(job, draft, number, place, settings)) for number, draft in islice(drafts, 3)]

    def renew(self, job: Job) -> None:
        """One short question for each task that is not over."""
        parts = [part for part in self.store.parts(job.id) if not part.replaced and not part.state.over]
        changed = [self._renewed(job, part) for part in parts if part.remote_id]
        if changed:
            self.store.settle_parts(job.id, changed)

    def kill(self, job: Job) -> None:
        """See `Backend.kill`: registered at the server, which takes a few minutes."""
        if not self.store.parts(job.id):
            # An answer that was lost may hide a task; of a server that is away nobody can know.
            with suppress(IodError):
                self.find(job)
        self.store.ask_to_kill(job.id)
        for part in self.store.parts(job.id):
            if part.kill_asked and part.remote_id and not part.state.over:
                self._kill(job, part)
        self.store.end_killed_parts(job.id)

    def rerun(self, job: Job, *, failed_only: bool) -> None:
        """PanDA's own retry for tasks that have failed inputs; a new task for what no task works on any more."""
        parts = [part for part in self.store.parts(job.id) if not part.replaced]
        if any(not part.state.over for part in parts):
            raise IodError(Trouble.NOT_POSSIBLE, f"{job.name} is {job.state}")
        again = [part for part in parts if part.state in {State.FAILED, State.PARTIAL} and self._retried(job, part)]
        believed_s = time.time() + _COMMAND_S
        self.store.revive_parts(job.id, [replace(part, not_before_s=believed_s) for part in again])
        taken = {unit for part in again for unit in self.units_of(job, part.selects)}
        states = {unit.id: unit.state for unit in self.units(job, parts).values()}
        done = self.done_units(job) | taken
        failed = {unit for unit, state in states.items() if state == "failed"} if failed_only else None
        number = max((part.number for part in self.store.parts(job.id)), default=0)
        for draft in draft_tasks(job, self.missing_selects(job, done, only=failed)):
            number += 1
            self._insert(job, draft, number)
        self.store.replace_old(
            job.id, [part.id for part in parts if part not in again and part.state is not State.DONE]
        )

    def tend(self, jobs: Sequence[Job]) -> list[str]:
        """JEDI needs nobody."""
        self.refresh(jobs)
        return []

    def find(self, job: Job) -> None:
        """Tasks of the job's name, among the user's tasks since it was submitted."""
        since = datetime.fromtimestamp(job.submitted_s - _CLOCKS_DIFFER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
        answer = self.gateway(job).ask(
            "getJobIDsJediTasksInTimeRange", timeRange=since, task_type=self.place(job).label
        )
        numbers = {part.number for part in self.store.parts(job.id)}
        for number, task in tasks_of(job, answer):
            if number not in numbers:
                selects = inputs_of(self.gateway(job).ask("getTaskParamsMap", jediTaskID=task))
                self.note_parts(job, [Part(job_id=job.id, number=number, selects=selects, remote_id=task, attempt=1)])

    def units(self, job: Job, parts: Sequence[Part]) -> dict[str, UnitState]:
        """From the jobs of its tasks."""
        found: dict[str, UnitState] = {}
        for part in parts:
            if part.remote_id and len(part.selects) <= _MOST_JOBS_ASKED and part.state is not State.WAITING:
                found.update(self.unit_states(job, self._jobs(job, part)))
        return found

    def logs(self, job: Job, unit: str | None) -> list[str]:
        """Pages of the monitor, which has the log tarballs of jobs."""
        parts = self.store.parts(job.id)
        if unit is None:
            return self.links(job, parts)
        found = self.units(job, parts).get(unit)
        return [found.log] if found and found.log else []

    def links(self, job: Job, parts: Sequence[Part]) -> list[str]:
        """Pages of its tasks."""
        del job
        return [self.task_page(part.remote_id) for part in parts if part.remote_id and not part.replaced]

    def _insert(self, job: Job, draft: TaskDraft, number: int) -> None:
        params = task_params(job, draft, number, self.place(job), self.settings.panda)
        if len(params["jobParameters"][0]["value"]) > _LONGEST_WORD:
            detail = "the request is too long for a command line: put inline commands into a file that workers reach"
            raise IodError(Failure.SPEC_INVALID, detail)
        task_id = task_id_of(self.gateway(job).ask("insertTaskParams", taskParams=params))
        part = Part(job_id=job.id, number=number, selects=draft.selects, remote_id=task_id, attempt=1)
        self.note_parts(job, [part])

    def _kill(self, job: Job, part: Part) -> None:
        end = time.monotonic() + _PICKED_UP_S
        while True:
            answer = self.gateway(job).ask("killTask", jediTaskID=part.remote_id)
            if was_taken(answer) or self._renewed(job, part).state.over:
                return
            if _NOT_FOUND not in str(answer) or time.monotonic() > end:
                raise IodError(Trouble.PANDA_REFUSED, f"task {part.remote_id} was not ended: {answer[1]}")
            time.sleep(_LOOK_S)

    def _renewed(self, job: Job, part: Part) -> Part:
        try:
            status = self.gateway(job).glance("getTaskStatus", jediTaskID=part.remote_id)
        except IodError as error:
            if error.row is not Trouble.PANDA_REFUSED or _NOT_FOUND not in error.detail:
                raise
            return part
        state = state_of_task(status)
        if not state.over:
            return replace(part, state=state, not_before_s=0.0)
        if state is not State.DONE and time.time() < part.not_before_s:
            return replace(part, state=State.WAITING)
        message = "" if state is State.DONE else f"{_BY_PANDA} {status}"
        return self.over(job, part, state, message)

    def _retried(self, job: Job, part: Part) -> bool:
        """Whether the server takes the task up again; a task that is being retried is so already."""
        answer = self.gateway(job).ask("retryTask", jediTaskID=part.remote_id)
        return was_taken(answer)

    def _jobs(self, job: Job, part: Part) -> list[JobFacts]:
        """The newest job of each of its inputs; a failed one that JEDI will try again is waiting."""
        answer = self.gateway(job).glance("get_job_descriptions", task_id=part.remote_id)
        facts = latest(answer or ()).values()
        if part.state.over:
            return list(facts)
        return [replace(one, state=State.WAITING) if one.state is State.FAILED else one for one in facts]
