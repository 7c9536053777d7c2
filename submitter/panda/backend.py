"""PanDA as a backend: what tasks and classic jobs have in common."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from site_configs.schema import Queue, Site
from submitter.backends import Backend, UnitState
from submitter.folders import Folders
from submitter.jobs import Job, Part, State
from submitter.panda.answers import JobFacts
from submitter.panda.gateway import Gateway, server_of
from submitter.panda.tasks import Place, longest_wall_s
from submitter.records import PartRecord, inputs_url, parts_name, place_of_job
from submitter.settings import BackendName, Settings
from submitter.state import Store
from submitter.troubles import IodError, Trouble
from submitter.work import raft_of, selects
from transformation.layout import is_manifest, unit_of
from transformation.model.failures import Failure, JobError
from transformation.planning import parse_select
from transformation.ports import StorageError
from transformation.wiring import open_site, storage_for

_SITE_IN_A_SHELL = re.compile(r"[A-Za-z0-9._/+-]+")
_SHOWN_INPUTS = 20
_OF_ONE_JOB = frozenset({Trouble.PANDA_REFUSED, Trouble.SITE_CLOSED, Failure.SITE_INVALID})
"""Of other troubles all jobs of the server have the same."""


def open_panda_backend(name: BackendName, store: Store, folders: Folders, settings: Settings) -> Backend:
    """Tasks, or classic jobs."""
    if name == "panda-classic":
        from submitter.panda.classic_backend import ClassicBackend

        return ClassicBackend(store, folders, settings)
    from submitter.panda.task_backend import TaskBackend

    return TaskBackend(store, folders, settings)


class PandaBackend:
    """What both share: the server, places, links, and what the destination says."""

    def __init__(self, store: Store, folders: Folders, settings: Settings) -> None:
        self.store = store
        self.folders = folders
        self.settings = settings
        self._gateways: dict[str, Gateway] = {}

    def close(self) -> None:
        """End the clients."""
        for gateway in self._gateways.values():
            gateway.close()
        self._gateways.clear()

    def refresh(self, jobs: Sequence[Job]) -> None:
        """See `Backend.refresh`. A job that cannot be asked about, such as one whose site file is gone, keeps none of
        the others back."""
        troubles: list[IodError | JobError] = []
        for job in jobs:
            try:
                self.renew(job)
            except JobError as error:
                troubles.append(error)
            except IodError as error:
                if error.row not in _OF_ONE_JOB:
                    raise
                troubles.append(error)
        if troubles:
            raise troubles[0]

    def renew(self, job: Job) -> None:
        """Renew what the state file says of one job."""
        raise NotImplementedError

    def gateway(self, job: Job) -> Gateway:
        """The server of a job's site."""
        server = server_of(open_site(job.site), self.settings.panda)
        if server not in self._gateways:
            self._gateways[server] = Gateway(server, self.settings.panda, self.folders)
        return self._gateways[server]

    def place(self, job: Job) -> Place:
        """Where its jobs run. Raises `IodError` SITE_INVALID, SITE_CLOSED."""
        site = open_site(job.site)
        if not _SITE_IN_A_SHELL.fullmatch(job.site):
            detail = f"--site: {job.site} has letters that cannot travel in a command line; rename the file"
            raise IodError(Failure.SITE_INVALID, detail)
        queue = _queue_of(job, site)
        return Place(
            site=job.site,
            queue=queue.name,
            cloud=site.panda.cloud,
            label=self.settings.panda.label or site.panda.label,
            most_wall_s=longest_wall_s(self.settings.panda.most_job_hours, queue.max_wall_hours),
        )

    def note_parts(self, job: Job, parts: Sequence[Part]) -> None:
        """Remember what was handed over, here and at the destination."""
        self.store.add_parts(job.id, parts)
        self.note_elsewhere(job, parts)

    def note_elsewhere(self, job: Job, parts: Sequence[Part]) -> None:
        """The copy at the destination, from which `iod sync` learns."""
        records = [
            PartRecord(number=part.number, remote_id=part.remote_id or 0, attempt=part.attempt, selects=part.selects)
            for part in parts
        ]
        # PanDA has it, and so has the state file: a destination that is away now must not make it look as if not.
        with suppress(StorageError, JobError), closing(storage_for(job.base)) as storage:
            url = inputs_url(place_of_job(job), parts_name(parts[0].number, parts[0].attempt))
            storage.create(url, msgspec.json.encode(records) + b"\n")

    def count_done(self, job: Job, part: Part) -> int:
        """Units of a part for which the destination holds a manifest; what was known if it does not answer."""
        wanted = set(self.units_of(job, part.selects))
        try:
            return len(wanted & self.done_units(job))
        except (StorageError, JobError):
            return part.n_done

    def done_units(self, job: Job) -> set[str]:
        """Units for which the destination holds a manifest. Raises `StorageError`."""
        place = place_of_job(job)
        with closing(storage_for(job.base)) as storage:
            return {
                unit_of(entry.name)
                for visit, _ in job.plan.visits
                for entry in storage.list(place.units_folder(visit))
                if is_manifest(entry.name)
            }

    def units_of(self, job: Job, of_selects: Iterable[str]) -> Iterator[str]:
        """Ids of the units that some selects stand for."""
        shapes = {visit: job.plan.shapes[shape] for visit, shape in job.plan.visits}
        for select in of_selects:
            for visit, name in parse_select(select):
                shape = shapes.get(visit)
                for sensor, numbers in zip(shape.sensors, shape.exposures, strict=True) if shape else ():
                    if name in {sensor, raft_of(sensor)}:
                        yield from (f"v{visit}-{sensor}-E{number:03d}" for number in numbers)

    def missing_selects(self, job: Job, done: set[str], *, only: set[str] | None = None) -> Iterator[str]:
        """Selects for what is not done, or for those of it that are named: one for each visit, cut as names allow."""
        from submitter.work import LONGEST_SELECT

        for visit, number in job.plan.visits:
            shape = job.plan.shapes[number]
            missing = [
                sensor
                for sensor, exposures in zip(shape.sensors, shape.exposures, strict=True)
                if any(
                    (unit := f"v{visit}-{sensor}-E{exposure:03d}") not in done and (only is None or unit in only)
                    for exposure in exposures
                )
            ]
            size = max(1, LONGEST_SELECT // len(f"v{visit}:R00_S00_C0,"))
            sizes = [len(missing[at : at + size]) for at in range(0, len(missing), size)]
            if missing == list(shape.sensors):
                yield from selects(visit, missing, sizes)
            else:
                starts = range(0, len(missing), size)
                yield from (",".join(f"v{visit}:{one}" for one in missing[at : at + size]) for at in starts)

    def unit_states(self, job: Job, facts: Iterable[JobFacts]) -> dict[str, UnitState]:
        """Units as the PanDA jobs that make them show them."""
        states = {
            State.DONE: "done",
            State.RUNNING: "running",
            State.FAILED: "failed",
            State.PARTIAL: "failed",
            State.KILLED: "waiting",
            State.WAITING: "waiting",
        }
        found: dict[str, UnitState] = {}
        for one in facts:
            for unit in self.units_of(job, [one.select]):
                found[unit] = UnitState(
                    id=unit,
                    state=states[one.state],
                    failure=one.failure.name if one.failure else "",
                    reason=one.reason,
                    attempts=one.attempt,
                    where=one.where,
                    link=self.job_page(one.panda_id) if one.panda_id else "",
                    log=self.job_page(one.panda_id) if one.panda_id else "",
                )
        return found

    def job_page(self, panda_id: int) -> str:
        """Of the monitor."""
        return f"{self.settings.panda.monitor.rstrip('/')}/job/{panda_id}/"

    def task_page(self, task_id: int) -> str:
        """Of the monitor."""
        return f"{self.settings.panda.monitor.rstrip('/')}/task/{task_id}/"

    def over(self, job: Job, part: Part, state: State, message: str) -> Part:
        """The part with what became of it."""
        n_units = sum(1 for _ in self.units_of(job, part.selects))
        n_done = n_units if state is State.DONE else self.count_done(job, part)
        if n_done == n_units:
            # A job that PanDA has lost may still have made its images.
            state, message = State.DONE, ""
        return replace(part, state=state, message=message, ended_s=time.time(), n_done=n_done)


def shortened(params: dict[str, Any]) -> dict[str, Any]:
    """A task for people to read: of ten thousand inputs the first."""
    inputs = params["pfnList"]
    if len(inputs) <= _SHOWN_INPUTS:
        return params
    return {**params, "pfnList": [*inputs[:_SHOWN_INPUTS], f"... and {len(inputs) - _SHOWN_INPUTS:,} more"]}


def _queue_of(job: Job, site: Site) -> Queue:
    queues = [queue for queue in site.panda.queues if job.queue in {"", queue.name}]
    if not queues:
        raise IodError(Trouble.SITE_CLOSED, f"site {site.name} has no PanDA queue {job.queue}".rstrip())
    return next((queue for queue in queues if queue.status != "offline"), queues[0])
