"""How many examples: few and always the same in `make test`, new ones and as many as asked for in `make fuzz N=...`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.bad_input.sandbox")

from tests.bad_input.sandbox import Sandbox, close_sandbox, open_sandbox  # noqa: E402 - its asserts are to be rewritten


@pytest.fixture(scope="session")
def _sandbox(tmp_path_factory: pytest.TempPathFactory, tiny_release: Path) -> Iterator[Sandbox]:
    one = open_sandbox(tmp_path_factory.mktemp("bad_input"), tiny_release.parent)
    yield one
    close_sandbox(one)


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Sandbox:
    """Empty; a test that runs many examples clears it for each."""
    _sandbox.clear()
    return _sandbox


def pytest_report_header() -> list[str]:
    asked = os.environ.get("IOD_FUZZ")
    return [f"bad input: {asked} examples a test"] if asked else []
