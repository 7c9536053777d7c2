"""What several kinds of tests share: the small release, and a bench that runs the real command on it."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from quicksim.release import build_release, release_name

pytest.register_assert_rewrite("tests.whole_job.aftermath")
pytest_plugins = ["tests.servers.rucio_fixtures"]

from tests.servers.xrootd_server import start_again_what_died, start_all_again  # noqa: E402
from tests.whole_job.bench import Bench  # noqa: E402 - its asserts are to be rewritten


def pytest_configure() -> None:
    """Who starts us in the background may ignore SIGINT or SIGHUP, and programs that tests start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole jobs and servers first, so that no process is left alone with a long file at the end."""
    items.sort(key=lambda item: "unit" in item.path.parts)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The test in which a server died or got stuck fails and is tried again; those after it shall not fail for that."""
    for words in start_again_what_died():
        warnings.warn(words, stacklevel=1)
    if getattr(item, "execution_count", 1) > 1:  # of pytest-rerunfailures
        start_all_again()


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
