"""Requests as classic PanDA jobs, one part each. PanDA does not try their payloads again; we do, up to three times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec.structs import replace

from submitter.backends import UnitState
from submitter.jobs import Job, Part, State
from submitter.panda.answers import JobFacts, job_ids_of, state_of_job, why_failed
from submitter.panda.backend import PandaBackend
from submitter.panda.classic import MOST_EXECUTIONS, MOST_JOBS, job_fields
from submitter.panda.tasks import draft_tasks
from submitter.troubles import IodError, Trouble
from transformation.model.failures import Failure

_BY_CODE = {failure.code: failure for failure in Failure}


class ClassicBackend(PandaBackend):
    """See `Backend`."""

    def hand_over(self, job: Job, selects: Iterable[str]) -> None:
        """At most 5,000 jobs a call."""
        n_known = len(self.store.parts(job.id))
        remaining = islice(selects, n_known, None)
        while chunk := tuple(islice(remaining, MOST_JOBS)):
            parts = [
                Part(job_id=job.id, number=n_known + at, selects=(select,), attempt=1)
                for at, select in enumerate(chunk, start=1)
            ]
            ids = self._submit(job, parts)
            self.note_parts(job, [replace(part, remote_id=panda_id) for part, panda_id in zip(parts, ids, strict=True)])
            n_known += len(parts)

    def dry_run(self, job: Job, selects: Iterable[str]) -> list[dict[str, object]]:
        """The first jobs."""
        parts = [Part(job_id=0, number=at, selects=(one,), attempt=1) for at, one in enumerate(islice(selects, 3), 1)]
        return list(self._fields(job, parts))

    def renew(self, job: Job) -> None:
        """Ask for all that are not over, many in one call."""
        parts = [part for part in self.store.parts(job.id) if not part.replaced and not part.state.over]
        known = {part.remote_id: part for part in parts if part.remote_id}
        changed = []
        for chunk in _chunks(list(known), MOST_JOBS):
            found = self._descriptions(job, chunk)
            changed += [self._renewed(job, known[panda_id], found.get(panda_id)) for panda_id in chunk]
        if changed:
            self.store.settle_parts(job.id, changed)

    def kill(self, job: Job) -> None:
        """See `Backend.kill`."""
        self.store.ask_to_kill(job.id)
        ids = [part.remote_id for part in self.store.parts(job.id) if not part.state.over and part.remote_id]
        for chunk in _chunks(ids, MOST_JOBS):
            self.gateway(job).ask("killJobs", ids=list(chunk))
        self.store.end_killed_parts(job.id)

    def rerun(self, job: Job, *, failed_only: bool) -> None:
        """The next execution of jobs that did not make it."""
        parts = [part for part in self.store.parts(job.id) if not part.replaced]
        if any(not part.state.over for part in parts):
            raise IodError(Trouble.NOT_POSSIBLE, f"{job.name} is {job.state}")
        if not parts:
            self.hand_over(job, self.missing_selects(job, self.done_units(job)))
        wanted = {State.FAILED, State.PARTIAL} if failed_only else {state for state in State if state.unfinished}
        self._submit_again(job, [part for part in parts if part.state in wanted])

    def tend(self, jobs: Sequence[Job]) -> list[str]:
        """Submit again what failed and may succeed, until it was tried three times."""
        self.refresh(jobs)
        lines = []
        for job in jobs:
            parts = [part for part in self.store.parts(job.id) if not part.replaced and _may_succeed(part)]
            if parts:
                self._submit_again(job, parts)
                lines.append(f"{job.name}: {len(parts)} jobs were submitted again")
        return lines

    def find(self, job: Job) -> None:
        """PanDA lists no classic jobs by name: what the destination does not name is lost."""

    def units(self, job: Job, parts: Sequence[Part]) -> dict[str, UnitState]:
        """A part is a job."""
        return self.unit_states(job, [_facts(part) for part in parts if not part.replaced])

    def logs(self, job: Job, unit: str | None) -> list[str]:
        """Pages of the monitor, which has the log tarballs of jobs."""
        parts = self.store.parts(job.id)
        if unit is None:
            return self.links(job, parts)
        found = self.units(job, parts).get(unit)
        return [found.log] if found and found.log else []

    def links(self, job: Job, parts: Sequence[Part]) -> list[str]:
        """Pages of its jobs, the first few."""
        del job
        pages = (self.job_page(part.remote_id) for part in parts if part.remote_id and not part.replaced)
        return list(islice(pages, 20))

    def _submit(self, job: Job, parts: Sequence[Part]) -> list[int]:
        answer = self.gateway(job).ask("submitJobs", jobs=list(self._fields(job, parts)))
        return job_ids_of(answer, len(parts))

    def _submit_again(self, job: Job, parts: Sequence[Part]) -> None:
        for chunk in _chunks(list(parts), MOST_JOBS):
            again = [
                replace(part, state=State.WAITING, attempt=part.attempt + 1, message="", exit_code=None, ended_s=None)
                for part in chunk
            ]
            ids = self._submit(job, again)
            submitted = [replace(part, remote_id=panda_id) for part, panda_id in zip(again, ids, strict=True)]
            self.store.revive_parts(job.id, submitted)
            self.note_elsewhere(job, submitted)

    def _fields(self, job: Job, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
        """Each job gets of the request what it needs: its own visit."""
        place, settings = self.place(job), self.settings.panda
        drafts = draft_tasks(job, (part.selects[0] for part in parts), most_inputs=1)
        for part, draft in zip(parts, drafts, strict=True):
            yield job_fields(job, draft.spec, part.selects[0], part.number, part.attempt, place, settings)

    def _descriptions(self, job: Job, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Jobs by id; the archive is asked for those that the server no longer has at hand."""
        found: dict[int, dict[str, Any]] = {}
        for call in ("getJobStatus", "getFullJobStatus"):
            missing = [panda_id for panda_id in ids if panda_id not in found]
            if missing:
                answer = self.gateway(job).glance(call, ids=missing)
                found |= {int(one["PandaID"]): one for one in answer or () if one and _is_known(one)}
        return found

    def _renewed(self, job: Job, part: Part, fields: dict[str, Any] | None) -> Part:
        if fields is None:
            return part
        state = state_of_job(fields.get("jobStatus"))
        part = replace(part, state=state, where=str(fields.get("computingSite") or ""))
        if not state.over:
            return part
        failure, reason = why_failed(fields) if state is State.FAILED else (None, "")
        message = f"{failure.name}: {reason}" if failure else reason
        return replace(self.over(job, part, state, message), exit_code=failure.code if failure else None)


def _may_succeed(part: Part) -> bool:
    failure = _BY_CODE.get(part.exit_code or 0)
    final = failure is not None and failure.needs_a_person
    return part.state is State.FAILED and part.attempt < MOST_EXECUTIONS and not final


def _facts(part: Part) -> JobFacts:
    failure = _BY_CODE.get(part.exit_code or 0)
    return JobFacts(
        panda_id=part.remote_id or 0,
        select=part.selects[0],
        state=part.state,
        attempt=part.attempt,
        failure=failure,
        reason=part.message.removeprefix(f"{failure.name}: ") if failure else part.message,
        where=part.where,
        cpu_s=0.0,
    )


def _is_known(job: dict[str, Any]) -> bool:
    """The server answers `unknown` for ids that it does not have."""
    return job.get("jobStatus") not in {None, "unknown"} and bool(job.get("PandaID"))


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[at : at + size] for at in range(0, len(items), size))
