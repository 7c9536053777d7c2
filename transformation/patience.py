"""How long something is tried: calls that are repeated, and calls that must come back in time.

Each kind of call is repeated at exactly one layer, a coat around the adapter; the coats share this engine.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long one call is repeated."""

    tries: int = 4
    """All of them, the first one included."""
    total_s: float = 300.0
    """No try begins later than this after the first failure."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0
    quick_s: float = math.inf
    """What took longer than this to fail is not repeated: it has had its time."""


class Repeater:
    """Repeats calls whose failure `is_transient`, after waits that are drawn at random.

    `sleep` may end early; by default it does so at `stop`, after which nothing is repeated. `clock` gives seconds that
    only grow.
    """

    def __init__(
        self,
        patience: Patience,
        is_transient: Callable[[BaseException], bool],
        *,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._is_transient = is_transient
        self._stopped = threading.Event()
        self._sleep = sleep or self._wait
        self._clock = clock

    def stop(self) -> None:
        """Repeat nothing from now on; who waits for the next try wakes up."""
        self._stopped.set()

    def repeated(self, call: Callable[[], T], note: Callable[[int, float, str], None]) -> T:
        """The call's answer. `note` gets each failure that is followed by another try: how often it was tried so far,
        seconds until the next, what was wrong."""
        began = self._clock()
        try:
            return call()
        except Exception as error:
            if not self._is_transient(error) or self._clock() - began > self._patience.quick_s:
                raise
            failed = error
        return self._again(call, failed, note)

    def _again(self, call: Callable[[], T], failed: Exception, note: Callable[[int, float, str], None]) -> T:
        import tenacity  # only when something failed: a job's start does not wait for it

        patience, began = self._patience, self._clock()
        failures, tried = [failed], [began]

        def attempt() -> T:
            if failures:  # the try that was made already
                raise failures.pop()
            tried.append(self._clock())
            return call()

        def enough(state: RetryCallState) -> bool:
            late = self._clock() - began + state.upcoming_sleep > patience.total_s
            slow = self._clock() - tried[-1] > patience.quick_s
            return late or slow or state.attempt_number >= patience.tries or self._stopped.is_set()

        def say(state: RetryCallState) -> None:
            problem = str(state.outcome.exception()) if state.outcome else ""
            note(state.attempt_number, round(state.upcoming_sleep, 3), problem)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_transient),
            wait=tenacity.wait_random_exponential(multiplier=patience.first_wait_s, max=patience.longest_wait_s),
            stop=enough,
            before_sleep=say,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(attempt)

    def _wait(self, seconds: float) -> None:
        self._stopped.wait(seconds)


def within(limit_s: float, call: Callable[[], T], *, name: str) -> T:
    """The answer of the call. Raises `TimeoutError` after so many seconds; then nobody waits for it any more.

    For calls that no time-out of their own bounds, such as an answer that comes a byte at a time. The call is left
    behind in a daemon thread of that name.
    """
    answers: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # noqa: BLE001 - handed to the caller as it is
            answers.put((None, error))

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        answer, error = answers.get(timeout=limit_s)
    except Empty:
        raise TimeoutError(f"no whole answer in {limit_s:.0f} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]
