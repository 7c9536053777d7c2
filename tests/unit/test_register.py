"""Committed images in the catalog: once, whole, and again without harm."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.conformance.scripted_storage import Killed, ScriptedStorage
from tests.unit.commit_world import NAMES, RECEIPT, UNIT, VISIT, World
from transformation.catalog.sqlite import SqliteCatalog
from transformation.layout import manifest_name
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import UnitManifest
from transformation.ports import CatalogError, FileRecord, StorageError
from transformation.register import Registration, Replayed, records_of, register_location, register_units
from transformation.stage_out import record_empty
from transformation.standing import Sealed, Standing, read_manifest
from transformation.storage.memory import MemoryStorage

DATASET = f"run-00019/v{VISIT}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(MemoryStorage(), "memory:/store", tmp_path)


@pytest.fixture
def catalog(tmp_path: Path) -> SqliteCatalog:
    return SqliteCatalog(tmp_path / "catalog.sqlite")


def unit_of(world: World) -> Sealed:
    standing = read_manifest(world.storage, world.place, VISIT, UNIT.id)
    assert isinstance(standing, Standing)
    return standing.sealed


def manifest_of(world: World) -> UnitManifest:
    return unit_of(world).manifest


RECEIPT_NAME = f"{DATASET}/.units/{UNIT.id}.json"


def test_records_say_what_the_manifest_says(world: World) -> None:
    world.commit("a")
    manifest = manifest_of(world)
    first, _, last = records_of(unit_of(world))
    assert first == FileRecord(
        name=f"{DATASET}/{NAMES[0]}",
        dataset=DATASET,
        url=f"memory:/store/tonyj/{DATASET}/{NAMES[0]}",
        size_bytes=64,
        adler32=manifest.files[0].adler32,
        metadata={
            "visit": VISIT,
            "sensor": "R22_S11",
            "exposure": 0,
            "filter": "r",
            "role": "electron_image",
            "attempt": 1,
            "release": "quicksim-1.0",
            "job": "run-00019",
            "user": "tonyj",
        },
    )
    content = world.storage.read(world.place.receipt_url(VISIT, manifest_name(UNIT.id)), limit_bytes=10**6)
    assert last == FileRecord(
        name=RECEIPT_NAME,
        dataset=DATASET,
        url=f"memory:/store/tonyj/{RECEIPT_NAME}",
        size_bytes=len(content),
        adler32=f"{zlib.adler32(content):08x}",
        metadata={**first.metadata, "role": "manifest"},
    )


def test_units_are_registered_in_one_call(world: World) -> None:
    calls: list[int] = []

    class Counting(SqliteCatalog):
        def register(self, records: list[FileRecord]) -> None:
            calls.append(len(records))

    world.commit("a")
    units = [unit_of(world)] * 3
    assert register_units(Counting(Path("unused")), units) == Registration(done=tuple(units))
    assert calls == [9]


def test_an_empty_unit_registers_its_receipt(world: World, catalog: SqliteCatalog) -> None:
    record_empty(world.storage, world.place, UNIT, receipt=RECEIPT, token="a", clock=lambda: 0.0)
    assert register_units(catalog, [unit_of(world)]).failed is None
    assert [record.name for record in catalog.known(DATASET)] == [RECEIPT_NAME]


def test_a_catalog_that_is_down_is_a_value(world: World) -> None:
    class Down(SqliteCatalog):
        def register(self, records: list[FileRecord]) -> None:
            raise CatalogError(Failure.REGISTRATION_PENDING, "no answer", transient=True)

    world.commit("a")
    registration = register_units(Down(Path("unused")), [unit_of(world)])
    assert registration == Registration(
        done=(), pending=Failed(failure=Failure.REGISTRATION_PENDING, detail="no answer")
    )


@pytest.mark.parametrize("level", ["job", "visit"])
def test_a_location_is_replayed_any_number_of_times(world: World, catalog: SqliteCatalog, level: str) -> None:
    world.commit("a")
    location = world.place.folder if level == "job" else world.place.visit_folder(VISIT)
    for _ in range(3):
        assert register_location(world.storage, catalog, location) == Replayed(
            manifests=(manifest_of(world),), skipped=()
        )
        assert [record.name for record in catalog.known(DATASET)] == sorted(
            [RECEIPT_NAME, *(f"{DATASET}/{name}" for name in NAMES)]
        )


def test_nothing_is_registered_that_is_not_there(world: World, catalog: SqliteCatalog) -> None:
    world.commit("a")
    world.put(f".units/v{VISIT}-R22_S12-E000.json", b"garbage")
    world.storage.delete(world.place.file_url(VISIT, NAMES[0]))
    replayed = register_location(world.storage, catalog, world.place.folder)
    assert isinstance(replayed, Replayed)
    assert replayed.manifests == ()
    lost, invalid = replayed.skipped
    assert NAMES[0] in lost
    assert "R22_S12" in invalid
    assert list(catalog.known(DATASET)) == []


def test_renames_of_a_dead_attempt_are_carried_out_first(world: World, catalog: SqliteCatalog) -> None:
    def before(operation: str, url: str) -> None:
        if operation == "rename":
            raise Killed

    with pytest.raises(Killed):
        world.commit("a", ScriptedStorage(world.storage, before=before))
    register_location(world.storage, catalog, world.place.folder)
    world.check_done()
    assert len(catalog.known(DATASET)) == 3


def test_a_redone_unit_takes_the_place_of_the_lost_one(world: World, catalog: SqliteCatalog) -> None:
    for token in ("y", "a", "b"):
        world.attempt(token)
        unit = unit_of(world)
        assert register_units(catalog, [unit]) == Registration(done=(unit,))
        adler32 = {record.name: record.adler32 for record in catalog.known(DATASET)}
        assert adler32.pop(RECEIPT_NAME) == unit.adler32
        assert adler32 == {f"{DATASET}/{file.name}": file.adler32 for file in world.check_done().files}
        world.storage.delete(world.place.file_url(VISIT, NAMES[0]))


def test_other_bytes_under_a_known_name_are_a_conflict(world: World, catalog: SqliteCatalog) -> None:
    world.commit("a")
    register_units(catalog, [unit_of(world)])
    world.storage.delete(world.place.receipt_url(VISIT, manifest_name(UNIT.id)))
    world.commit("b")
    unit = unit_of(world)
    registration = register_units(catalog, [unit])
    assert registration.refused == (unit,)
    assert registration.failed is not None
    assert registration.failed.failure is Failure.REGISTRATION_CONFLICT


def test_a_refused_unit_keeps_no_other_out(world: World, catalog: SqliteCatalog) -> None:
    world.commit("a")
    good = unit_of(world)
    other = msgspec.structs.replace(good.manifest, unit=f"v{VISIT}-R22_S12-E000", files=())
    bad = Sealed(place=world.place, manifest=other, size_bytes=1, adler32="00000001")
    register_units(catalog, [bad])
    worse = replace(bad, adler32="00000002")
    registration = register_units(catalog, [worse, good])
    assert (registration.done, registration.refused) == ((good,), (worse,))
    assert registration.failed is registration.conflict is not None
    assert len(catalog.known(DATASET)) == 4


@pytest.mark.parametrize("location", ["memory:/", "memory:/job", "memory:/store/tonyj/nothing", "memory:/x/y/z/v1"])
def test_a_location_without_units(world: World, catalog: SqliteCatalog, location: str) -> None:
    failed = register_location(world.storage, catalog, location)
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.USAGE


def test_a_silent_storage_is_a_value(world: World, catalog: SqliteCatalog) -> None:
    def before(operation: str, url: str) -> None:
        raise StorageError(Failure.STORAGE_UNREACHABLE, "no answer", transient=True)

    failed = register_location(ScriptedStorage(world.storage, before=before), catalog, world.place.folder)
    assert failed == Failed(failure=Failure.STORAGE_UNREACHABLE, detail="no answer")
