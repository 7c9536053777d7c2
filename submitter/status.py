"""What became of a job: its units as the destination shows them and as its backend knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import msgspec
from msgspec.structs import replace

from submitter.backends import UNIT_STATES, Backend, UnitState
from submitter.jobs import Job, Part, State
from submitter.listing import places_of
from submitter.records import place_of_job
from submitter.state import Store
from transformation.layout import JobPlace, is_failure, is_manifest, unit_of
from transformation.model.failures import JobError
from transformation.model.manifest import LIMIT_BYTES, parse_failure, parse_manifest
from transformation.ports import Storage, StorageError
from transformation.wiring import storage_for

MOST_UNITS_NAMED = 5_000
"""Of larger jobs units are only counted, unless somebody asks for them."""
_QUESTIONS_AT_ONCE = 16


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job, its parts and its units."""

    job: Job
    parts: Sequence[Part]
    counts: Mapping[str, int]
    """Units by state, all of `UNIT_STATES`."""
    units: Sequence[UnitState] = ()
    """In the plan's order; empty for a large job of which only counts were wanted."""
    links: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What could not be asked."""

    @property
    def state(self) -> State:
        """Of the job."""
        return self.job.state

    @property
    def data(self) -> str:
        """Where the images stand."""
        return place_of_job(self.job).folder

    @property
    def progress(self) -> float:
        """Part of the units that is done, running ones by their own progress."""
        done = self.counts["done"] + self.counts["empty"] + sum(unit.progress or 0.0 for unit in self.units)
        return done / max(1, self.job.n_units)


def status_of(job: Job, store: Store, backend: Backend, *, name_units: bool | None = None) -> JobStatus:
    """All that can be said; `name_units` says whether units are listed one by one (default: if they are not too many).

    A destination that does not answer is a note, not an error.
    """
    parts = store.parts(job.id)
    named = job.n_units <= MOST_UNITS_NAMED if name_units is None else name_units
    notes: list[str] = []
    if not parts and not job.state.over:
        notes.append(f"nobody works on it yet: `iod rerun {job.name}` hands it over")
    units = {unit: UnitState(id=unit) for unit in job.plan.units()}
    units.update({unit: one for unit, one in backend.units(job, parts).items() if unit in units})
    committed: set[str] = set()
    for number, place in enumerate(places_of(job)):
        if number and all(unit.state in {"done", "empty"} for unit in units.values()):
            break  # nobody has to wait for a server that has nothing to add
        try:
            units = _with_receipts(place, job, units, committed)
        except (StorageError, JobError) as error:
            notes.append(f"{place.address} cannot be asked now: {error}")
    counts = Counter(unit.state for unit in units.values())
    return JobStatus(
        job=job,
        parts=parts,
        counts={state: counts.get(state, 0) for state in UNIT_STATES},
        units=list(units.values()) if named else [],
        links=backend.links(job, parts),
        notes=notes,
    )


class _Receipts(msgspec.Struct):
    """Of one visit."""

    manifests: set[str] = msgspec.field(default_factory=set)
    failures: set[str] = msgspec.field(default_factory=set)


def _with_receipts(place: JobPlace, job: Job, units: dict[str, UnitState], committed: set[str]) -> dict[str, UnitState]:
    """Units for which a destination holds a receipt are done, empty or failed, whatever the backend says.

    `committed` grows by those that stand there: what another destination has of them is no failure.
    """
    with closing(storage_for(place.base)) as storage, ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        listings = pool.map(lambda visit: _receipts(storage, place, visit[0]), job.plan.visits)
        merged = _Receipts()
        for found in listings:
            merged.manifests |= found.manifests
            merged.failures |= found.failures
        committed |= merged.manifests
        unsure = [unit for unit in merged.manifests if unit in units and units[unit].state not in {"done", "empty"}]
        # Whether a unit is empty only its manifest tells; of a large job that is not worth so many questions.
        asked = unsure if len(unsure) <= MOST_UNITS_NAMED else []
        states = dict(zip(asked, pool.map(lambda unit: _state(storage, place, unit), asked), strict=True))
        for unit in unsure:
            units[unit] = replace(units[unit], state=states.get(unit, "done"), progress=None, eta_s=None, reason="")
        for unit in merged.failures - committed:
            if unit in units and units[unit].state != "failed":
                units[unit] = _failed(storage, place, units[unit])
    return units


def _receipts(storage: Storage, place: JobPlace, visit: str) -> _Receipts:
    found = _Receipts()
    for entry in storage.list(place.units_folder(visit)):
        if is_manifest(entry.name):
            found.manifests.add(unit_of(entry.name))
        elif is_failure(entry.name):
            found.failures.add(unit_of(entry.name))
    return found


def _visit_of(unit: str) -> str:
    return unit.partition("-")[0].removeprefix("v")


def _state(storage: Storage, place: JobPlace, unit: str) -> str:
    url = place.receipt_url(_visit_of(unit), f"{unit}.json")
    manifest = parse_manifest(storage.read(url, limit_bytes=LIMIT_BYTES), unit=unit)
    if isinstance(manifest, str):
        return "waiting"
    return "empty" if manifest.state == "empty" else "done"


def _failed(storage: Storage, place: JobPlace, unit: UnitState) -> UnitState:
    url = place.receipt_url(_visit_of(unit.id), f"{unit.id}.failed.json")
    record = parse_failure(storage.read(url, limit_bytes=LIMIT_BYTES), unit=unit.id)
    if isinstance(record, str):
        return unit
    return replace(unit, state="failed", failure=record.failure, reason=record.detail, progress=None, eta_s=None)
