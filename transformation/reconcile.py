"""Storage against catalog against manifests, both ways; nothing is changed.

The manifests say what a job stored; the storage says what stands; the catalog says what others can find. Where the
three agree a file is named nowhere in the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import msgspec

from transformation.layout import (
    UNITS_FOLDER,
    JobPlace,
    is_claim,
    is_failure,
    is_manifest,
    manifest_name,
    place_of,
    unit_of,
    visit_of_folder,
)
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import ManifestFile
from transformation.ports import Catalog, CatalogError, FileRecord, Missing, Storage, StorageError
from transformation.register import records_of
from transformation.standing import Invalid, Sealed, read_manifest

_QUESTIONS_AT_ONCE = 16


class Kind(StrEnum):
    """What can be wrong with a file."""

    UNREGISTERED = "unregistered"
    """A manifest names it, the catalog does not know it: `lsst-trf register` puts it there."""
    UNFINISHED = "unfinished"
    """Committed, but still under its temporary name: `lsst-trf register`, or running the job again, renames it."""
    LOST = "lost"
    """A manifest names it and it is not there at its size: running the job again makes the unit anew."""
    DIFFERENT = "different"
    """Storage, catalog and manifest do not agree on size, checksum or place."""
    STRAY = "stray"
    """The catalog knows it, no manifest does."""
    DARK = "dark"
    """It stands on the storage, and neither a manifest nor the catalog knows it."""
    LEFTOVER = "leftover"
    """What an attempt that died left: temporaries, manifests moved aside."""
    INVALID = "invalid"
    """A manifest that cannot be read."""
    DUPLICATE = "duplicate"
    """The unit is registered from another destination, where it was committed, too. Nothing is wrong; this copy is not
    needed."""


HARMLESS = frozenset({Kind.DUPLICATE})
"""What is worth telling, though all agree."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One disagreement."""

    kind: Kind
    name: str
    """As in the catalog: `JOBNAME/v<visit>/<file>`."""
    detail: str


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What stands under a location."""

    n_units: int
    n_stored: int
    """Files on the storage, manifests included."""
    n_registered: int
    """Files in the catalog as far as they are at this destination."""
    findings: tuple[Finding, ...]
    n_elsewhere: int = 0
    """Files that the catalog knows at other destinations of the job; their manifests are there."""


def reconcile(storage: Storage, catalog: Catalog, location: str, *, checksums: bool = False) -> Reconciled | Failed:
    """Compare all visits under a job's or a visit's destination folder.

    With `checksums` the storage is asked for the checksum of every file, which some storages have to read for it.
    """
    found = place_of(location)
    if found is None:
        return Failed(failure=Failure.USAGE, detail=f"{location} is no destination of a job")
    place, visit = found
    try:
        folders = [f"v{visit}"] if visit else sorted(storage.folders(place.folder))
        visits = [name for folder in folders if (name := visit_of_folder(folder))]
        if not visits:
            return Failed(failure=Failure.USAGE, detail=f"{location} holds no visit")
        looks = [_look(storage, catalog, place, name) for name in visits]
        findings = [finding for look in looks for finding in look.findings()]
        if checksums:
            findings += [finding for look in looks for finding in _wrong_checksums(storage, look)]
    except (StorageError, CatalogError) as error:
        return Failed(failure=error.failure, detail=error.detail)
    return Reconciled(
        n_units=sum(len(look.units) for look in looks),
        n_stored=sum(len(look.sizes) + len(look.receipts) for look in looks),
        n_registered=sum(len(look.known) - len(look.elsewhere) for look in looks),
        n_elsewhere=sum(len(look.elsewhere) for look in looks),
        findings=tuple(sorted(findings, key=lambda one: (list(Kind).index(one.kind), one.name))),
    )


class _Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One visit, as the three know it."""

    place: JobPlace
    visit: str
    units: Sequence[Sealed]
    invalid: Mapping[str, str]
    """Why, by unit."""
    sizes: Mapping[str, int]
    """Files in the visit's folder, bytes."""
    receipts: Mapping[str, int]
    """Files in its `.units` folder, bytes."""
    known: Mapping[str, FileRecord]
    """By name in the catalog."""
    expected: dict[str, FileRecord] = msgspec.field(default_factory=dict)
    """What the manifests vouch for, by the same names."""

    @property
    def elsewhere(self) -> set[str]:
        """Names that the catalog knows at another destination."""
        return {name for name, record in self.known.items() if record.url and not self.place.holds(record.url)}

    def findings(self) -> Iterator[Finding]:
        for unit_id, reason in self.invalid.items():
            yield self._finding(Kind.INVALID, f"{UNITS_FOLDER}/{manifest_name(unit_id)}", reason)
        elsewhere = self.elsewhere
        for unit in self.units:
            for file in unit.manifest.files:
                yield from self._of_file(file)
            receipt, *files = reversed(records_of(unit))
            if receipt.name in elsewhere:
                detail = f"{unit.manifest.unit} is registered from {self.known[receipt.name].url}"
                yield Finding(kind=Kind.DUPLICATE, name=receipt.name, detail=detail)
                continue
            for record in (*files, receipt):
                yield from self._of_registration(record.name, record)
        for name in self.known.keys() - self.expected.keys() - elsewhere:
            stands = "it stands on the storage" if self._stands(name) else "it is not on the storage"
            yield Finding(kind=Kind.STRAY, name=name, detail=f"registered, but no manifest names it; {stands}")
        yield from self._unnamed()

    def _of_file(self, file: ManifestFile) -> Iterator[Finding]:
        size_bytes = self.sizes.get(file.name)
        if self.sizes.get(file.temporary) == file.size_bytes:
            yield self._finding(Kind.UNFINISHED, file.name, f"it stands as {file.temporary}")
        elif size_bytes is None:
            yield self._finding(Kind.LOST, file.name, "it is not there")
        elif size_bytes != file.size_bytes:
            yield self._finding(Kind.LOST, file.name, f"{size_bytes} bytes stand, its manifest says {file.size_bytes}")

    def _of_registration(self, name: str, record: FileRecord) -> Iterator[Finding]:
        known = self.known.get(name)
        if known is None:
            yield Finding(kind=Kind.UNREGISTERED, name=name, detail="a manifest vouches for it")
            return
        registered, vouched = (f"{one.size_bytes} bytes, adler32 {one.adler32}, {one.url}" for one in (known, record))
        if registered != vouched:
            detail = f"registered: {registered}; its manifest: {vouched}"
            yield Finding(kind=Kind.DIFFERENT, name=name, detail=detail)

    def _unnamed(self) -> Iterator[Finding]:
        """Files that no manifest names."""
        temporaries = {file.temporary for unit in self.units for file in unit.manifest.files}
        manifests = {manifest_name(unit.manifest.unit) for unit in self.units} | set(map(manifest_name, self.invalid))
        others = (name for name in self.receipts.keys() - manifests if not is_failure(name) and not is_claim(name))
        receipts = {f"{UNITS_FOLDER}/{name}": name for name in others}
        for path, name in {**{name: name for name in self.sizes.keys() - temporaries}, **receipts}.items():
            record_name = self.place.record_name(self.visit, path)
            if name.startswith("."):
                yield self._finding(Kind.LEFTOVER, path, "an attempt that ended early left it")
            elif record_name not in self.expected and record_name not in self.known:
                yield self._finding(Kind.DARK, path, "neither a manifest nor the catalog knows it")

    def path_of(self, name: str) -> str:
        """Where a file with that name in the catalog stands, below the visit's folder."""
        return name.removeprefix(f"{self.place.dataset(self.visit)}/")

    def _stands(self, name: str) -> bool:
        path = self.path_of(name)
        return path in self.sizes or path.removeprefix(f"{UNITS_FOLDER}/") in self.receipts

    def _finding(self, kind: Kind, path: str, detail: str) -> Finding:
        return Finding(kind=kind, name=self.place.record_name(self.visit, path), detail=detail)


