"""A few threads that take from one iterator in turn: what waits never grows with the amount of work.

`concurrent.futures` would take everything at once, and longer to load than a small repository takes to verify.
"""

from __future__ import annotations

import threading
from typing import Callable, Iterator, List, Optional, TypeVar

_Job = TypeVar("_Job")


def work_through(jobs: Iterator[_Job], work: Callable[[_Job], None], *, at_once: int) -> None:
    """Do all the jobs; one thread at a time asks for the next. Raises the first error, once all threads have ended."""
    turn = threading.Lock()
    errors: List[BaseException] = []

    def next_job() -> Optional[_Job]:
        with turn:
            return None if errors else next(jobs, None)

    def run() -> None:
        try:
            while (job := next_job()) is not None:
                work(job)
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            errors.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:  # noqa: BLE001 - a signal: the others end with what they have in hand
        errors.insert(0, error)
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
