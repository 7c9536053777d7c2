"""Storage, catalog and manifests held against each other: every disagreement has its name, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.conformance.scripted_storage import Killed, ScriptedStorage
from tests.unit.commit_world import NAMES, RECEIPT, UNIT, VISIT, World
from transformation.catalog.sqlite import SqliteCatalog
from transformation.layout import aside_name, failure_name, manifest_name
from transformation.model.failures import Failed, Failure
from transformation.ports import StorageError
from transformation.reconcile import Finding, Kind, Reconciled, reconcile
from transformation.register import records_of, register_location
from transformation.stage_out import record_failure
from transformation.standing import Standing, read_manifest
from transformation.storage.memory import MemoryStorage

DATASET = f"run-00019/v{VISIT}"
RECEIPT_PATH = f".units/{manifest_name(UNIT.id)}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(MemoryStorage(), "memory:/store", tmp_path)
    world.commit("a")
    return world


@pytest.fixture
def catalog(world: World, tmp_path: Path) -> SqliteCatalog:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    register_location(world.storage, catalog, world.place.folder)
    return catalog


def look(world: World, catalog: SqliteCatalog, *, checksums: bool = False) -> Reconciled:
    before = {name: world.content(name) for name in world.names()[0]}, world.names(), list(catalog.known(DATASET))
    result = reconcile(world.storage, catalog, world.place.folder, checksums=checksums)
    assert isinstance(result, Reconciled)
    after = {name: world.content(name) for name in world.names()[0]}, world.names(), list(catalog.known(DATASET))
    assert before == after
    return result


def found(world: World, catalog: SqliteCatalog, *, checksums: bool = False) -> list[tuple[str, str]]:
    findings = look(world, catalog, checksums=checksums).findings
    assert all(one.detail for one in findings)
    return [(one.kind.value, one.name.removeprefix(f"{DATASET}/")) for one in findings]


def test_all_agree(world: World, catalog: SqliteCatalog) -> None:
    assert look(world, catalog, checksums=True) == Reconciled(n_units=1, n_stored=3, n_registered=3, findings=())
    assert reconcile(world.storage, catalog, world.place.visit_folder(VISIT)) == look(world, catalog)


def test_what_is_not_registered(world: World, tmp_path: Path) -> None:
    empty = SqliteCatalog(tmp_path / "another.sqlite")
    assert found(world, empty) == [("unregistered", name) for name in sorted([RECEIPT_PATH, *NAMES])]
    assert not (tmp_path / "another.sqlite").exists()


def spoil_lost(world: World) -> None:
    world.storage.delete(world.place.file_url(VISIT, NAMES[0]))


def spoil_size(world: World) -> None:
    world.put(NAMES[0], b"short")


def spoil_dark(world: World) -> None:
    world.put("somebody.fits", b"else")


def spoil_leftover(world: World) -> None:
    world.put(f".{NAMES[0]}.zz.part", b"half")


def spoil_aside(world: World) -> None:
    world.put(f".units/{aside_name(UNIT.id, 'zz')}", b"{}")


def spoil_dark_receipt(world: World) -> None:
    world.put(".units/notes.txt", b"what is this")


def spoil_invalid(world: World) -> None:
    world.put(".units/v87393588-R22_S12-E000.json", b"garbage")


@pytest.mark.parametrize(
    ("spoil", "kind", "name"),
    [
        (spoil_lost, "lost", NAMES[0]),
        (spoil_size, "lost", NAMES[0]),
        (spoil_dark, "dark", "somebody.fits"),
        (spoil_leftover, "leftover", f".{NAMES[0]}.zz.part"),
        (spoil_aside, "leftover", f".units/{aside_name(UNIT.id, 'zz')}"),
        (spoil_dark_receipt, "dark", ".units/notes.txt"),
        (spoil_invalid, "invalid", ".units/v87393588-R22_S12-E000.json"),
    ],
)
def test_one_thing_is_wrong(
    world: World, catalog: SqliteCatalog, spoil: Callable[[World], None], kind: str, name: str
) -> None:
    spoil(world)
    assert found(world, catalog) == [(kind, name)]


def test_a_failure_record_is_as_it_should_be(world: World, catalog: SqliteCatalog) -> None:
    failed = Failed(failure=Failure.SED_MISSING, detail="no such spectrum")
    record_failure(world.storage, world.place, UNIT, failed, receipt=RECEIPT, clock=lambda: 0.0)
    assert failure_name(UNIT.id) in world.names()[1]
    assert found(world, catalog) == []


def test_a_rename_that_is_still_to_be_done(tmp_path: Path) -> None:
    world = World(MemoryStorage(), "memory:/store", tmp_path)

    def before(operation: str, url: str) -> None:
        if operation == "rename":
            raise Killed

    with pytest.raises(Killed):
        world.commit("a", ScriptedStorage(world.storage, before=before))
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    assert {kind for kind, _ in found(world, catalog)} == {"unfinished", "unregistered"}
    register_location(world.storage, catalog, world.place.folder)
    assert found(world, catalog) == []


def test_registered_otherwise_than_vouched_for(world: World, tmp_path: Path) -> None:
    catalog = SqliteCatalog(tmp_path / "other.sqlite")
    standing = read_manifest(world.storage, world.place, VISIT, UNIT.id)
    assert isinstance(standing, Standing)
    first, second, receipt = records_of(standing.sealed)
    catalog.register([replace(first, adler32="00000001"), replace(second, url="memory:/elsewhere"), receipt])
    assert found(world, catalog) == [("different", name) for name in sorted(NAMES)]


@pytest.mark.parametrize(("stands", "words"), [(True, "it stands"), (False, "it is not on the storage")])
def test_registered_without_a_manifest(world: World, catalog: SqliteCatalog, stands: bool, words: str) -> None:
    name = "lsst_e_87393588_f2_R22_S12_E000.fits.gz"
    first = catalog.known(DATASET)[0]
    catalog.register([replace(first, name=f"{DATASET}/{name}", url=world.place.file_url(VISIT, name))])
    if stands:
        world.put(name, b"x" * 64)
    (finding,) = look(world, catalog).findings
    assert (finding.kind, finding.name) == (Kind.STRAY, f"{DATASET}/{name}")
    assert words in finding.detail


def test_other_bytes_of_the_same_size_need_checksums(world: World, catalog: SqliteCatalog) -> None:
    content = world.content(NAMES[0])
    assert content is not None
    world.put(NAMES[0], content[::-1])
    assert found(world, catalog) == []
    assert found(world, catalog, checksums=True) == [("different", NAMES[0])]


@pytest.mark.parametrize("location", ["memory:/store/tonyj/nothing", "memory:/"])
def test_no_job_is_there(world: World, catalog: SqliteCatalog, location: str) -> None:
    failed = reconcile(world.storage, catalog, location)
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.USAGE


def test_a_storage_that_does_not_answer(world: World, catalog: SqliteCatalog) -> None:
    def before(operation: str, url: str) -> None:
        raise StorageError(Failure.STORAGE_UNREACHABLE, "no answer", transient=True)

    failed = reconcile(ScriptedStorage(world.storage, before=before), catalog, world.place.folder)
    assert failed == Failed(failure=Failure.STORAGE_UNREACHABLE, detail="no answer")


def test_findings_go_into_json() -> None:
    finding = Finding(kind=Kind.DARK, name="a", detail="b")
    assert json.dumps(finding.kind) == '"dark"'