def _look(storage: Storage, catalog: Catalog, place: JobPlace, visit: str) -> _Visit:
    """Ask all three about one visit; manifests before the files, so that no file is missed that they name."""
    receipts = {entry.name: entry.size_bytes for entry in storage.list(place.units_folder(visit))}
    names = [unit_of(name) for name in sorted(receipts) if is_manifest(name)]
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE, thread_name_prefix="reconcile") as pool:
        found = dict(zip(names, pool.map(lambda unit: read_manifest(storage, place, visit, unit), names), strict=True))
    units = [one.sealed for one in found.values() if one is not None and not isinstance(one, Invalid)]
    return _Visit(
        place=place,
        visit=visit,
        units=units,
        invalid={unit: one.reason for unit, one in found.items() if isinstance(one, Invalid)},
        sizes={entry.name: entry.size_bytes for entry in storage.list(place.visit_folder(visit))},
        receipts=receipts,
        known={record.name: record for record in catalog.known(place.dataset(visit))},
        expected={record.name: record for unit in units for record in records_of(unit)},
    )


def _wrong_checksums(storage: Storage, look: _Visit) -> Iterator[Finding]:
    """Files that stand at their size with other bytes than their manifest vouches for."""

    def ask(record: FileRecord) -> str | None:
        try:
            # Not by its own URL: that is without what the storage may want to see.
            return storage.adler32(look.place.file_url(look.visit, look.path_of(record.name)))
        except Missing:  # which is found without checksums
            return None

    records = list(look.expected.values())
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE, thread_name_prefix="reconcile") as pool:
        for record, adler32 in zip(records, pool.map(ask, records), strict=True):
            if adler32 not in {None, record.adler32}:
                detail = f"its bytes have adler32 {adler32}; its manifest: {record.adler32}"
                yield Finding(kind=Kind.DIFFERENT, name=record.name, detail=detail)
