"""The state file made anew, or completed, from what outlives it: destinations and PanDA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from site_configs.load import expand
from submitter.folders import images_at_home
from submitter.jobs import Job, Part, State
from submitter.records import (
    INPUTS_FOLDER,
    LARGEST_BYTES,
    PartRecord,
    inputs_url,
    is_parts,
    job_of,
    part_of,
    place_of_job,
)
from submitter.settings import Settings
from submitter.state import Store
from submitter.submission import read_request
from transformation.layout import JobPlace, is_manifest, join_url
from transformation.locations import Kind, kind_of, local_path
from transformation.model import documents
from transformation.model.failures import JobError
from transformation.ports import Missing, Storage, StorageError
from transformation.wiring import open_site, storage_for


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a look around brought."""

    bases: Sequence[str]
    added: Sequence[str]
    """Names of jobs that were not known."""
    n_known: int
    notes: Sequence[str]
    """What could not be asked."""


class Sync:
    """One look around."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._added: list[Job] = []
        self._notes: list[str] = []
        self._n_known = 0

    def run(self, bases: Sequence[str], user: str | None, site: str | None) -> tuple[Found, list[Job]]:
        """Look below the bases; the jobs that were added may be known to a backend, too."""
        places = list(dict.fromkeys(self._bases(bases, site)))
        for base in places:
            try:
                with closing(storage_for(base)) as storage:
                    self._look(storage, base, user or self._settings.user_name)
            except (StorageError, JobError) as error:
                self._notes.append(f"{base}: {error}")
        names = [job.name for job in self._added]
        return Found(bases=places, added=names, n_known=self._n_known, notes=self._notes), self._added

    def _bases(self, bases: Sequence[str], site: str | None) -> Iterator[str]:
        wanted: Iterable[str] = bases
        if not bases:
            known = [line.base for line in self._store.overview()]
            own = [self._settings.output] if self._settings.output else []
            of_sites = [one for name in (site, self._settings.site) if name for one in open_site(name).storage.bases]
            wanted = [*known, *own, *of_sites, str(images_at_home())]
        for base in wanted:
            full = expand(base)
            yield str(local_path(full, Path.cwd()).resolve()) if kind_of(full) is Kind.FILE else full

    def _look(self, storage: Storage, base: str, user: str) -> None:
        for name in sorted(storage.folders(join_url(base, user))):
            if self._store.find_job(name=name) is not None:
                self._n_known += 1
                continue
            try:
                place = JobPlace(base=base, user=user, job=name)
            except ValueError:
                continue
            record = read_request(storage, place)
            if record is None or record.name != name:
                continue
            job = job_of(record, base)
            if job.key is not None and self._store.find_job(key=job.key) is not None:
                job = replace(job, key=None)
            job = self._store.add_job(job)
            self._store.add_parts(job.id, list(_parts(storage, job)))
            self._added.append(job)


def _parts(storage: Storage, job: Job) -> Iterator[Part]:
    """What was handed over, as noted at the destination; a local job is one part, done as far as its images are."""
    place = place_of_job(job)
    if job.backend == "local":
        yield _local_part(storage, job, place)
        return
    found: dict[int, Part] = {}
    for entry in sorted(storage.list(join_url(place.folder, INPUTS_FOLDER)), key=lambda one: one.name):
        if is_parts(entry.name):
            try:
                content = storage.read(inputs_url(place, entry.name), limit_bytes=LARGEST_BYTES)
                records = documents.decode(content, list[PartRecord])
            except (Missing, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            found.update({record.number: part_of(record, job.id) for record in records})
    yield from found.values()


def _local_part(storage: Storage, job: Job, place: JobPlace) -> Part:
    """Of a job that ran, or runs, on another machine, or here before the state file was lost."""
    n_done = sum(
        is_manifest(entry.name) for visit, _ in job.plan.visits for entry in storage.list(place.units_folder(visit))
    )
    state = State.DONE if n_done >= job.n_units else State.PARTIAL if n_done else State.FAILED
    message = "" if state is State.DONE else "found unfinished; it may run on another machine, else rerun it"
    return Part(job_id=job.id, number=1, state=state, n_done=n_done, message=message, attempt=1)
