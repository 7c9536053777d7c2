"""The commit protocol: killed at every call, interleaved at every call, among garbage."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.conformance.scripted_storage import Killed, ScriptedStorage
from tests.unit.commit_world import (
    DIGEST,
    NAMES,
    OTHER_DIGEST,
    RECEIPT,
    UNIT,
    VISIT,
    World,
    interleave,
    killing_storage,
)
from transformation.layout import aside_name, failure_name, manifest_name
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import UnitManifest, encode, parse_manifest
from transformation.outcomes import Adopted, Committed, Transfer
from transformation.ports import Missing, Storage, StorageError
from transformation.stage_out import commit_unit, record_empty, record_failure
from transformation.standing import read_failure, read_manifest, sweep
from transformation.storage.file import FileStorage
from transformation.storage.memory import MemoryStorage

MANIFEST = f".units/{manifest_name(UNIT.id)}"
N_CALLS = 60
"""More than any attempt here makes."""


@pytest.fixture(params=["memory", "file"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return make_world(request.param, tmp_path)


@pytest.fixture
def memory_world(tmp_path: Path) -> World:
    return make_world("memory", tmp_path)


def make_world(kind: str, folder: Path) -> World:
    if kind == "memory":
        return World(MemoryStorage(), "memory:/store", folder)
    return World(FileStorage(), str(folder / "store"), folder)


def forget(world: World) -> None:
    """An empty destination again."""
    for names, url in zip(world.names(), (world.place.file_url, world.place.receipt_url), strict=True):
        for name in names:
            world.storage.delete(url(VISIT, name))
    world.simulated.clear()


def test_the_files_of_a_unit_become_visible(world: World) -> None:
    outcome = world.commit("a")
    assert isinstance(outcome, Committed)
    manifest = world.check_done()
    assert manifest == outcome.manifest
    assert (manifest.unit, manifest.state, manifest.digest) == (UNIT.id, "committed", DIGEST)
    assert manifest.metadata == {"release": "quicksim-1.0", "job": "run-00019", "user": "tonyj"}
    assert manifest.written == "1970-01-01T00:00:00+00:00"


def test_every_transfer_is_recorded(memory_world: World, tmp_path: Path) -> None:
    transfers: list[Transfer] = []
    seconds = itertools.count()

    def spoil(operation: str, url: str) -> None:
        if operation == "put" and NAMES[1] in url:
            memory_world.storage.files[url] = b"."

    commit_unit(
        ScriptedStorage(memory_world.storage, after=spoil),
        memory_world.place,
        UNIT,
        memory_world._made["a"],
        receipt=RECEIPT,
        token="a",
        clock=lambda: float(next(seconds)),
        record=transfers.append,
    )
    assert [transfer.url for transfer in transfers] == [
        memory_world.place.file_url(VISIT, f".{name}.a.part") for name in NAMES
    ]
    assert [(transfer.size_bytes, transfer.wall_s) for transfer in transfers] == [(64, 1.0), (64, 1.0)]
    assert transfers[0].problem == ""
    assert "holds 1 bytes" in transfers[1].problem


@pytest.mark.parametrize("damage", ["lost", "spoiled"])
def test_what_went_wrong_names_no_credential(tmp_path: Path, damage: str) -> None:
    storage = MemoryStorage()
    world = World(storage, "memory://tonyj:s3cret@host/store?authz=t0ken", tmp_path)

    def do_damage(operation: str, url: str) -> None:
        if operation == "put":
            storage.files.update({url: b"."}) if damage == "spoiled" else storage.files.pop(url)

    outcome = world.commit("a", ScriptedStorage(storage, after=do_damage))
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.STORAGE_DAMAGED
    assert outcome.detail.startswith("memory://host/store/tonyj/")
    assert "s3cret" not in outcome.detail
    assert "t0ken" not in outcome.detail


# -- killed at every call


@pytest.mark.parametrize("manner", ["before", "middle", "after"])
def test_a_kill_at_any_call_costs_at_most_this_unit(world: World, manner: str) -> None:
    killed = 0
    for step in range(1, N_CALLS):
        forget(world)
        try:
            world.commit("a", killing_storage(world, step, manner))
        except Killed:
            killed += 1
        world.check_visible()
        committed = world.manifest() is not None
        world.attempt("b")
        manifest = world.check_done()
        assert manifest.token == ("a" if committed else "b")
        assert world.simulated == (["a"] if committed else ["a", "b"])
    assert 10 < killed < N_CALLS - 1


@pytest.mark.parametrize("manner", ["before", "middle", "after"])
def test_two_kills(memory_world: World, manner: str) -> None:
    world = memory_world
    for first, second in itertools.product(range(1, 20), range(1, 30, 2)):
        forget(world)
        with suppress(Killed):
            world.attempt("a", killing_storage(world, first, manner))
        committed = world.manifest()
        with suppress(Killed):
            world.attempt("b", killing_storage(world, second, manner))
        assert committed is None or "b" not in world.simulated
        committed = world.manifest()
        world.attempt("c")
        assert committed in (None, world.check_done())
        assert (committed is None) == ("c" in world.simulated)


@pytest.mark.parametrize("manner", ["before", "middle", "after"])
def test_a_kill_while_a_lost_unit_is_redone(memory_world: World, manner: str) -> None:
    world = memory_world
    for step in range(1, N_CALLS):
        forget(world)
        world.commit("z")
        world.storage.delete(world.place.file_url(VISIT, NAMES[0]))
        with suppress(Killed):
            world.attempt("a", killing_storage(world, step, manner))
        world.attempt("b")
        manifest = world.check_done()
        assert manifest.token in "ab"
        assert all(file.replaces for file in manifest.files), (step, manner)


# -- two and three at once


def garbage(world: World) -> None:
    world.put(MANIFEST, b"\x00garbage")


def half_written(world: World) -> None:
    world.commit("z")
    content = world.storage.read(world.place.receipt_url(VISIT, manifest_name(UNIT.id)), limit_bytes=10**6)
    world.put(MANIFEST, content[: len(content) // 2])


def not_renamed(world: World) -> None:
    with pytest.raises(Killed):
        world.commit("z", stop_at(world, "rename"))


def lost_a_file(world: World) -> None:
    world.commit("y")
    world.storage.delete(world.place.file_url(VISIT, NAMES[0]))


def moved_aside(world: World) -> None:
    world.commit("z")
    url = world.place.receipt_url(VISIT, manifest_name(UNIT.id))
    world.storage.rename(url, world.place.receipt_url(VISIT, aside_name(UNIT.id, "x-0")))


def stop_at(world: World, operation: str) -> Storage:
    def before(called: str, url: str) -> None:
        if called == operation:
            raise Killed

    return ScriptedStorage(world.storage, before=before)


Start = Callable[[World], object]
STARTS: list[Start] = [forget, garbage, half_written, not_renamed, lost_a_file, moved_aside]
PICKS = st.lists(st.integers(0, 2), max_size=80)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.sampled_from(STARTS), picks=PICKS)
@example(start=forget, picks=[])
@example(start=forget, picks=[0, 1] * 30)
def test_two_attempts_at_once_end_with_one(memory_world: World, start: Start, picks: list[int]) -> None:
    world = memory_world
    forget(world)
    start(world)
    actors = [partial(world.attempt, token) for token in "ab"]
    results = interleave(world, actors, iter(picks))
    assert all(isinstance(result, UnitManifest) for result in results), results
    stands = world.manifest()
    assert results == [stands, stands]
    world.attempt("c")
    assert world.check_done() == stands
    assert "c" not in world.simulated
    if start in (not_renamed, moved_aside):
        assert stands.token == "z"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.sampled_from(STARTS), picks=PICKS, steps=st.tuples(*[st.integers(1, 40)] * 3), kill=st.booleans())
def test_three_attempts_of_which_some_die(
    memory_world: World, start: Start, picks: list[int], steps: tuple[int, int, int], kill: bool
) -> None:
    world = memory_world
    forget(world)
    start(world)

    def mortal(token: str, step: int) -> Callable[[Storage], UnitManifest]:
        calls = itertools.count(1)

        def before(operation: str, url: str) -> None:
            if kill and next(calls) == step:
                raise Killed

        return lambda storage: world.attempt(token, ScriptedStorage(storage, before=before))

    actors = [mortal(token, step) for token, step in zip("abc", steps, strict=True)]
    for result in interleave(world, actors, iter(picks)):
        assert isinstance(result, UnitManifest | Killed), result
    stands = world.manifest()
    world.attempt("z")
    world.check_done()
    if stands is not None and stands.token != "y":  # which lost a file
        assert world.manifest() == stands


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(picks=PICKS)
def test_two_commits_that_do_not_look_first(tmp_path: Path, picks: list[int]) -> None:
    for kind in ("memory", "file"):
        world = make_world(kind, tmp_path)
        forget(world)
        actors = [partial(world.commit, token) for token in "ab"]
        outcomes = interleave(world, actors, iter(picks))
        stands = world.check_done()
        assert [outcome.manifest for outcome in outcomes] == [stands, stands]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Adopted", "Committed"]


def test_a_good_manifest_moved_by_mistake_is_put_back(memory_world: World) -> None:
    """The lost unit is redone by another attempt between our verdict and our move."""
    world = memory_world
    lost_a_file(world)

    def before(operation: str, url: str) -> None:
        if operation == "rename" and url.endswith(".json") and world.manifest().token == "y":
            world.attempt("a")

    outcome = world.commit("b", ScriptedStorage(world.storage, before=before))
    assert isinstance(outcome, Adopted)
    assert outcome.manifest == world.check_done()
    assert outcome.manifest.token == "a"


def test_cleaning_up_never_takes_the_manifest_away(memory_world: World) -> None:
    """Another attempt moved the good manifest by mistake and has not looked at it yet."""
    world = memory_world
    world.commit("a")
    standing = read_manifest(world.storage, world.place, VISIT, UNIT.id)
    url = world.place.receipt_url(VISIT, manifest_name(UNIT.id))
    world.storage.rename(url, world.place.receipt_url(VISIT, aside_name(UNIT.id, "b-0")))
    sweep(world.storage, world.place, UNIT, standing, *world.names())
    assert world.check_done() == standing.manifest


class HalfVisible(ScriptedStorage):
    """Others see a new file before it is whole, and may rename it meanwhile: XRootD, or a disk without links."""

    def __init__(self, inner: ScriptedStorage, files: dict[str, bytes]) -> None:
        super().__init__(inner)
        self._files = files

    def create(self, url: str, content: bytes) -> bool:
        half = content[: len(content) // 2]
        if not self.inner.create(url, half):
            return False
        self.inner.stat(url)  # others may act here
        for name in [name for name, held in self._files.items() if held is half]:
            self._files[name] = content
        return True


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(picks=PICKS)
def test_two_commits_where_creation_is_seen_in_halves(memory_world: World, picks: list[int]) -> None:
    world = memory_world
    forget(world)
    actors = [
        lambda storage, token=token: world.commit(token, HalfVisible(storage, world.storage.files)) for token in "ab"
    ]
    outcomes = interleave(world, actors, iter(picks))
    stands = world.check_done()
    assert [outcome.manifest for outcome in outcomes] == [stands, stands]


def test_a_half_seen_manifest_is_not_won_by_its_writer(memory_world: World) -> None:
    """Another attempt judges it half-written, moves it and commits, all before it is closed."""
    world = memory_world

    def before(operation: str, url: str) -> None:
        if operation == "stat" and url.endswith(".json") and "b" not in world.simulated:
            world.commit("b")

    outcome = world.commit("a", HalfVisible(ScriptedStorage(world.storage, before=before), world.storage.files))
    assert isinstance(outcome, Adopted)
    assert outcome.manifest == world.check_done()
    assert outcome.manifest.token == "b"


# -- what else may stand there


def manifest_of(world: World) -> UnitManifest:
    manifest = world.manifest()
    assert manifest is not None
    return manifest


FOREIGN = [
    b"",
    b"null",
    b'{"request": {"x": ' + b"[" * 100_000,
    b"x" * (2 << 20),
    b'{"unit": "' + UNIT.id.encode() + b'"}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("content", FOREIGN, ids=["empty", "null", "deep", "large", "short", "binary"])
def test_a_bad_manifest_is_replaced(world: World, content: bytes) -> None:
    world.put(MANIFEST, content)
    assert isinstance(world.commit("a"), Committed)
    world.check_done()


def test_a_manifest_of_another_unit_is_replaced(memory_world: World) -> None:
    memory_world.commit("z")
    other = msgspec.structs.replace(manifest_of(memory_world), unit="v87393588-R22_S12-E000")
    memory_world.put(MANIFEST, encode(other))
    assert isinstance(memory_world.commit("a"), Committed)
    memory_world.check_done()


def test_another_request_is_a_conflict(world: World) -> None:
    world.commit("z", receipt=replace(RECEIPT, digest=OTHER_DIGEST))
    before = world.names()
    outcome = world.commit("a")
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.REQUEST_CONFLICT
    assert DIGEST in outcome.detail
    assert OTHER_DIGEST in outcome.detail
    assert world.names() == before
    assert world.check_done().token == "z"


def test_a_lost_answer_to_create_is_not_a_lost_race(memory_world: World) -> None:
    class Forgetful(ScriptedStorage):
        def create(self, url: str, content: bytes) -> bool:
            super().create(url, content)
            return super().create(url, content)  # as the retrying coat does after a time-out

    assert isinstance(memory_world.commit("a", Forgetful(memory_world.storage)), Committed)
    memory_world.check_done()


def test_leftovers_are_removed_and_strangers_are_not(world: World) -> None:
    own = [f".{NAMES[0]}.old.part", f".{NAMES[1]}.old.part.0a1b.new", f".units/.{UNIT.id}.json.0a1b.new"]
    strangers = [f".{NAMES[0]}x.old.part", ".nfs0000", "notes.txt", ".units/.v87393588-R22_S12-E000.json.y.aside"]
    for name in own + strangers:
        world.put(name, b"x")
    world.put(f".units/{failure_name(UNIT.id)}", b"{}")
    world.commit("a")
    images, receipts = world.names()
    assert sorted([*images, *(f".units/{name}" for name in receipts)]) == sorted([*NAMES, MANIFEST, *strangers])


# -- a storage that fails


@pytest.mark.parametrize("operation", ["put", "stat", "adler32", "create", "rename", "list", "read"])
def test_a_storage_error_is_a_value(memory_world: World, operation: str) -> None:
    def before(called: str, url: str) -> None:
        if called == operation:
            raise StorageError(Failure.STORAGE_UNREACHABLE, "no answer", transient=True)

    world = memory_world
    outcome = world.commit("a", ScriptedStorage(world.storage, before=before))
    assert outcome == Failed(failure=Failure.STORAGE_UNREACHABLE, detail="no answer")
    committed = world.manifest() is not None
    world.attempt("b")
    assert world.check_done().token == ("a" if committed else "b")


@pytest.mark.parametrize("winner", ["a", "b"])
def test_a_creation_that_fails_where_the_unit_is_committed(memory_world: World, winner: str) -> None:
    """XRootD 5.5 says now and then that it kept nothing of a manifest that two attempts create at the same time."""
    world = memory_world

    def full(operation: str, url: str) -> None:
        if operation == "create":
            raise StorageError(Failure.STORAGE_FULL, "the server kept 0 of 1030 bytes", transient=False)

    if winner == "b":
        world.commit("b")
        outcome = world.commit("a", ScriptedStorage(world.storage, before=full))
    else:
        outcome = world.commit("a", ScriptedStorage(world.storage, after=full))
    assert isinstance(outcome, Committed if winner == "a" else Adopted)
    assert world.check_done().token == winner
    assert world.names()[0] == sorted(NAMES)


def test_a_storage_that_fails_after_the_commit_does_not_uncommit(memory_world: World) -> None:
    def before(operation: str, url: str) -> None:
        if operation == "delete":
            raise StorageError(Failure.STORAGE_DENIED, "no", transient=False)

    world = memory_world
    world.put(f".{NAMES[0]}.old.part", b"x")
    assert isinstance(world.commit("a", ScriptedStorage(world.storage, before=before)), Committed)
    world.attempt("b")
    assert world.check_done().token == "a"


@pytest.mark.parametrize("spoilt", [b"", b"x" * 64], ids=["short", "same size"])
def test_other_bytes_at_the_far_end_are_never_committed(memory_world: World, spoilt: bytes) -> None:
    def spoil(operation: str, url: str) -> None:
        if operation == "put":
            memory_world.storage.files[url] = spoilt

    outcome = memory_world.commit("a", ScriptedStorage(memory_world.storage, after=spoil))
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.STORAGE_DAMAGED
    assert memory_world.names() == ([], [])


def test_temporaries_that_a_faster_attempt_removed(memory_world: World) -> None:
    """The winner commits while the other has uploaded its first file."""
    world = memory_world
    calls = itertools.count(1)

    def before(operation: str, url: str) -> None:
        if operation == "stat" and next(calls) == 1:
            world.commit("b")

    outcome = world.commit("a", ScriptedStorage(world.storage, before=before))
    assert isinstance(outcome, Adopted)
    assert outcome.manifest == world.check_done()
    assert outcome.manifest.token == "b"


def test_own_files_that_vanish_after_creation_go_up_again(memory_world: World) -> None:
    world = memory_world
    once = itertools.count(1)

    def before(operation: str, url: str) -> None:
        if operation == "rename" and next(once) == 1:
            world.storage.delete(url)

    outcome = world.commit("a", ScriptedStorage(world.storage, before=before))
    assert isinstance(outcome, Committed)
    assert outcome.manifest.token == "a-1"
    world.check_done()


def test_a_storage_that_eats_everything_ends(memory_world: World) -> None:
    def before(operation: str, url: str) -> None:
        if operation == "rename" and url.endswith(".part"):
            memory_world.storage.delete(url)

    outcome = memory_world.commit("a", ScriptedStorage(memory_world.storage, before=before))
    assert isinstance(outcome, Failed)
    assert outcome.failure is Failure.STORAGE_DAMAGED


def test_a_manifest_that_comes_and_goes_ends(memory_world: World) -> None:
    class Teasing(ScriptedStorage):
        def create(self, url: str, content: bytes) -> bool:
            return False

        def read(self, url: str, *, limit_bytes: int) -> bytes:
            raise Missing(url)

    outcome = memory_world.commit("a", Teasing(memory_world.storage))
    assert isinstance(outcome, Failed)


def test_what_nobody_could_read_is_not_written(memory_world: World) -> None:
    with pytest.raises(ValueError, match="nobody could read"):
        memory_world.commit("a", receipt=replace(RECEIPT, digest="short"))
    assert memory_world.names() == ([], [])


# -- units without objects, final failures


def test_an_empty_unit_leaves_a_receipt(world: World) -> None:
    world.put(f".{NAMES[0]}.old.part", b"x")
    outcome = record_empty(world.storage, world.place, UNIT, receipt=RECEIPT, token="a", clock=lambda: 0.0)
    assert isinstance(outcome, Committed)
    assert outcome.manifest.state == "empty"
    assert world.names() == ([], [manifest_name(UNIT.id)])
    again = record_empty(world.storage, world.place, UNIT, receipt=RECEIPT, token="b", clock=lambda: 0.0)
    assert isinstance(again, Adopted)
    assert again.manifest == outcome.manifest


def test_a_final_failure_is_remembered_for_its_request(world: World) -> None:
    for detail in ("first", "no spectrum x.dat"):
        failed = Failed(failure=Failure.SED_MISSING, detail=detail)
        assert record_failure(world.storage, world.place, UNIT, failed, receipt=RECEIPT, clock=lambda: 0.0) is None
    assert read_failure(world.storage, world.place, UNIT, digest=DIGEST) == failed
    assert read_failure(world.storage, world.place, UNIT, digest=OTHER_DIGEST) is None
    assert world.names() == ([], [failure_name(UNIT.id)])


@pytest.mark.parametrize("content", [*FOREIGN, b'{"unit":"other"}'])
def test_a_bad_failure_record_is_none(memory_world: World, content: bytes) -> None:
    memory_world.put(f".units/{failure_name(UNIT.id)}", content)
    assert read_failure(memory_world.storage, memory_world.place, UNIT, digest=DIGEST) is None


def test_a_failure_of_a_newer_table_is_none(memory_world: World) -> None:
    world = memory_world
    failed = Failed(failure=Failure.SED_MISSING, detail="x")
    record_failure(world.storage, world.place, UNIT, failed, receipt=RECEIPT, clock=lambda: 0.0)
    name = f".units/{failure_name(UNIT.id)}"
    url = world.place.receipt_url(VISIT, failure_name(UNIT.id))
    content = world.storage.read(url, limit_bytes=10**4)
    world.put(name, content.replace(b"SED_MISSING", b"SUN_EXPLODED"))
    assert read_failure(world.storage, world.place, UNIT, digest=DIGEST) is None


# -- the manifest itself


def good_manifest(tmp_path: Path) -> dict[str, object]:
    world = make_world("memory", tmp_path)
    world.commit("a")
    return msgspec.json.decode(encode(manifest_of(world)))


def with_file(**changes: object) -> Callable[[dict[str, object]], dict[str, object]]:
    def change(manifest: dict[str, object]) -> dict[str, object]:
        return {**manifest, "files": [{**manifest["files"][0], **changes}]}

    return change


@pytest.mark.parametrize(
    "change",
    [
        with_file(name="../../passwd", temporary=".../../passwd.a.part"),
        with_file(name="a/b", temporary=".a/b.a.part"),
        with_file(name="..", temporary="....a.part"),
        with_file(name=".hidden", temporary="..hidden.a.part"),
        with_file(name="", temporary="..a.part"),
        with_file(name="a\nb", temporary=".a\nb.a.part"),
        with_file(name="a\n", temporary=".a\n.a.part"),
        with_file(name="a?b", temporary=".a?b.a.part"),
        with_file(temporary=f".{NAMES[1]}.a.part"),
        with_file(temporary=f".{NAMES[0]}.b.part"),
        with_file(size_bytes=-1),
        with_file(size_bytes=2**63),
        with_file(size_bytes="64"),
        with_file(adler32="0A1B2C3D"),
        with_file(adler32="1"),
        with_file(role="virus"),
        lambda manifest: {**manifest, "files": []},
        lambda manifest: {**manifest, "state": "empty"},
        lambda manifest: {**manifest, "state": "running"},
        lambda manifest: {**manifest, "files": [manifest["files"][0]] * 2},
        lambda manifest: {**manifest, "unit": "v87393588-R22_S12-E000"},
        lambda manifest: {**manifest, "visit": "1"},
        lambda manifest: {**manifest, "digest": "x" * 64},
        lambda manifest: {**manifest, "token": "../a"},
        lambda manifest: {**manifest, "filter": 6},
        lambda manifest: {**manifest, "schema_version": 0},
        lambda manifest: {**manifest, "metadata": {"panda_id": 2**64}},
        lambda manifest: {key: value for key, value in manifest.items() if key != "attempt"},
    ],
)
def test_a_manifest_that_lies_is_not_valid(tmp_path: Path, change: Callable[[object], object]) -> None:
    manifest = good_manifest(tmp_path)
    assert isinstance(parse_manifest(msgspec.json.encode(manifest), unit=UNIT.id), UnitManifest)
    reason = parse_manifest(msgspec.json.encode(change(manifest)), unit=UNIT.id)
    assert isinstance(reason, str)
    assert reason


def test_a_newer_manifest_is_read(tmp_path: Path) -> None:
    newer = {**good_manifest(tmp_path), "schema_version": 2, "weather": {"humid": True}}
    newer["files"][0]["colour"] = "red"
    assert isinstance(parse_manifest(msgspec.json.encode(newer), unit=UNIT.id), UnitManifest)


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    return msgspec.json.encode(good_manifest(tmp_path))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_reading_never_raises(good: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(good)))
    spoilt = st.binary(max_size=8).map(lambda some: good[:cut] + some + good[cut + len(some) :])
    content = data.draw(st.one_of(st.binary(max_size=200), spoilt))
    assert isinstance(parse_manifest(content, unit=UNIT.id), str | UnitManifest)
