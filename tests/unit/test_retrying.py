"""The coat that repeats storage calls, and what a repeated call may not spoil."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.conformance.scripted_storage import ScriptedStorage
from tests.unit.commit_world import World
from transformation.model.failures import Failure
from transformation.outcomes import Committed
from transformation.ports import Missing, Retry, StorageError
from transformation.storage.memory import MemoryStorage
from transformation.storage.retrying import Patience, RetryingStorage

URL = "memory:/store/f"
PATIENCE = Patience()
Hook = Callable[[str, str], None]


def blip(*, transient: bool = True) -> StorageError:
    return StorageError(Failure.STORAGE_UNREACHABLE, "no answer", transient=transient)


def failing_at(calls: Iterable[int], operation: str | None = None, *, transient: bool = True) -> Hook:
    """Fails those calls of an operation, or of any, counted from 1."""
    numbers = itertools.count(1)
    chosen = set(calls)

    def hook(called: str, url: str) -> None:
        if operation in {None, called} and next(numbers) in chosen:
            raise blip(transient=transient)

    return hook


class Bench:
    """A coat with a clock of its own around a memory storage that fails on demand."""

    def __init__(self, *, before: Hook | None = None, after: Hook | None = None, patience: Patience = PATIENCE) -> None:
        nothing: Hook = lambda operation, url: None  # noqa: E731
        self.memory = MemoryStorage()
        self.now_s = 0.0
        self.retries: list[Retry] = []
        self.storage = RetryingStorage(
            ScriptedStorage(self.memory, before=before or nothing, after=after or nothing),
            patience=patience,
            note=self.retries.append,
            sleep=self._sleep,
            clock=lambda: self.now_s,
        )

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_passing_failure_is_repeated_and_told() -> None:
    bench = Bench(before=failing_at([1, 2]))
    assert bench.storage.create(URL, b"x") is True
    assert bench.storage.read(URL, limit_bytes=10) == b"x"
    assert [(retry.operation, retry.url, retry.tried, retry.problem) for retry in bench.retries] == [
        ("create", URL, 1, "no answer"),
        ("create", URL, 2, "no answer"),
    ]
    assert sum(retry.wait_s for retry in bench.retries) == pytest.approx(bench.now_s, abs=0.01)


def test_a_final_failure_is_not_repeated() -> None:
    bench = Bench(before=failing_at([1], transient=False))
    with pytest.raises(StorageError):
        bench.storage.stat(URL)
    with pytest.raises(Missing):
        bench.storage.adler32(URL)
    assert bench.retries == []


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_tries_are_counted(tries: int) -> None:
    bench = Bench(before=failing_at(range(1, 100)), patience=Patience(tries=tries))
    with pytest.raises(StorageError, match="no answer"):
        bench.storage.list("memory:/store")
    assert len(bench.retries) == tries - 1


def test_the_total_time_is_bounded() -> None:
    patience = Patience(tries=10**6, total_s=60.0, first_wait_s=1.0, longest_wait_s=10.0)
    bench = Bench(before=failing_at(range(1, 10**6)), patience=patience)
    with pytest.raises(StorageError):
        bench.storage.stat(URL)
    assert bench.now_s <= 60.0
    assert 5 < len(bench.retries) < 200
    assert all(retry.wait_s <= 10.0 for retry in bench.retries)


def test_waits_grow_and_differ() -> None:
    waits = []
    for _ in range(20):
        bench = Bench(before=failing_at(range(1, 100)), patience=Patience(tries=5, first_wait_s=1.0))
        with pytest.raises(StorageError):
            bench.storage.stat(URL)
        waits.append([retry.wait_s for retry in bench.retries])
    means = [sum(column) / len(column) for column in zip(*waits, strict=True)]
    assert means[0] < means[-1]
    assert len({row[0] for row in waits}) > 10


def test_nothing_is_repeated_after_close() -> None:
    bench = Bench(before=failing_at(range(1, 100)))
    bench.storage.close()
    with pytest.raises(StorageError):
        bench.storage.stat(URL)
    assert bench.retries == []


def test_every_call_goes_through(tmp_path: Path) -> None:
    bench = Bench(before=lambda operation, url: failing[operation](operation, url))
    operations = ("stat", "adler32", "list", "folders", "read", "get", "put", "create", "rename", "delete")
    failing = {operation: failing_at([1]) for operation in operations}
    storage = bench.storage
    (tmp_path / "local").write_bytes(b"x")
    storage.put(tmp_path / "local", URL)
    assert storage.stat(URL) is not None
    assert storage.adler32(URL) == "00790079"
    assert storage.create(URL, b"y") is False
    storage.rename(URL, f"{URL}2")
    assert [entry.name for entry in storage.list("memory:/store")] == ["f2"]
    assert storage.folders("memory:/store") == []
    assert storage.read(f"{URL}2", limit_bytes=1) == b"x"
    storage.get(f"{URL}2", tmp_path / "back")
    storage.delete(f"{URL}2")
    assert sorted(retry.operation for retry in bench.retries) == sorted(operations)
    assert storage.parallel == 1


@pytest.mark.parametrize("operation", ["put", "stat", "adler32", "create", "read", "rename", "list", "delete"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_bears_a_lost_call_or_a_lost_answer(tmp_path: Path, operation: str, moment: str) -> None:
    """Whichever call of a commit fails once, before or after its effect."""
    for number in range(1, 5):
        hook = failing_at([number], operation)
        bench = Bench(before=hook) if moment == "before" else Bench(after=hook)
        world = World(bench.memory, "memory:/store", tmp_path)
        assert isinstance(world.commit("a", bench.storage), Committed)
        assert world.check_done().token == "a"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_unit_is_redone_in_spite_of_lost_answers(tmp_path: Path, moment: str) -> None:
    for number in range(1, 40):
        hook = failing_at([number])
        bench = Bench(before=hook) if moment == "before" else Bench(after=hook)
        world = World(bench.memory, "memory:/store", tmp_path)
        world.commit("z")
        world.storage.delete(world.place.file_url("87393588", world.names()[0][0]))
        world.attempt("a", bench.storage)
        assert world.check_done().token == "a"


@pytest.mark.allow_processes
def test_the_machinery_is_loaded_when_something_fails() -> None:
    code = (
        "import sys; from transformation.storage.retrying import RetryingStorage as R;"
        "from transformation.storage.memory import MemoryStorage as M; R(M()).stat('memory:/x');"
        "sys.exit('tenacity' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
