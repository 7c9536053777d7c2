"""The crew: ranks, tasks that add tasks, failures, letting go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from transformation.crew import Crew


@pytest.fixture
def crews() -> Iterator[Callable[[int], Crew]]:
    """Makes crews that are let go with the test."""
    made: list[Crew] = []

    def make(hands: int) -> Crew:
        made.append(Crew(hands, "test"))
        return made[-1]

    yield make
    for crew in made:
        crew.drop_queued()
        crew.end(5.0)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def held(crew: Crew, hands: int = 1) -> threading.Event:
    """Keep all hands busy until the event is set, so that what is added meanwhile waits."""
    go, busy = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        busy.release()
        assert go.wait(10.0)

    for _ in range(hands):
        crew.add((-1,), hold)
    for _ in range(hands):
        assert busy.acquire(timeout=10.0)
    return go


def test_lower_ranks_first_equal_ranks_in_order(crews: Callable[[int], Crew]) -> None:
    crew = crews(1)
    go = held(crew)
    done: list[str] = []
    for rank, name in [((1, 0), "c"), ((0, 2), "b1"), ((0, 0), "a"), ((0, 2), "b2"), ((1,), "c0"), ((0, 2), "b3")]:
        crew.add(rank, lambda name=name: done.append(name))  # type: ignore[misc]
    assert not crew.idle
    go.set()
    wait_until(lambda: crew.idle)
    assert done == ["a", "b1", "b2", "b3", "c0", "c"]


def test_tasks_may_add_tasks(crews: Callable[[int], Crew]) -> None:
    crew = crews(3)
    done: list[int] = []

    def task(depth: int) -> None:
        if depth < 6:
            for _ in range(2):
                crew.add((depth,), lambda: task(depth + 1))
        done.append(depth)

    crew.add((0,), lambda: task(0))
    wait_until(lambda: crew.idle)
    assert len(done) == 2**7 - 1


def test_as_many_at_once_as_there_are_hands(crews: Callable[[int], Crew]) -> None:
    crew = crews(3)
    lock = threading.Lock()
    now, most = 0, 0
    barrier = threading.Barrier(3)

    def task() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        barrier.wait(10.0)
        with lock:
            now -= 1

    for _ in range(9):
        crew.add((0,), task)
    wait_until(lambda: crew.idle)
    assert most == 3


def test_a_failure_comes_out_where_the_crew_is_awaited(crews: Callable[[int], Crew]) -> None:
    crew = crews(1)
    done: list[str] = []

    def fail(number: int) -> None:
        raise ValueError(f"task {number}")

    go = held(crew)
    for number in (1, 2):
        crew.add((0,), lambda number=number: fail(number))  # type: ignore[misc]
    crew.add((1,), lambda: done.append("after"))
    go.set()
    wait_until(lambda: bool(done))
    for _ in range(2):
        with pytest.raises(ValueError, match="task 1"):
            _ = crew.idle


def test_even_an_exit_does_not_kill_a_hand(crews: Callable[[int], Crew]) -> None:
    crew = crews(1)
    done: list[str] = []

    def leave() -> None:
        raise SystemExit(3)

    crew.add((0,), leave)
    crew.add((1,), lambda: done.append("after"))
    wait_until(lambda: bool(done))
    with pytest.raises(SystemExit):
        _ = crew.idle


def test_dropped_tasks_never_run_and_the_crew_is_idle_after_the_rest(crews: Callable[[int], Crew]) -> None:
    crew = crews(2)
    go = held(crew, 2)
    done: list[int] = []
    for number in range(5):
        crew.add((0,), lambda number=number: done.append(number))  # type: ignore[misc]
    crew.drop_queued()
    assert not crew.idle, "two tasks are under way"
    go.set()
    wait_until(lambda: crew.idle)
    crew.add((0,), lambda: done.append(99))
    wait_until(lambda: crew.idle)
    assert done == [99]


def test_a_new_crew_is_idle(crews: Callable[[int], Crew]) -> None:
    assert crews(2).idle


def test_hands_go_at_the_end() -> None:
    before = threading.active_count()
    crew = Crew(4, "test")
    assert threading.active_count() == before + 4
    crew.end(5.0)
    assert threading.active_count() == before


def test_the_end_waits_no_longer_than_it_is_told() -> None:
    crew = Crew(3, "test")
    go = held(crew, 3)
    began = time.monotonic()
    crew.end(0.2)
    assert 0.15 < time.monotonic() - began < 0.6, "the time is given to all hands together"
    go.set()
    crew.end(5.0)
    assert crew.idle


def test_nothing_begins_while_the_crew_is_held(crews: Callable[[int], Crew]) -> None:
    crew = crews(2)
    go = held(crew)
    done: list[int] = []
    crew.hold(True)
    crew.add((0,), lambda: done.append(1))
    go.set()  # what is under way goes on
    wait_until(lambda: not crew.busy)
    assert not crew.idle
    assert done == []
    crew.hold(False)
    wait_until(lambda: crew.idle)
    assert done == [1]


def test_never_more_at_once_than_hands(crews: Callable[[int], Crew]) -> None:
    crew = crews(7)
    lock, at_work, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        time.sleep(0.005)
        with lock:
            at_work[0] -= 1

    for number in range(60):
        crew.add((number % 3,), work)
    wait_until(lambda: crew.idle)
    assert most == [7]
