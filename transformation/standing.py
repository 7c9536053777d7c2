"""What stands at the destination for a unit, and how an earlier attempt's work there is finished or cleaned up.

Rules of this file
1. A manifest is valid or it is not there; a unit is done if its manifest is valid and every file it names stands at its
   size. Only files that a standing manifest names get their final names.
2. While a temporary that a manifest names exists, its rename is still to be done, whatever stands under the final
   name: that may be an earlier version of the same size.
3. Looking comes before every verdict of loss: a listing may be older than the rename that it does not show. The
   temporary is asked for first, then the final name, so that a rename between the two questions is seen.
4. Renaming replaces silently on every storage, so whoever moves a manifest reads what was moved and puts it back if it
   is not the one that was judged.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec

from transformation.layout import (
    JobPlace,
    aside_name,
    failure_name,
    is_aside,
    is_claim,
    manifest_name,
    public_url,
    unit_of,
)
from transformation.model.failures import Failed
from transformation.model.manifest import (
    LIMIT_BYTES,
    FailureRecord,
    ManifestFile,
    UnitManifest,
    parse_failure,
    parse_manifest,
    temporary_owner,
)
from transformation.model.work import StoredFile, Unit
from transformation.ports import Missing, Storage, TooLarge


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A valid manifest, with size and checksum of the bytes that stand: they may be another version's."""

    place: JobPlace
    manifest: UnitManifest
    size_bytes: int
    adler32: str

    @property
    def stored_files(self) -> list[StoredFile]:
        """The unit's files, where they stand."""
        return [
            StoredFile(
                name=file.name,
                url=public_url(self.place.file_url(self.manifest.visit, file.name)),
                role=file.role,
                size_bytes=file.size_bytes,
                adler32=file.adler32,
                amplifier=file.amplifier,
            )
            for file in self.manifest.files
        ]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A valid manifest under a unit's name."""

    place: JobPlace
    manifest: UnitManifest
    content: bytes

    @property
    def sealed(self) -> Sealed:
        """Without the bytes themselves."""
        adler32 = f"{zlib.adler32(self.content):08x}"
        return Sealed(place=self.place, manifest=self.manifest, size_bytes=len(self.content), adler32=adler32)


class Invalid(msgspec.Struct, frozen=True, kw_only=True):
    """Something else under a unit's name."""

    reason: str
    content: bytes | None
    """None if it is too large to be read."""


def read_manifest(storage: Storage, place: JobPlace, visit: str, unit: str) -> Standing | Invalid | None:
    """What stands under the name of the unit with that id; None for nothing. Raises `StorageError`."""
    return _read(storage, place, place.receipt_url(visit, manifest_name(unit)), unit)


def read_failure(storage: Storage, place: JobPlace, unit: Unit, *, digest: str) -> Failed | None:
    """The final failure that stands for this request of the unit. Raises `StorageError`."""
    try:
        content = storage.read(place.receipt_url(unit.visit, failure_name(unit.id)), limit_bytes=LIMIT_BYTES)
    except (Missing, TooLarge):
        return None
    note = parse_failure(content, unit=unit.id)
    return note.failed if isinstance(note, FailureRecord) and note.digest == digest else None


