"""Waiting for events, and ends that have to come in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BOUND_S = 15.0
"""No fault may take longer with the settings of these tests, on a busy machine."""


@contextmanager
def bounded(bound_s: float = BOUND_S) -> Iterator[None]:
    """The block ends in that time."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < bound_s


def wait_until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Return when it holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
