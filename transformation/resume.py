"""What is already done: asked of the storage, before anything is simulated.

Rules of this file
1. A storage that stays silent or refuses is an error, never "missing": its `StorageError` goes through.
2. Manifests are read before the folder of images is listed: a listing is never older than what it is held against.
3. Asked are the job's own visits, one listing of receipts and one of images each, and its own units' manifests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

from transformation.layout import JobPlace, failure_name, is_claim, manifest_name, unit_of
from transformation.model.failures import Failed
from transformation.model.manifest import UnitManifest
from transformation.model.work import Unit
from transformation.outcomes import conflict
from transformation.ports import Entry, Storage, StorageError
from transformation.standing import Invalid, Sealed, Standing, complete, read_failure, read_manifest, restore, sweep

_QUESTIONS_AT_ONCE = 16


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The unit is committed or empty, and its files stand."""

    sealed: Sealed

    @property
    def manifest(self) -> UnitManifest:
        """What stands."""
        return self.sealed.manifest


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """The unit stands there for another request."""

    failed: Failed


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The unit was committed but has to be made again."""

    reason: str


class KnownFailure(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier attempt found that this request cannot succeed for the unit."""

    failed: Failed


Verdict = Done | Conflict | Lost | KnownFailure


Receipts = Mapping[str, Mapping[str, Sequence[str]]]
"""Names in the `.units` folders, by visit and unit id."""


def what_is_done(
    storage: Storage, place: JobPlace, units: Sequence[Unit], digest_by_visit: Mapping[str, str]
) -> dict[str, Verdict]:
    """What is known of each unit, by unit id; a unit of which nothing is known has no entry.

    Finishes what an earlier attempt committed but did not rename, removes what it left lying. Raises `StorageError`.
    """
    return judge_receipts(storage, place, units, digest_by_visit, list_receipts(storage, place, units))


def list_receipts(storage: Storage, place: JobPlace, units: Sequence[Unit]) -> Receipts:
    """What stands in the `.units` folders of these units' visits. Raises `StorageError`."""
    visits = sorted({unit.visit for unit in units})
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE, thread_name_prefix="resume") as pool:
        listings = pool.map(lambda visit: _by_unit(storage.list(place.units_folder(visit))), visits)
        return dict(zip(visits, listings, strict=True))


def judge_receipts(
    storage: Storage,
    place: JobPlace,
    units: Sequence[Unit],
    digest_by_visit: Mapping[str, str],
    receipts: Receipts,
) -> dict[str, Verdict]:
    """See `what_is_done`, with what was listed before."""
    known = [unit for unit in units if any(not is_claim(name) for name in receipts[unit.visit].get(unit.id, ()))]
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE, thread_name_prefix="resume") as pool:
        found = list(pool.map(lambda unit: _look(storage, place, unit, receipts[unit.visit][unit.id]), known))
        touched = sorted({unit.visit for unit in known})
        folders = pool.map(lambda visit: _sizes(storage, place, visit), touched)
        sizes = dict(zip(touched, folders, strict=True))
    hidden = {visit: [name for name in names if name.startswith(".")] for visit, names in sizes.items()}
    verdicts: dict[str, Verdict] = {}
    for unit, standing in zip(known, found, strict=True):
        question = _Question(
            storage=storage,
            place=place,
            unit=unit,
            digest=digest_by_visit[unit.visit],
            receipts=receipts[unit.visit][unit.id],
            sizes=sizes[unit.visit],
            hidden=hidden[unit.visit],
        )
        verdict = question.answer(standing)
        if verdict is not None:
            verdicts[unit.id] = verdict
    return verdicts


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    """How does one unit stand, of which the listings show something?"""

    storage: Storage
    place: JobPlace
    unit: Unit
    digest: str
    receipts: Sequence[str]
    """The unit's names in the `.units` folder."""
    sizes: Mapping[str, int]
    """Of all names in the visit's folder, bytes."""
    hidden: Sequence[str]
    """The hidden ones among them, picked out once: a visit has thousands of names and hundreds of units."""

    def answer(self, found: Standing | Invalid | None) -> Verdict | None:
        if found is None and restore(self.storage, self.place, self.unit, self.receipts, self.sizes):
            found = read_manifest(self.storage, self.place, self.unit.visit, self.unit.id)
        if isinstance(found, Standing):
            return self._of_standing(found)
        if failure_name(self.unit.id) in self.receipts:
            failed = read_failure(self.storage, self.place, self.unit, digest=self.digest)
            if failed is not None:
                return KnownFailure(failed=failed)
        return None if found is None else Lost(reason=f"its manifest is not valid: {found.reason}")

    def _of_standing(self, standing: Standing) -> Verdict:
        manifest = standing.manifest
        if manifest.digest != self.digest:
            return Conflict(failed=conflict(self.unit, found=manifest.digest, wanted=self.digest))
        lost = complete(self.storage, self.place, manifest, self.sizes)
        if lost:
            return Lost(reason=f"not there at its size: {', '.join(lost)}")
        with suppress(StorageError):  # the unit is done; what is left lying is the next attempt's to remove
            sweep(self.storage, self.place, self.unit, standing, self.hidden, self.receipts)
        return Done(sealed=standing.sealed)


def _by_unit(listing: Sequence[Entry]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for entry in listing:
        names.setdefault(unit_of(entry.name), []).append(entry.name)
    return names


def _look(storage: Storage, place: JobPlace, unit: Unit, receipts: Sequence[str]) -> Standing | Invalid | None:
    if manifest_name(unit.id) not in receipts:
        return None
    return read_manifest(storage, place, unit.visit, unit.id)


def _sizes(storage: Storage, place: JobPlace, visit: str) -> dict[str, int]:
    return {entry.name: entry.size_bytes for entry in storage.list(place.visit_folder(visit))}
