"""A unit that two attempts, which met nowhere, committed at two destinations: told, and harmless."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.unit.commit_world import DIGEST, OTHER_DIGEST, RECEIPT, UNIT, VISIT, World
from tests.unit.destination_world import Destinations
from transformation.catalog.sqlite import SqliteCatalog
from transformation.layout import manifest_name
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import UnitManifest
from transformation.reconcile import HARMLESS, Kind, Reconciled, reconcile
from transformation.register import Replayed, register_location, register_units
from transformation.standing import Sealed, Standing, read_manifest
from transformation.storage.memory import MemoryStorage
from transformation.whereabouts import find_units

DATASET = f"run-00019/v{VISIT}"


class Twice:
    """The same unit at two places of one storage, with one catalog."""

    def __init__(self, folder: Path, *, second: str = DIGEST) -> None:
        storage = MemoryStorage()
        self.worlds = [World(storage, f"memory:/store{k}", folder) for k in (0, 1)]
        self.worlds[0].commit("a")
        self.worlds[1].commit("b", receipt=replace(RECEIPT, digest=second))
        self.catalog = SqliteCatalog(folder / "catalog.sqlite")

    def sealed(self, number: int) -> Sealed:
        world = self.worlds[number]
        found = read_manifest(world.storage, world.place, VISIT, UNIT.id)
        assert isinstance(found, Standing)
        return found.sealed

    def look(self, url: str, manifest: UnitManifest) -> UnitManifest | None:
        (world,) = [one for one in self.worlds if one.place.holds(url)]
        assert manifest.unit == UNIT.id
        return world.manifest()


def test_the_second_copy_is_no_conflict(tmp_path: Path) -> None:
    twice = Twice(tmp_path)
    first, second = twice.sealed(0), twice.sealed(1)
    assert register_units(twice.catalog, [first]).done == (first,)
    registration = register_units(twice.catalog, [second], twice.look)
    url = twice.worlds[0].place.receipt_url(VISIT, manifest_name(UNIT.id))
    assert registration.elsewhere == ((second, url),)
    assert (registration.done, registration.refused, registration.failed) == ((), (), None)
    assert {record.url.partition("/tonyj")[0] for record in twice.catalog.known(DATASET)} == {"memory:/store0"}


@pytest.mark.parametrize("why", ["another request", "cannot be read"])
def test_what_is_not_surely_the_same_is_a_conflict(tmp_path: Path, why: str) -> None:
    twice = Twice(tmp_path, second=OTHER_DIGEST if why == "another request" else DIGEST)
    register_units(twice.catalog, [twice.sealed(0)])
    look = twice.look if why == "another request" else (lambda url, manifest: None)
    registration = register_units(twice.catalog, [twice.sealed(1)], look)
    assert registration.refused == (twice.sealed(1),)
    assert registration.failed is not None
    assert registration.failed.failure is Failure.REGISTRATION_CONFLICT


def test_replaying_a_location_says_so(tmp_path: Path) -> None:
    twice = Twice(tmp_path)
    first, second = (world.place.folder for world in twice.worlds)
    storage = twice.worlds[0].storage
    assert isinstance(register_location(storage, twice.catalog, first), Replayed)
    replayed = register_location(storage, twice.catalog, second, twice.look)
    assert isinstance(replayed, Replayed)
    assert (replayed.manifests, replayed.skipped, replayed.failed) == ((), (), None)
    (sentence,) = replayed.elsewhere
    assert UNIT.id in sentence
    assert first in sentence


def test_reconciling_says_so(tmp_path: Path) -> None:
    twice = Twice(tmp_path)
    storage = twice.worlds[0].storage
    register_location(storage, twice.catalog, twice.worlds[0].place.folder)
    found = [reconcile(storage, twice.catalog, world.place.folder) for world in twice.worlds]
    assert found[0] == Reconciled(n_units=1, n_stored=3, n_registered=3, findings=())
    assert isinstance(found[1], Reconciled)
    assert [(one.kind, UNIT.id in one.detail) for one in found[1].findings] == [(Kind.DUPLICATE, True)]
    assert {Kind.DUPLICATE} == HARMLESS
    assert (found[1].n_registered, found[1].n_elsewhere) == (0, 3)


def test_units_at_another_destination_are_no_strays(tmp_path: Path) -> None:
    twice = Twice(tmp_path)
    storage, second = twice.worlds[0].storage, twice.worlds[1]
    register_location(storage, twice.catalog, twice.worlds[0].place.folder)
    for url in [url for url in storage.files if url.startswith(second.place.folder)]:
        storage.delete(url)
    second.put("others", b"x")
    found = reconcile(storage, twice.catalog, second.place.folder)
    assert isinstance(found, Reconciled)
    assert [one.kind for one in found.findings] == [Kind.DARK]
    assert found.n_elsewhere == 3


@pytest.mark.parametrize("registered", [0, 1, None])
def test_the_registered_one_counts_else_the_first(tmp_path: Path, registered: int | None) -> None:
    twice = Twice(tmp_path)
    if registered is not None:
        register_units(twice.catalog, [twice.sealed(registered)])
    world = Destinations(2, tmp_path, twice.catalog)
    world.storage = twice.worlds[0].storage
    found = find_units(world.targets(lambda number, operation: True), [UNIT], {VISIT: DIGEST})
    at = found.done[UNIT.id]
    assert at.verdict.manifest == twice.sealed(registered or 0).manifest
    assert found.twice == {UNIT.id: (f"memory:/store{1 - (registered or 0)}",)}


def test_another_request_at_the_second_is_an_error_unless_the_first_has_ours(tmp_path: Path) -> None:
    twice = Twice(tmp_path, second=OTHER_DIGEST)
    world = Destinations(2, tmp_path, twice.catalog)
    world.storage = twice.worlds[0].storage
    targets = world.targets(lambda number, operation: True)
    assert find_units(targets, [UNIT], {VISIT: DIGEST}).done[UNIT.id].target is targets.all[0]
    twice.worlds[0].storage.delete(twice.worlds[0].place.receipt_url(VISIT, manifest_name(UNIT.id)))
    failed = find_units(targets, [UNIT], {VISIT: DIGEST}).failed[UNIT.id]
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.REQUEST_CONFLICT
