"""What several kinds of tests share: the small release, and a bench that runs the real command on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quicksim.release import build_release, release_name

pytest.register_assert_rewrite("tests.whole_job.aftermath")
pytest_plugins = ["tests.servers.rucio_fixtures"]

from tests.whole_job.bench import Bench  # noqa: E402 - its asserts are to be rewritten


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of quicksim-tiny, built once; its parent is a release root. Not to be written to."""
    return build_release(tmp_path_factory.mktemp("releases") / release_name(tiny=True), tiny=True)


@pytest.fixture
def bench(tmp_path: Path, tiny_release: Path) -> Iterator[Bench]:
    """Runs jobs in a folder of the test's own; what they leave running is ended with the test."""
    one = Bench(folder=tmp_path, release=tiny_release)
    yield one
    one.close()