def complete(storage: Storage, place: JobPlace, manifest: UnitManifest, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Carry out the manifest's missing renames; the names of the files that are lost. Raises `StorageError`.

    `sizes` is a listing of the visit's folder that is not older than the manifest, or what the caller knows of it.
    """
    return tuple(file.name for file in manifest.files if not _bring_up(storage, place, manifest.visit, file, sizes))


def set_aside(storage: Storage, place: JobPlace, unit: Unit, judged: bytes | None, *, token: str) -> None:
    """Move a bad manifest out of the way; one that another attempt put there meanwhile goes back.

    `judged` is the bad content, None if it was too large to be read; `token` is unique to this act. Raises
    `StorageError`.
    """
    url = place.receipt_url(unit.visit, manifest_name(unit.id))
    aside_url = place.receipt_url(unit.visit, aside_name(unit.id, token))
    with suppress(Missing):  # another attempt moved it; or we did, and a lost answer made the coat ask again
        storage.rename(url, aside_url)
    try:
        moved = storage.read(aside_url, limit_bytes=LIMIT_BYTES)
    except (TooLarge, Missing):  # Missing: it was not us, or another attempt cleaned up after its own commit
        return
    if moved != judged:
        storage.create(url, moved)
        storage.delete(aside_url)


def restore(storage: Storage, place: JobPlace, unit: Unit, asides: Iterable[str], sizes: Mapping[str, int]) -> bool:
    """Put back a good manifest that an attempt moved aside by mistake before it was killed; True if there was one.

    `sizes` is a listing of the visit's folder. Raises `StorageError`.
    """
    for aside in _read_asides(storage, place, unit, asides):
        if all(file.size_bytes in {sizes.get(file.temporary), sizes.get(file.name)} for file in aside.manifest.files):
            storage.create(place.receipt_url(unit.visit, manifest_name(unit.id)), aside.content)
            return True
    return False


def lost_versions(storage: Storage, place: JobPlace, unit: Unit, asides: Iterable[str]) -> dict[str, frozenset[str]]:
    """Checksums, by file name, of versions that manifests moved aside vouched for, and of those manifests.

    Raises `StorageError`.
    """
    versions: dict[str, frozenset[str]] = {}
    for aside in _read_asides(storage, place, unit, asides):
        versions = with_versions(versions, aside)
    return versions


def with_versions(versions: Mapping[str, frozenset[str]], lost: Standing) -> dict[str, frozenset[str]]:
    """The same with the versions that one more lost manifest knows, its own among them."""
    sealed = lost.sealed
    more: dict[str, set[str]] = {file.name: {*file.replaces, file.adler32} for file in lost.manifest.files}
    more[manifest_name(lost.manifest.unit)] = {*lost.manifest.replaces, sealed.adler32}
    return {name: versions.get(name, frozenset()) | more.get(name, set()) for name in {*versions, *more}}


def sweep(
    storage: Storage, place: JobPlace, unit: Unit, standing: Standing, files: Iterable[str], receipts: Collection[str]
) -> None:
    """Remove what attempts left lying of a unit whose files all stand. Raises `StorageError`.

    `files` and `receipts` are the names in the visit's folder and in its `.units` folder.
    """
    own = {file.name for file in standing.manifest.files} | {file.name for file in unit.files}
    for name in files:
        if name.startswith(".") and temporary_owner(name) in own:
            storage.delete(place.file_url(unit.visit, name))
    stale = hidden_of(unit.id, receipts)
    for name in (*stale, *({failure_name(unit.id)} & set(receipts))):
        storage.delete(place.receipt_url(unit.visit, name))
    if any(is_aside(name) for name in stale):
        # One of them may have been this very manifest, moved by an attempt that did not live to put it back.
        storage.create(place.receipt_url(unit.visit, manifest_name(unit.id)), standing.content)


def sweep_elsewhere(
    storage: Storage, place: JobPlace, units: Iterable[Unit], receipts: Mapping[str, Collection[str]]
) -> None:
    """Remove what attempts left lying here of units that are committed at another destination.

    `receipts` are their names in the `.units` folder, by unit id; claims stay. Raises `StorageError`.
    """
    units = list(units)
    owners = {file.name for unit in units for file in unit.files}
    for visit in sorted({unit.visit for unit in units}):
        for name in [entry.name for entry in storage.list(place.visit_folder(visit)) if entry.name.startswith(".")]:
            if temporary_owner(name) in owners:
                storage.delete(place.file_url(visit, name))
    for unit in units:
        names = receipts.get(unit.id, ())
        for name in (*hidden_of(unit.id, names), *({failure_name(unit.id)} & set(names))):
            if not is_claim(name):
                storage.delete(place.receipt_url(unit.visit, name))


def hidden_of(unit: str, receipts: Iterable[str]) -> list[str]:
    """The hidden names in a `.units` folder that belong to the unit: manifests moved aside, unfinished writes."""
    return [name for name in receipts if name.startswith(".") and unit_of(name) == unit]


def _read(storage: Storage, place: JobPlace, url: str, unit: str) -> Standing | Invalid | None:
    try:
        content = storage.read(url, limit_bytes=LIMIT_BYTES)
    except Missing:
        return None
    except TooLarge as error:
        return Invalid(reason=error.detail, content=None)
    manifest = parse_manifest(content, unit=unit)
    if isinstance(manifest, str):
        return Invalid(reason=manifest, content=content)
    return Standing(place=place, manifest=manifest, content=content)


def _read_asides(storage: Storage, place: JobPlace, unit: Unit, names: Iterable[str]) -> Iterator[Standing]:
    for name in filter(is_aside, names):
        aside = _read(storage, place, place.receipt_url(unit.visit, name), unit.id)
        if isinstance(aside, Standing):
            yield aside


def _bring_up(storage: Storage, place: JobPlace, visit: str, file: ManifestFile, sizes: Mapping[str, int]) -> bool:
    temporary_url, url = place.file_url(visit, file.temporary), place.file_url(visit, file.name)
    temporary_bytes = sizes.get(file.temporary)
    if temporary_bytes is None:
        if sizes.get(file.name) == file.size_bytes:
            return True
        temporary = storage.stat(temporary_url)
        temporary_bytes = None if temporary is None else temporary.size_bytes
    if temporary_bytes == file.size_bytes:
        try:
            storage.rename(temporary_url, url)
        except Missing:  # another attempt was faster
            pass
        else:
            return True
    final = storage.stat(url)
    return final is not None and final.size_bytes == file.size_bytes
