"""Committed images enter the catalog, now or by a later replay; repeating it never does harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from transformation.layout import (
    UNITS_FOLDER,
    JobPlace,
    is_manifest,
    manifest_name,
    place_of,
    public_url,
    unit_of,
    visit_of_folder,
)
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import UnitManifest
from transformation.model.work import FILTER_LETTERS
from transformation.ports import Catalog, CatalogError, FileRecord, Storage, StorageError
from transformation.standing import Invalid, Sealed, complete, read_manifest

MANIFEST_ROLE = "manifest"
"""What a manifest is in a catalog, beside the roles of images."""
COLLECTION = "collection"
"""Metadata key of `output.dataset`."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What became of units that were to be registered."""

    done: tuple[Sealed, ...]
    elsewhere: tuple[tuple[Sealed, str], ...] = ()
    """Registered from another destination, where the same request was committed, too: with the manifest's location
    there. Nothing is wrong, and nothing is left to do."""
    refused: tuple[Sealed, ...] = ()
    """The catalog knows other files under their names; trying again does not help."""
    conflict: Failed | None = None
    """Why those are refused."""
    pending: Failed | None = None
    """Why the rest waits."""

    @property
    def failed(self) -> Failed | None:
        """The reason that can still pass, if there are several."""
        return self.pending or self.conflict


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found under a location."""

    manifests: tuple[UnitManifest, ...]
    """All that is registered now."""
    skipped: tuple[str, ...]
    """One sentence for each unit that is not as it should be; it is not registered."""
    failed: Failed | None = None
    """Why some other units are not registered."""
    elsewhere: tuple[str, ...] = ()
    """One sentence for each unit that is registered from another destination."""


Look = Callable[[str, UnitManifest], UnitManifest | None]
"""Reads the manifest at another location, of the same unit as the one that is given; None if it is not to be had."""


def look_nowhere(_url: str, _manifest: UnitManifest) -> UnitManifest | None:
    """Where only one destination is known."""
    return None


def records_of(unit: Sealed) -> list[FileRecord]:
    """The unit's files as the catalog knows them, its manifest last.

    The manifest is registered because sites remove files that no catalog knows.
    """
    manifest, place = unit.manifest, unit.place
    shared: dict[str, str | int] = {
        **manifest.metadata,
        "visit": manifest.visit,
        "sensor": manifest.sensor,
        "exposure": manifest.exposure,
        "filter": FILTER_LETTERS[manifest.filter],
        "attempt": manifest.attempt,
    }
    given = manifest.metadata.get(COLLECTION)
    collection = given if isinstance(given, str) else None
    name = manifest_name(manifest.unit)
    receipt = FileRecord(
        name=place.record_name(manifest.visit, f"{UNITS_FOLDER}/{name}"),
        dataset=place.dataset(manifest.visit),
        url=public_url(place.receipt_url(manifest.visit, name)),
        size_bytes=unit.size_bytes,
        adler32=unit.adler32,
        metadata={**shared, "role": MANIFEST_ROLE},
        replaces=manifest.replaces,
        collection=collection,
    )
    files = [
        FileRecord(
            name=place.record_name(manifest.visit, file.name),
            dataset=place.dataset(manifest.visit),
            url=public_url(place.file_url(manifest.visit, file.name)),
            size_bytes=file.size_bytes,
            adler32=file.adler32,
            metadata={**shared, "role": file.role.value, **({"amplifier": file.amplifier} if file.amplifier else {})},
            replaces=file.replaces,
            collection=collection,
        )
        for file in manifest.files
    ]
    return [*files, receipt]


def register_units(catalog: Catalog, units: Sequence[Sealed], look: Look = look_nowhere) -> Registration:
    """Register every file of committed units in one call, or unit by unit if one of them is refused."""
    failed = _register(catalog, units)
    if failed is None:
        return Registration(done=tuple(units))
    if failed.failure is not Failure.REGISTRATION_CONFLICT:
        return Registration(done=(), pending=failed)
    done: list[Sealed] = []
    elsewhere: list[tuple[Sealed, str]] = []
    refused: list[Sealed] = []
    conflict, pending = None, None
    for unit in units:
        one = _register(catalog, [unit]) if len(units) > 1 else failed
        if one is None:
            done.append(unit)
        elif one.failure is not Failure.REGISTRATION_CONFLICT:
            pending = one
            break
        elif url := _registered_twin(catalog, unit, look):
            elsewhere.append((unit, url))
        else:
            refused.append(unit)
            conflict = conflict or one
    return Registration(
        done=tuple(done), elsewhere=tuple(elsewhere), refused=tuple(refused), conflict=conflict, pending=pending
    )


def _registered_twin(catalog: Catalog, unit: Sealed, look: Look) -> str | None:
    """Where the unit's registered manifest is, if that is another destination and it answers the same request."""
    visit = unit.manifest.visit
    name = unit.place.record_name(visit, f"{UNITS_FOLDER}/{manifest_name(unit.manifest.unit)}")
    try:
        known = next((one for one in catalog.known(unit.place.dataset(visit)) if one.name == name), None)
    except CatalogError:
        return None
    if known is None or unit.place.holds(known.url):
        return None
    twin = look(known.url, unit.manifest)
    return known.url if twin is not None and twin.digest == unit.manifest.digest else None


def _register(catalog: Catalog, units: Sequence[Sealed]) -> Failed | None:
    records = [record for unit in units for record in records_of(unit)]
    if not records:
        return None
    try:
        catalog.register(records)
    except CatalogError as error:
        return Failed(failure=error.failure, detail=error.detail)
    return None


def register_location(
    storage: Storage, catalog: Catalog, location: str, look: Look = look_nowhere
) -> Replayed | Failed:  # fmt: skip
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
    units = [unit for one, _ in replayed for unit in one]
    skipped = tuple(reason for _, reasons in replayed for reason in reasons)
    if not units and not skipped:
        return Failed(failure=Failure.USAGE, detail=f"{location} holds no committed unit")
    registration = register_units(catalog, units, look)
    if registration.failed is not None and not registration.done:
        return registration.failed
    twin = "{}: the same request is registered from {}; this copy is not needed"
    return Replayed(
        manifests=tuple(unit.manifest for unit in registration.done),
        skipped=skipped,
        failed=registration.failed,
        elsewhere=tuple(twin.format(unit.manifest.unit, url) for unit, url in registration.elsewhere),
    )


def _visits(storage: Storage, place: JobPlace) -> list[str]:
    return [visit for name in sorted(storage.folders(place.folder)) if (visit := visit_of_folder(name))]


def _committed(storage: Storage, place: JobPlace, visit: str) -> tuple[list[Sealed], list[str]]:
    """The visit's units that are whole, and a sentence for each other one."""
    units = [unit_of(entry.name) for entry in storage.list(place.units_folder(visit)) if is_manifest(entry.name)]
    standing = {unit: read_manifest(storage, place, visit, unit) for unit in sorted(units)}
    sizes = {entry.name: entry.size_bytes for entry in storage.list(place.visit_folder(visit))}
    whole: list[Sealed] = []
    skipped: list[str] = []
    for unit, found in standing.items():
        if found is None:
            continue
        if isinstance(found, Invalid):
            skipped.append(f"{unit}: its manifest is not valid: {found.reason}")
        elif lost := complete(storage, place, found.manifest, sizes):
            skipped.append(f"{unit}: {', '.join(lost)} is lost; run the job again")
        else:
            whole.append(found.sealed)
    return whole, skipped
