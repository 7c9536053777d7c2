"""Unit tests start no process and open no socket; those that must say so with the marker `allow_processes`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.process_guard import guard
from transformation.process import Processes

PROGRAMS = Path(__file__).parent / "quicksim"
"""Tests of programs, which are run: they have the marker from their folder."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(PROGRAMS):
            item.add_marker("allow_processes")


@pytest.fixture
def processes() -> Iterator[Processes]:
    """All that it starts is ended with the test."""
    one = Processes()
    yield one
    one.stop()
    one.close()


@pytest.fixture(autouse=True)
def no_processes_or_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a process or opens a socket, also in a thread."""
    if request.node.get_closest_marker("allow_processes"):
        yield
        return
    with guard() as seen:
        yield
    assert seen == []
