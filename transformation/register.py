"""Committed images enter the catalog, now or by a later replay; repeating it never does harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformation.layout import JobPlace, is_manifest, place_of, unit_of, visit_of_folder
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import UnitManifest
from transformation.model.work import FILTER_LETTERS
from transformation.ports import Catalog, CatalogError, FileRecord, Storage, StorageError
from transformation.standing import Invalid, complete, read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay found under a location."""

    manifests: tuple[UnitManifest, ...]
    """All that is registered now."""
    skipped: tuple[str, ...]
    """One sentence for each unit that is not as it should be; it is not registered."""


def records_of(manifest: UnitManifest, place: JobPlace) -> list[FileRecord]:
    """The manifest's files as the catalog knows them; none for a unit without objects."""
    shared: dict[str, str | int] = {
        **manifest.metadata,
        "visit": manifest.visit,
        "sensor": manifest.sensor,
        "exposure": manifest.exposure,
        "filter": FILTER_LETTERS[manifest.filter],
        "attempt": manifest.attempt,
    }
    return [
        FileRecord(
            name=place.record_name(manifest.visit, file.name),
            dataset=place.dataset(manifest.visit),
            url=place.file_url(manifest.visit, file.name),
            size_bytes=file.size_bytes,
            adler32=file.adler32,
            metadata={**shared, "role": file.role.value, **({"amplifier": file.amplifier} if file.amplifier else {})},
            replaces=file.replaces,
        )
        for file in manifest.files
    ]


def register_units(catalog: Catalog, manifests: Sequence[UnitManifest], place: JobPlace) -> Failed | None:
    """Register every file of committed units in one call; None if the catalog has them all now."""
    records = [record for manifest in manifests for record in records_of(manifest, place)]
    if not records:
        return None
    try:
        catalog.register(records)
    except CatalogError as error:
        return Failed(failure=error.failure, detail=error.detail)
    return None


def register_location(storage: Storage, catalog: Catalog, location: str) -> Replayed | Failed:
    """Register all committed units under a job's or a visit's destination folder, any number of times.

    Renames that a dead attempt left undone are carried out; a unit that lost a file is skipped and named.
    """
    found = place_of(location)
    if found is None:
        detail = f"{location} is no destination of a job: expected BASE/USER/JOBNAME or BASE/USER/JOBNAME/v<visit>"
        return Failed(failure=Failure.USAGE, detail=detail)
    place, visit = found
    try:
        visits = [visit] if visit else _visits(storage, place)
        replayed = [_committed(storage, place, name) for name in visits]
    except StorageError as error:
        return Failed(failure=error.failure, detail=error.detail)
    manifests = tuple(manifest for one in replayed for manifest in one.manifests)
    skipped = tuple(reason for one in replayed for reason in one.skipped)
    if not manifests and not skipped:
        return Failed(failure=Failure.USAGE, detail=f"{location} holds no committed unit")
    return register_units(catalog, manifests, place) or Replayed(manifests=manifests, skipped=skipped)


def _visits(storage: Storage, place: JobPlace) -> list[str]:
    return [visit for name in sorted(storage.folders(place.folder)) if (visit := visit_of_folder(name))]


def _committed(storage: Storage, place: JobPlace, visit: str) -> Replayed:
    units = [unit_of(entry.name) for entry in storage.list(place.units_folder(visit)) if is_manifest(entry.name)]
    standing = {unit: read_manifest(storage, place, visit, unit) for unit in sorted(units)}
    sizes = {entry.name: entry.size_bytes for entry in storage.list(place.visit_folder(visit))}
    manifests, skipped = [], []
    for unit, found in standing.items():
        if found is None:
            continue
        if isinstance(found, Invalid):
            skipped.append(f"{unit}: its manifest is not valid: {found.reason}")
        elif lost := complete(storage, place, found.manifest, sizes):
            skipped.append(f"{unit}: {', '.join(lost)} is lost; run the job again")
        else:
            manifests.append(found.manifest)
    return Replayed(manifests=tuple(manifests), skipped=tuple(skipped))
