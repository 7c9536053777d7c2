"""Hands that work through ranked tasks, as many at once as the share allows.

A task may add further tasks. Tasks of lower rank come first; a task that raises ends the work, and the exception comes
out where the crew is awaited.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

Task = Callable[[], None]
Rank = tuple[int, ...]


class Crew:
    """A number of threads over one ranked queue."""

    def __init__(self, hands: int, name: str) -> None:
        self._queue: list[tuple[Rank, int, Task, bool]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._open = 0
        self._busy = 0
        self._closed = False
        """A task that wants to be alone is under way."""
        self._held = False
        self._ended = False
        self._failure: BaseException | None = None
        names = (f"{name}-{hand}" for hand in range(hands))
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    def add(self, rank: Rank, task: Task, *, alone: bool = False) -> None:
        """Queue a task; equal ranks keep their order. One that is to be alone waits until all hands are free, and
        no other begins while it waits at the head of the queue or is under way."""
        with self._changed:
            heapq.heappush(self._queue, (rank, next(self._order), task, alone))
            self._open += 1
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """True if nothing is queued or under way. Raises what a task raised."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            return self._open == 0

    @property
    def busy(self) -> bool:
        """True if a task is under way."""
        with self._changed:
            return self._busy > 0

    def hold(self, held: bool) -> None:
        """Begin no further task until it is said again with False; those under way go on."""
        with self._changed:
            if self._held != held:
                self._held = held
                self._changed.notify_all()

    def drop_queued(self) -> None:
        """Forget the tasks that have not begun."""
        with self._changed:
            self._open -= len(self._queue)
            self._queue.clear()

    def end(self, timeout_s: float) -> None:
        """Let the hands go; wait for those that are working, up to the time given to them all."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that awaits the crew
                with self._changed:
                    self._failure = self._failure or error
            with self._changed:
                self._open -= 1
                self._busy -= 1
                self._closed = False
                self._changed.notify_all()

    def _next(self) -> Task | None:
        with self._changed:
            while not self._may_begin():
                if self._ended and not self._queue:
                    return None
                self._changed.wait()
            _, _, task, self._closed = heapq.heappop(self._queue)
            self._busy += 1
            return task

    def _may_begin(self) -> bool:
        if self._closed or self._held or not self._queue:
            return False
        alone = self._queue[0][3]
        return not (alone and self._busy)
