"""What a node keeps of the inputs that its jobs have fetched: checked each time, never in the way."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.samples import file_size_limit
from transformation.input_cache import InputCache
from transformation.ports import Expected

WEB = "https://host/a/sky.txt?authz=x"


def expected_of(content: bytes) -> Expected:
    return Expected(size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")


class Node:
    """A cache, and what it complained of."""

    def __init__(self, folder: Path, limit_bytes: int = 1000) -> None:
        self.root = folder
        self.folder = folder / "cache"
        self.notes: list[str] = []
        self.cache = InputCache(self.folder, limit_bytes=limit_bytes, note=self.notes.append)

    def put(self, content: bytes, location: str = WEB) -> None:
        path = self.root / "fetched"
        path.write_bytes(content)
        self.cache.put(location, expected_of(content), path)

    def take(self, content: bytes, location: str = WEB) -> bool:
        path = self.root / "copy"
        path.unlink(missing_ok=True)
        found = self.cache.take(location, expected_of(content), path)
        assert path.exists() is found
        assert not found or path.read_bytes() == content
        return found

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_what_was_put_is_found(node: Node) -> None:
    assert not node.take(b"sky")
    node.put(b"sky")
    assert node.take(b"sky")
    assert node.names == ["02ab0158-3-sky.txt"]
    assert not node.take(b"sea")
    assert not node.take(b"sky", "https://host/a/other.txt")
    assert node.notes == []


def test_a_copy_cannot_harm_the_cache(node: Node) -> None:
    node.put(b"sky")
    node.take(b"sky")
    (node.root / "copy").write_bytes(b"SKY")
    (node.root / "fetched").write_bytes(b"Sky")
    assert node.take(b"sky")


@pytest.mark.parametrize("damage", [b"", b"sk", b"skY", b"skyy"])
def test_a_damaged_file_is_dropped(node: Node, damage: bytes) -> None:
    node.put(b"sky")
    (node.folder / node.names[0]).write_bytes(damage)
    assert not node.take(b"sky")
    assert node.names == []
    assert len(node.notes) == 1
    assert node.notes[0].endswith("is damaged and was removed")
    node.put(b"sky")
    assert node.take(b"sky")


def test_what_is_not_as_expected_is_not_kept(node: Node) -> None:
    path = node.root / "fetched"
    path.write_bytes(b"skY")
    node.cache.put(WEB, expected_of(b"sky"), path)
    assert node.names == []


def test_what_is_not_pinned_is_not_kept(node: Node) -> None:
    path = node.root / "fetched"
    path.write_bytes(b"sky")
    for loose in (Expected(), Expected(size_bytes=3), Expected(adler32="02ab0158")):
        node.cache.put(WEB, loose, path)
        assert not node.cache.take(WEB, loose, node.root / "copy")
    assert not node.folder.exists()


def test_the_least_recently_used_goes_first(node: Node) -> None:
    contents = [bytes([number]) * 300 for number in range(4)]
    for age_s, content in zip((40, 30, 20), contents[:3], strict=True):
        node.put(content)
        entry = node.folder / f"{expected_of(content).adler32}-300-sky.txt"
        used_s = entry.stat().st_mtime - age_s
        os.utime(entry, (used_s, used_s))
    assert node.take(contents[0])
    node.put(contents[3])
    assert [node.take(content) for content in contents] == [True, False, True, True]


def test_a_file_larger_than_all_of_it_is_not_kept(node: Node) -> None:
    node.put(b"x" * 500)
    node.put(b"y" * 1001)
    assert node.take(b"x" * 500)
    assert not node.take(b"y" * 1001)


def test_what_a_killed_job_left_goes_one_day(node: Node) -> None:
    node.put(b"sky")
    for name, age_s in ((".a.new", 100.0), (".b.new", 100_000.0)):
        (node.folder / name).write_bytes(b"half")
        then_s = (node.folder / name).stat().st_mtime - age_s
        os.utime(node.folder / name, (then_s, then_s))
    node.put(b"sea")
    assert [name for name in node.names if name.endswith(".new")] == [".a.new"]


def read_only(node: Node) -> None:
    node.folder.write_bytes(b"a file in the way")


def written_by_others(node: Node) -> None:
    node.folder.mkdir()
    node.folder.chmod(0o777)


@pytest.mark.parametrize("trouble", [read_only, written_by_others])
def test_a_cache_that_cannot_be_used_is_left_alone(node: Node, trouble: Callable[[Node], None]) -> None:
    trouble(node)
    node.put(b"sky")
    assert not node.take(b"sky")
    assert node.notes
    assert all(str(node.folder) in note for note in node.notes)


def test_a_full_disk_is_left_alone(tmp_path: Path) -> None:
    node = Node(tmp_path, limit_bytes=10**6)
    path = tmp_path / "fetched"
    content = os.urandom(200_000)
    path.write_bytes(content)
    with file_size_limit(100_000):
        node.cache.put(WEB, expected_of(content), path)
    assert node.names == []
    assert node.notes == [f"{node.folder}: File too large"]


def test_many_jobs_at_once(node: Node) -> None:
    contents = [bytes([number]) * 300 for number in range(6)]
    wrong: list[str] = []

    def job(number: int) -> None:
        for turn in range(40):
            content = contents[(number + turn) % 6]
            path = node.root / f"copy-{number}"
            if node.cache.take(WEB, expected_of(content), path):
                if path.read_bytes() != content:
                    wrong.append(f"{number} took another file")
            else:
                path.write_bytes(content)
                node.cache.put(WEB, expected_of(content), path)

    jobs = [threading.Thread(target=job, args=(number,)) for number in range(4)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    assert wrong == []
    assert node.notes == []
    assert not [name for name in node.names if name.endswith(".new")]
