"""One unit, several destinations, several attempts: it is committed at one of them, whoever dies or is silent."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conformance.scripted_storage import Killed, ScriptedStorage
from tests.unit.commit_world import DIGEST, UNIT, VISIT, interleave
from tests.unit.destination_world import Destinations, Reach, in_turn  # noqa: F401 - a fixture
from transformation.committing import Committer, Settled
from transformation.layout import claim_name
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import UnitManifest
from transformation.ports import Storage
from transformation.targets import REST_S, Targets

pytestmark = pytest.mark.usefixtures("in_turn")
PICKS = st.lists(st.integers(0, 2), max_size=120)


def everywhere(number: int, operation: str) -> bool:
    return True


def only(*numbers: int) -> Reach:
    return lambda number, operation: number in numbers


class Dies:
    """A destination that stops to answer at the attempt's so-manieth question to it, for so many questions."""

    def __init__(self, victim: int, step: int, for_calls: int) -> None:
        self._victim, self._silent = victim, range(step, step + for_calls)
        self._calls = itertools.count(1)
        self.died = False

    def __call__(self, number: int, operation: str) -> bool:
        silent = number == self._victim and next(self._calls) in self._silent
        self.died |= silent
        return not silent


@pytest.fixture
def two(tmp_path: Path) -> Destinations:
    return Destinations(2, tmp_path)


def claims(world: Destinations) -> list[bool]:
    return [world.storage.stat(place.receipt_url(VISIT, claim_name(UNIT.id))) is not None for place in world.places]


def test_the_first_takes_it_and_the_second_hears_of_it(two: Destinations) -> None:
    manifest = two.attempt("a", everywhere)
    assert two.check_done() == manifest
    assert two.standing() == [0]
    assert claims(two) == [False, True]


def test_a_dead_first_is_passed_over(two: Destinations) -> None:
    manifest = two.attempt("a", only(1))
    assert two.check_done() == manifest
    assert two.standing() == [1]
    # And found there later, by whoever sees both; the first has heard of it then.
    assert two.attempt("b", everywhere) == manifest
    assert two.simulated == ["a"]
    assert claims(two)[0]
    # So nobody makes it again while the second is away.
    assert isinstance(two.attempt("c", only(0)), Failed)


def test_a_silent_destination_never_means_missing(two: Destinations) -> None:
    two.attempt("a", everywhere)
    waiting = two.attempt("b", only(1))
    assert isinstance(waiting, Failed)
    assert waiting.failure is Failure.STORAGE_UNREACHABLE
    assert "memory:/store0 already: store0 is silent" in waiting.detail
    assert two.simulated == ["a"]


def test_nobody_answers(two: Destinations) -> None:
    failed = two.attempt("a", only())
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.STORAGE_UNREACHABLE
    assert two.simulated == []


def test_a_dead_second_hinders_nobody_and_hears_later(two: Destinations) -> None:
    manifest = two.attempt("a", only(0))
    assert two.standing() == [0]
    assert two.attempt("b", everywhere) == manifest
    assert isinstance(two.attempt("c", only(1)), Failed)
    assert two.simulated == ["a"]


@pytest.mark.parametrize("operation", ["put", "create", "adler32", "rename", "list", "survey"])
def test_a_first_that_refuses_one_thing(two: Destinations, operation: str) -> None:
    def reach(number: int, called: str) -> bool:
        return number != 0 or called != operation

    result = two.attempt("a", reach)
    if isinstance(result, Failed):  # it was claimed, and may be committed
        assert operation in {"create", "rename"}
    again = two.attempt("b", everywhere)
    assert isinstance(again, UnitManifest)
    assert two.check_done() == again


@pytest.mark.parametrize("for_calls", [3, 10**9], ids=["a moment", "for ever"])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_destination_dies_at_any_call(tmp_path: Path, victim: int, for_calls: int) -> None:
    for step in itertools.count(1):
        world, fault = Destinations(2, tmp_path), Dies(victim, step, for_calls)
        world.attempt("a", fault)
        if not fault.died:
            break
        before = world.standing()
        assert len(before) <= 1
        for token, reach in (("b", only(1 - victim)), ("c", everywhere), ("z", everywhere)):
            world.attempt(token, reach)
            assert len(world.standing()) <= 1, (step, token)
        manifest = world.check_done()
        assert not before or manifest.token == "a"
    assert step > 3


@pytest.mark.parametrize("first", [(0, 1), (1,), (0,)], ids=str)
@pytest.mark.parametrize("manner", ["before", "after"])
def test_a_kill_at_any_call(tmp_path: Path, manner: str, first: tuple[int, ...]) -> None:
    for step in itertools.count(1):
        world = Destinations(2, tmp_path)
        try:
            world.attempt("a", only(*first), killing(world, step, manner))
            break
        except Killed:
            pass
        committed = world.standing()
        for token, reach in (("b", only(*first)), ("c", everywhere), ("z", everywhere)):
            world.attempt(token, reach)
        manifest = world.check_done()
        assert not committed or (manifest.token == "a" and world.simulated == ["a"])
    assert step > 15


def killing(world: Destinations, step: int, manner: str) -> Storage:
    calls = itertools.count(1)

    def stop(operation: str, url: str) -> None:
        if next(calls) == step:
            raise Killed

    return ScriptedStorage(world.storage, **{manner: stop})


