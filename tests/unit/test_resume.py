"""What an attempt believes of what stands there already."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.conformance.scripted_storage import Killed, ScriptedStorage
from tests.unit.commit_world import DIGEST, NAMES, OTHER_DIGEST, RECEIPT, UNIT, VISIT, World, made_files, make_unit
from transformation.layout import JobPlace, aside_name, failure_name, manifest_name
from transformation.model.failures import Failed, Failure
from transformation.model.work import Unit
from transformation.ports import Storage, StorageError
from transformation.resume import Conflict, Done, KnownFailure, Lost, Verdict, what_is_done
from transformation.stage_out import commit_unit, record_empty, record_failure
from transformation.storage.file import FileStorage
from transformation.storage.memory import MemoryStorage

MANIFEST = f".units/{manifest_name(UNIT.id)}"


@pytest.fixture(params=["memory", "file"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "memory":
        return World(MemoryStorage(), "memory:/store", tmp_path)
    return World(FileStorage(), str(tmp_path / "store"), tmp_path)


def ask(world: World, storage: Storage | None = None) -> Verdict | None:
    return what_is_done(storage or world.storage, world.place, [UNIT], {VISIT: DIGEST}).get(UNIT.id)


def test_nothing_is_known_of_an_empty_place(world: World) -> None:
    assert ask(world) is None


def test_a_committed_unit_is_done(world: World) -> None:
    world.commit("a")
    verdict = ask(world)
    assert isinstance(verdict, Done)
    assert verdict.manifest == world.check_done()


def test_an_empty_unit_is_done(world: World) -> None:
    record_empty(world.storage, world.place, UNIT, receipt=RECEIPT, token="a", clock=lambda: 0.0)
    verdict = ask(world)
    assert isinstance(verdict, Done)
    assert verdict.manifest.state == "empty"


@pytest.mark.parametrize("renamed", [0, 1])
def test_missing_renames_are_carried_out(world: World, renamed: int) -> None:
    left = [renamed]

    def before(operation: str, url: str) -> None:
        if operation == "rename":
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    with pytest.raises(Killed):
        world.commit("a", ScriptedStorage(world.storage, before=before))
    world.put(f".{NAMES[0]}.b.part", b"left by another")
    assert isinstance(ask(world), Done)
    assert world.check_done().token == "a"


def test_a_rename_outlives_an_older_file_of_the_same_size(world: World) -> None:
    def before(operation: str, url: str) -> None:
        if operation == "rename":
            raise Killed

    for name in NAMES:
        world.put(name, b"of an earlier, lost version".ljust(64))
    with pytest.raises(Killed):
        world.commit("a", ScriptedStorage(world.storage, before=before))
    assert isinstance(ask(world), Done)
    world.check_done()


@pytest.mark.parametrize("content", [None, b"short", b""])
def test_a_file_that_is_not_there_at_its_size_is_lost(world: World, content: bytes | None) -> None:
    world.commit("a")
    world.storage.delete(world.place.file_url(VISIT, NAMES[1]))
    if content is not None:
        world.put(NAMES[1], content)
    verdict = ask(world)
    assert isinstance(verdict, Lost)
    assert NAMES[1] in verdict.reason
    assert NAMES[0] not in verdict.reason
    world.attempt("b")
    assert world.check_done().token == "b"


def test_a_half_temporary_is_not_made_visible(world: World) -> None:
    world.commit("a")
    world.storage.delete(world.place.file_url(VISIT, NAMES[1]))
    world.put(f".{NAMES[1]}.a.part", b"half")
    assert isinstance(ask(world), Lost)
    assert world.content(NAMES[1]) is None


def test_a_listing_older_than_the_rename_is_asked_again(world: World) -> None:
    world.commit("a")

    class Stale(ScriptedStorage):
        def list(self, url: str) -> list[object]:
            return [] if url == world.place.visit_folder(VISIT) else list(super().list(url))

    assert isinstance(ask(world, Stale(world.storage)), Done)


@pytest.mark.parametrize("content", [b"", b"{", b"x" * (2 << 20), b'{"request": {"x": ' + b"[" * 100_000])
def test_a_bad_manifest_is_no_commit(world: World, content: bytes) -> None:
    world.commit("a")
    world.put(MANIFEST, content)
    assert isinstance(ask(world), Lost)


def test_another_request_is_a_conflict(world: World) -> None:
    world.commit("a", receipt=replace(RECEIPT, digest=OTHER_DIGEST))
    verdict = ask(world)
    assert isinstance(verdict, Conflict)
    assert verdict.failed.failure is Failure.REQUEST_CONFLICT
    assert DIGEST in verdict.failed.detail
    assert OTHER_DIGEST in verdict.failed.detail
    assert world.check_done().digest == OTHER_DIGEST


def test_a_known_failure(world: World) -> None:
    failed = Failed(failure=Failure.SED_MISSING, detail="no spectrum x.dat")
    record_failure(world.storage, world.place, UNIT, failed, receipt=RECEIPT, clock=lambda: 0.0)
    assert ask(world) == KnownFailure(failed=failed)
    other = what_is_done(world.storage, world.place, [UNIT], {VISIT: OTHER_DIGEST})
    assert other == {}


def test_a_commit_outweighs_a_failure(world: World) -> None:
    world.commit("a")
    failed = Failed(failure=Failure.SED_MISSING, detail="no spectrum x.dat")
    record_failure(world.storage, world.place, UNIT, failed, receipt=RECEIPT, clock=lambda: 0.0)
    assert isinstance(ask(world), Done)
    world.check_done()
    assert failure_name(UNIT.id) not in world.names()[1]


def test_a_manifest_that_was_moved_by_mistake_comes_back(world: World) -> None:
    world.commit("a")
    url = world.place.receipt_url(VISIT, manifest_name(UNIT.id))
    world.storage.rename(url, world.place.receipt_url(VISIT, aside_name(UNIT.id, "x-0")))
    assert isinstance(ask(world), Done)
    assert world.check_done().token == "a"


def test_a_manifest_that_was_moved_for_a_reason_does_not(world: World) -> None:
    world.commit("a")
    world.storage.delete(world.place.file_url(VISIT, NAMES[0]))
    url = world.place.receipt_url(VISIT, manifest_name(UNIT.id))
    world.storage.rename(url, world.place.receipt_url(VISIT, aside_name(UNIT.id, "x-0")))
    world.put(".units/.v87393588-R22_S11-E000.json.x-1.aside", b"garbage")
    assert ask(world) is None
    world.attempt("b")
    assert all(file.replaces for file in world.check_done().files)


@pytest.mark.parametrize("operation", ["list", "read", "stat", "rename"])
@pytest.mark.parametrize("failure", [Failure.STORAGE_UNREACHABLE, Failure.STORAGE_DENIED])
def test_a_storage_that_does_not_answer_is_never_missing(world: World, operation: str, failure: Failure) -> None:
    world.commit("a")
    if operation in {"stat", "rename"}:
        url = world.place.file_url(VISIT, NAMES[0])
        world.storage.rename(url, world.place.file_url(VISIT, f".{NAMES[0]}.a.part"))
    if operation == "stat":
        world.storage.delete(world.place.file_url(VISIT, f".{NAMES[0]}.a.part"))

    def before(called: str, url: str) -> None:
        if called == operation:
            raise StorageError(failure, "no answer", transient=True)

    with pytest.raises(StorageError) as caught:
        ask(world, ScriptedStorage(world.storage, before=before))
    assert caught.value.failure is failure


def test_only_the_jobs_own_units_are_read(world: World) -> None:
    world.commit("a")
    for sensor in ("R22_S12", "R22_S10"):
        world.put(f".units/v{VISIT}-{sensor}-E000.json", b"another job's business")
    asked: list[tuple[str, str]] = []
    ask(world, ScriptedStorage(world.storage, before=lambda operation, url: asked.append((operation, url))))
    assert sorted(asked) == [
        ("list", world.place.visit_folder(VISIT)),
        ("list", world.place.units_folder(VISIT)),
        ("read", world.place.receipt_url(VISIT, manifest_name(UNIT.id))),
    ]


def raft(n_units: int) -> list[Unit]:
    return [make_unit(f"R{n:03d}", [f"lsst_{n:03d}_{k:02d}.fits.gz" for k in range(17)]) for n in range(n_units)]


def test_378_units_resume_with_one_question_each(tmp_path: Path) -> None:
    storage, place = FileStorage(), JobPlace(base=str(tmp_path / "store"), user="tonyj", job="run")
    units = raft(378)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    files = made_files(scratch, "a", units[0])
    folder = Path(place.visit_folder(VISIT))
    assert commit_unit(
        storage, place, units[0], files, receipt=RECEIPT, token="a", clock=lambda: 0.0, record=lambda transfer: None
    )
    template = Path(place.receipt_url(VISIT, manifest_name(units[0].id))).read_text()
    for unit in units[1:]:
        Path(place.receipt_url(VISIT, manifest_name(unit.id))).write_text(
            template.replace("R000", unit.sensor).replace("lsst_000", f"lsst_{unit.sensor[1:]}")
        )
        for expected in unit.files:
            (folder / expected.name).write_bytes(b"." * 64)
    asked: Counter[str] = Counter()
    watched = ScriptedStorage(storage, before=lambda operation, url: asked.update([operation]))
    verdicts = what_is_done(watched, place, units, {VISIT: DIGEST})
    assert len(verdicts) == 378
    assert all(isinstance(verdict, Done) for verdict in verdicts.values())
    assert asked == {"list": 2, "read": 378}
