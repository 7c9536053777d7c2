"""Datasets and files of a job, as the manifests at its destinations vouch for them.

Rules of this file
1. What no manifest names is not there, whatever stands in the folder: it may be half an image.
2. Manifests were written elsewhere: their reader has checked that every name in them is one plain file name.
3. A destination that is silent is an error only if nobody else knows its files: not another destination, not Rucio.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
from msgspec.structs import replace

from submitter.fetching.doors import Doors
from submitter.jobs import Job
from submitter.records import place_of_job
from transformation.layout import JobPlace, is_manifest, unit_of, visit_of_folder
from transformation.model import documents
from transformation.model.failures import JobError
from transformation.model.manifest import UnitManifest
from transformation.model.work import Role
from transformation.ports import CatalogError, FileRecord, Storage, StorageError
from transformation.standing import Standing, read_manifest

_QUESTIONS_AT_ONCE = 16
_ROLES: Mapping[str, Role] = {
    "lsst_e": Role.ELECTRON_IMAGE,
    "lsst_a": Role.AMPLIFIER_IMAGE,
    "centroid_lsst_e": Role.CENTROIDS,
    "throughput_lsst_e": Role.THROUGHPUT,
}
"""By how PhoSim's names begin."""
_IMAGE = re.compile(
    rf"(?P<kind>{'|'.join(_ROLES)})_[A-Za-z0-9]+_f[0-5]_(?P<sensor>R\d\d_S\d\d(_C\d(?!\d))?)(_(?P<amplifier>C\d\d))?"
    r"_E(?P<exposure>\d{3})\.[a-z.]+"
)
WantedUnit = Callable[[str], bool]
"""Says of a unit's id whether its files are wanted."""


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a committed unit."""

    name: str
    visit: str
    unit: str
    sensor: str
    exposure: int
    role: str
    amplifier: str | None
    size_bytes: int
    adler32: str
    urls: tuple[str, ...]
    """Where it stands, the best place first."""

    @property
    def path(self) -> str:
        """Below a job's folder: `v4406/lsst_e_4406_f2_R22_S11_E000.fits.gz`."""
        return f"v{self.visit}/{self.name}"


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """Of one visit."""

    name: str
    """`JOBNAME/v<visit>`."""
    visit: str
    n_files: int
    size_bytes: int


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Files of a job, by visit and name."""

    job: Job
    files: Sequence[RemoteFile]
    notes: Sequence[str] = ()
    """Who could not be asked, and what did not fit."""

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def datasets(self) -> list[Dataset]:
        """One for each visit that has files."""
        place = place_of_job(self.job)
        by_visit: dict[str, list[RemoteFile]] = {}
        for file in self.files:
            by_visit.setdefault(file.visit, []).append(file)
        return [
            Dataset(
                name=place.dataset(visit),
                visit=visit,
                n_files=len(files),
                size_bytes=sum(one.size_bytes for one in files),
            )
            for visit, files in by_visit.items()
        ]


def list_files(job: Job, doors: Doors, wanted_unit: WantedUnit = lambda _: True) -> Listing:
    """What stands of a job. Raises `StorageError` or `JobError` if nobody can be asked."""
    found: dict[str, RemoteFile] = {}
    notes: list[str] = []
    silent: Exception | None = None
    for place in places_of(job):
        try:
            notes += _merge(found, _of_place(job, doors.storage(place.base), place, wanted_unit))
        except (StorageError, JobError) as error:
            notes.append(f"{place.address} cannot be asked now: {error}")
            silent = error
    if silent is not None:
        try:
            notes += _merge(found, _of_catalog(job, wanted_unit))
        except (CatalogError, JobError) as error:
            notes.append(f"the catalog cannot be asked now: {error}")
        if not found:
            raise silent
    return Listing(job=job, files=sorted(found.values(), key=lambda one: (one.visit, one.name)), notes=notes)


class _Output(msgspec.Struct, frozen=True):
    base: str | list[str] | None = None


class _Spec(msgspec.Struct, frozen=True):
    output: _Output = _Output()


def places_of(job: Job) -> list[JobPlace]:
    """The destinations of a job in their order."""
    base = documents.decode(job.spec, _Spec).output.base
    more = [] if base is None else [base] if isinstance(base, str) else base
    own = place_of_job(job)
    return [own, *(replace(own, base=one) for one in dict.fromkeys(more) if one != job.base)]


def _of_place(job: Job, storage: Storage, place: JobPlace, wanted_unit: WantedUnit) -> list[RemoteFile]:
    visits = [visit for visit, _ in job.plan.visits] or _visits(storage, place)
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        listings = pool.map(lambda visit: storage.list(place.units_folder(visit)), visits)
        units = [
            (visit, unit_of(entry.name))
            for visit, listing in zip(visits, listings, strict=True)
            for entry in listing
            if is_manifest(entry.name) and wanted_unit(unit_of(entry.name))
        ]
        standings = pool.map(lambda unit: read_manifest(storage, place, *unit), units)
        return [file for one in standings if isinstance(one, Standing) for file in _files(place, one.manifest)]


def _visits(storage: Storage, place: JobPlace) -> list[str]:
    """Of a job whose plan is not known."""
    return sorted(filter(None, map(visit_of_folder, storage.folders(place.folder))))


def _files(place: JobPlace, manifest: UnitManifest) -> list[RemoteFile]:
    return [
        RemoteFile(
            name=file.name,
            visit=manifest.visit,
            unit=manifest.unit,
            sensor=manifest.sensor,
            exposure=manifest.exposure,
            role=file.role,
            amplifier=file.amplifier,
            size_bytes=file.size_bytes,
            adler32=file.adler32,
            # A unit is committed before its files have their names: who died in between left them under the first one.
            urls=(place.file_url(manifest.visit, file.name), place.file_url(manifest.visit, file.temporary)),
        )
        for file in manifest.files
    ]


def _of_catalog(job: Job, wanted_unit: WantedUnit) -> list[RemoteFile]:
    """What Rucio knows of the job, where its site registers there. Raises `CatalogError`, `JobError`."""
    from transformation.wiring import catalog_for, open_site

    site, place = open_site(job.site), place_of_job(job)
    catalog = catalog_for(site, place) if site.catalog.kind == "rucio" else None
    if catalog is None:
        return []
    files = (
        _of_record(place, visit, record)
        for visit, _ in job.plan.visits
        for record in catalog.known(place.dataset(visit))
    )
    return [file for file in files if file is not None and wanted_unit(file.unit)]


def _of_record(place: JobPlace, visit: str, record: FileRecord) -> RemoteFile | None:
    """An image of the job; None for anything else. Rucio keeps few facts of an image, but its name tells them."""
    name = record.name.removeprefix(place.record_name(visit, ""))
    found = _IMAGE.fullmatch(name)
    if found is None:
        return None
    sensor, exposure = found["sensor"], found["exposure"]
    return RemoteFile(
        name=name,
        visit=visit,
        unit=f"v{visit}-{sensor}-E{exposure}",
        sensor=sensor,
        exposure=int(exposure),
        role=_ROLES[found["kind"]],
        amplifier=found["amplifier"],
        size_bytes=record.size_bytes,
        adler32=record.adler32,
        urls=(record.url,),
    )


def _merge(found: dict[str, RemoteFile], more: Iterable[RemoteFile]) -> list[str]:
    """Add what is new; what differed, in words."""
    notes = []
    for file in more:
        known = found.get(file.path)
        if known is None:
            found[file.path] = file
        elif (known.size_bytes, known.adler32) == (file.size_bytes, file.adler32):
            found[file.path] = replace(known, urls=tuple(dict.fromkeys((*known.urls, *file.urls))))
        else:
            notes.append(f"{file.path} stands twice and differs; {known.urls[0]} is taken")
    return notes