def test_a_commit_between_our_look_and_our_claim_is_adopted(two: Destinations) -> None:
    """Who commits removes its own claim there: only the manifest is left to tell."""

    def before(operation: str, url: str) -> None:
        if operation == "create" and url.startswith("memory:/store1/") and "b" not in two.simulated:
            two.attempt("b", only(1))

    manifest = two.attempt("a", everywhere, ScriptedStorage(two.storage, before=before))
    assert two.simulated == ["a", "b"]
    assert two.check_done() == manifest
    assert two.standing() == [1]


def meet(reaches: list[set[int]]) -> bool:
    """Whether any two of them have a destination in common."""
    return all(one & other for one, other in itertools.combinations(reaches, 2))


REACHES = st.lists(st.sets(st.integers(0, 1), min_size=1), min_size=3, max_size=3).filter(meet)
REACHES_OF_THREE = st.lists(st.sets(st.integers(0, 2), min_size=2), min_size=3, max_size=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reaches=REACHES, picks=PICKS, steps=st.tuples(*[st.integers(1, 60)] * 3), kill=st.booleans())
@example(reaches=[{0, 1}, {1}, {1}], picks=[0, 1] * 60, steps=(60, 60, 60), kill=False)
@example(reaches=[{0, 1}, {0}, {0, 1}], picks=[0, 1, 2] * 40, steps=(60, 60, 60), kill=False)
def test_three_attempts_that_meet_somewhere(
    tmp_path: Path, reaches: list[set[int]], picks: list[int], steps: tuple[int, int, int], kill: bool
) -> None:
    check_one_commit(Destinations(2, tmp_path), reaches, picks, steps if kill else None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reach=st.sets(st.integers(0, 2), min_size=1), more=st.lists(st.sets(st.integers(0, 2)), min_size=3, max_size=3),
       picks=PICKS)  # fmt: skip
def test_attempts_whose_last_destination_is_the_same(
    tmp_path: Path, reach: set[int], more: list[set[int]], picks: list[int]
) -> None:
    """Of three destinations the last that they reach decides."""
    reaches = [{*(number for number in one if number < max(reach)), max(reach)} for one in more]
    check_one_commit(Destinations(3, tmp_path), reaches, picks, None)


def check_one_commit(
    world: Destinations, reaches: list[set[int]], picks: list[int], steps: tuple[int, int, int] | None
) -> None:
    def mortal(token: str, step: int) -> Callable[[Storage], object]:
        calls = itertools.count(1)

        def before(operation: str, url: str) -> None:
            if steps is not None and next(calls) == step:
                raise Killed

        reach = only(*reaches["abc".index(token)])
        return lambda storage: world.attempt(token, reach, ScriptedStorage(storage, before=before))

    actors = [mortal(token, step) for token, step in zip("abc", steps or (0, 0, 0), strict=True)]
    for result in interleave(world, actors, iter(picks)):
        assert isinstance(result, UnitManifest | Failed | Killed), result
    stands = world.standing()
    assert len(stands) <= 1
    final = world.attempt("y", everywhere)
    assert isinstance(final, UnitManifest)
    assert world.attempt("z", everywhere) == final
    assert world.check_done() == final
    assert not stands or world.standing() == stands


def test_two_attempts_that_meet_nowhere_leave_one_that_counts(two: Destinations) -> None:
    """Nothing can tell them of each other. Both answer the same request; the first in order counts from then on."""
    first, second = two.attempt("a", only(0)), two.attempt("b", only(1))
    assert two.standing() == [0, 1]
    assert two.attempt("c", everywhere) == first != second
    assert two.simulated == ["a", "b"]


def test_what_was_left_on_the_way_is_removed_once_it_answers_again(two: Destinations) -> None:
    now = [0.0]

    def reach(number: int, operation: str) -> bool:
        return number != 0 or operation != "adler32" or now[0] > 0

    targets = Targets(two.targets(reach).all, clock=lambda: now[0])
    committer = Committer(targets, lambda _, failed: failed, clock=lambda: 0.0)
    settled = committer.commit(UNIT, two.sender(targets, "a"), digest=DIGEST, token="a")
    assert isinstance(settled, Settled)
    assert settled.target is targets.all[1]
    assert [entry.name for entry in two.storage.list(two.places[0].visit_folder(VISIT))] != []
    assert committer.tell_all(token="a") == [], "it rests still"
    now[0] = REST_S + 1
    assert committer.tell_all(token="a") == []
    assert claims(two) == [True, False]
    assert two.check_done() == settled.outcome.manifest


def test_a_claim_for_an_address_that_is_no_longer_asked_for(two: Destinations, tmp_path: Path) -> None:
    elsewhere = Destinations(3, tmp_path)
    elsewhere.storage = two.storage
    elsewhere.attempt("a", only(1, 2))
    two.storage.files = {url: content for url, content in two.storage.files.items() if claim_name(UNIT.id) in url}
    assert isinstance(two.attempt("b", everywhere), UnitManifest)
    assert two.standing() == [0]


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 10, b'{"unit": "other"}', b"x" * (2 << 20)])
def test_a_bad_claim_is_none(two: Destinations, content: bytes) -> None:
    two.storage.create(two.places[1].receipt_url(VISIT, claim_name(UNIT.id)), content)
    assert isinstance(two.attempt("a", everywhere), UnitManifest)
    two.check_done()
