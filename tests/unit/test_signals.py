"""What signals do to a job, with real ones."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from transformation import signals
from transformation.model.failures import Failure
from transformation.signals import Terminated, end_after, listening

ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {one: signal.getsignal(one) for one in ALL}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    for one, handler in before.items():
        signal.signal(one, handler)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Told:
    """What the other thread was told."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.why: list[Failure] = []

    def status(self) -> None:
        self.statuses.append(threading.current_thread().name)

    def last_resort(self, why: Failure) -> None:
        self.why.append(why)


def run(told: Told, block: Callable[[], None], early: Sequence[int] = ()) -> None:
    """A block under `listening`, as a job is."""
    with listening(early, status=told.status, last_resort=told.last_resort) as hear:
        hear()
        block()


def stopped(told: Told, block: Callable[[], None], early: Sequence[int] = ()) -> Terminated:
    """What a block that is stopped ended with."""
    with pytest.raises(Terminated) as raised:
        run(told, block, early)
    return raised.value


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_the_first_signal_to_stop_is_raised_and_later_ones_change_nothing(number: signal.Signals) -> None:
    def block() -> None:
        try:
            signal.raise_signal(number)
        finally:
            for _ in range(3):
                signal.raise_signal(number)
                signal.raise_signal(signal.SIGTERM)

    told = Told()
    end = stopped(told, block)
    assert (str(end), end.failure) == (f"got {number.name}", Failure.TERMINATED)
    assert told.why == []


def test_a_signal_that_came_before_counts() -> None:
    assert str(stopped(Told(), lambda: pytest.fail("it went on"), [signal.SIGTERM])) == "got SIGTERM"


def test_a_signal_while_listening_begins_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    early: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: early.append(number))
    begin = signals._Ears.begin
    monkeypatch.setattr(signals._Ears, "begin", lambda ears: (begin(ears), signal.raise_signal(signal.SIGTERM)))
    told = Told()
    with (
        listening(early, status=told.status, last_resort=told.last_resort) as hear,
        pytest.raises(Terminated, match="got SIGTERM"),
    ):
        hear()
    assert told.why == []


def test_asking_is_answered_by_another_thread_and_stops_nothing() -> None:
    told = Told()

    def block() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGUSR1)
        wait_until(lambda: len(told.statuses) == 2)

    run(told, block)
    assert set(told.statuses) == {"signals"}


def test_a_block_that_hangs_after_the_signal_is_left_to_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "LAST_RESORT_S", 0.2)
    told = Told()

    def block() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGUSR1)  # does not put it off
            wait_until(lambda: told.why != [])

    stopped(told, block)
    assert told.why == [Failure.TERMINATED]


def test_so_is_one_that_was_signalled_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "LAST_RESORT_S", 0.2)
    told = Told()
    heard = []
    with listening([signal.SIGINT], status=told.status, last_resort=told.last_resort) as hear:
        try:
            hear()
        except Terminated as error:
            heard.append(str(error))
        wait_until(lambda: told.why != [])
    assert heard == ["got SIGINT"]


def test_the_end_of_the_slot_is_raised_wherever_the_job_is() -> None:
    def block() -> None:
        end_after(0.05)
        time.sleep(10.0)

    end = stopped(Told(), block)
    assert (str(end), end.failure) == ("the slot ends now", Failure.DEADLINE)


def test_a_slot_that_ends_when_nobody_lives_is_no_obstacle() -> None:
    with listening([], status=lambda: None, last_resort=lambda _why: None):
        end_after(1e300)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 1e7


def test_nothing_is_left_behind() -> None:
    run(Told(), lambda: end_after(3600.0))
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_hang_up_that_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run(Told(), lambda: signal.raise_signal(signal.SIGHUP))
