"""Signals that reach a job: TERM, INT and HUP end it in order, USR1 asks how it is doing.

Handlers do next to nothing, since they run between any two instructions of the main thread. What needs locks is done
by a thread of its own, which Python's wake-up descriptor tells of each signal.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from select import select
from types import FrameType

from transformation.model.failures import Failure

LAST_RESORT_S = 2.2
"""After a signal, the report is written and we are gone by then, whatever hangs: a pilot kills after three seconds."""
_GOODBYE_S = 1.0
_LONGEST_TIMER_S = 1e8
"""Three years: what is later does not end any job, and must not be more than the kernel can count."""
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)


class Terminated(BaseException):
    """Something told us to stop."""

    def __init__(self, why: str, failure: Failure = Failure.TERMINATED) -> None:
        super().__init__(why)
        self.failure = failure


@contextmanager
def listening(
    early: Sequence[int], *, status: Callable[[], None], last_resort: Callable[[Failure], None]
) -> Iterator[Callable[[], None]]:
    """Turn the first signal to stop into `Terminated` in the main thread; later ones change nothing.

    `status` is called for each USR1, and `last_resort` if the block has not ended in time after a signal to stop; both
    in another thread. What is handed out is to be called first in the block, where `Terminated` is caught: until then
    whoever listened before is told, and what it has noted in `early` counts.
    """
    heard = [one for one in _STOPPING if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.getsignal(one) for one in heard}
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    ears = _Ears(status=status, last_resort=last_resort)
    ears.begin()

    def hear() -> None:
        for one in heard:
            signal.signal(one, _stop)
        ears.raise_early(early)

    try:
        yield hear
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        ears.end()
        # Once ignored they stay so: a signal while Python itself ends must not change the exit code.
        for one, handler in before.items():
            if signal.getsignal(one) is not signal.SIG_IGN:
                signal.signal(one, handler)


def ignore_signals() -> None:
    """What is left to do takes no time, and the verdict stands."""
    for one in _STOPPING:
        signal.signal(one, signal.SIG_IGN)


def let_signals_be(early: Sequence[int]) -> None:
    """Leave signals to the system again, for commands that have nothing to lay down; one that had come counts."""
    for one in (*_STOPPING, signal.SIGUSR1):
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, signal.SIG_DFL)
    if early:
        os.kill(os.getpid(), early[0])


def end_after(seconds: float) -> None:
    """Raise `Terminated` with DEADLINE after so long, unless the work was laid down before."""
    signal.setitimer(signal.ITIMER_REAL, min(max(0.001, seconds), _LONGEST_TIMER_S))


def _stop(number: int, _frame: FrameType | None) -> None:
    ignore_signals()
    why = "the slot ends now" if number == signal.SIGALRM else f"got {signal.Signals(number).name}"
    raise Terminated(why, _failure_of(number))


def _failure_of(number: int) -> Failure:
    return Failure.DEADLINE if number == signal.SIGALRM else Failure.TERMINATED


class _Ears:
    """The thread that hears of signals."""

    def __init__(self, *, status: Callable[[], None], last_resort: Callable[[Failure], None]) -> None:
        self._status = status
        self._last_resort = last_resort
        self._own_end, self._far_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)

    def begin(self) -> None:
        self._before = signal.set_wakeup_fd(self._far_end, warn_on_full_buffer=False)
        self._thread.start()

    def end(self) -> None:
        signal.set_wakeup_fd(self._before)
        os.close(self._far_end)
        self._thread.join(_GOODBYE_S)

    def raise_early(self, early: Sequence[int]) -> None:
        if early:
            os.write(self._far_end, bytes(early[:1]))
            _stop(early[0], None)

    def _listen(self) -> None:
        while number := self._next(None):
            if number == signal.SIGUSR1:
                self._status()
            elif number in _STOPPING:
                if not self._ends_within(LAST_RESORT_S):
                    self._last_resort(_failure_of(number))
                break
        os.close(self._own_end)

    def _ends_within(self, timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        while (left_s := end - time.monotonic()) > 0.0:
            if self._next(left_s) == 0:
                return True
        return False

    def _next(self, timeout_s: float | None) -> int | None:
        """The next signal's number; 0 at the end, None if it is too late."""
        if not select([self._own_end], [], [], timeout_s)[0]:
            return None
        text = os.read(self._own_end, 1)
        return text[0] if text else 0
