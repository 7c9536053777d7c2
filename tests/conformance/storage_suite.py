"""What every storage adapter has to do. A new adapter's tests are a subclass with a `storage` and a `base` fixture."""

from __future__ import annotations

import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from transformation.layout import join_url
from transformation.ports import Entry, Missing, Stat, Storage, StorageError, TooLarge

ODD_NAMES = ["plain.fits", "a+b.fits", "100%25.fits", "two words.fits", "sharp#1.fits", ".hidden", "é.fits"]
BIG_BYTES = 12_000_017


def local_file(folder: Path, content: bytes, name: str = "local") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


class StorageSuite:
    """Fixtures to give: `storage`, the adapter, and `base`, the location of a folder that does not exist yet."""

    RACES = 10
    """How often sixteen callers create the same file."""

    def test_put_stat_adler32_read(self, storage: Storage, base: str, tmp_path: Path) -> None:
        url = join_url(base, "deep", "folder", "f.fits")
        storage.put(local_file(tmp_path, b"abc" * 1000), url)
        assert storage.stat(url) == Stat(size_bytes=3000)
        assert storage.adler32(url) == f"{zlib.adler32(b'abc' * 1000):08x}"
        assert storage.read(url, limit_bytes=3000) == b"abc" * 1000

    @pytest.mark.parametrize("content", [b"", b"x", os.urandom(BIG_BYTES)], ids=["empty", "byte", "big"])
    def test_put_and_get_keep_every_byte(self, storage: Storage, base: str, tmp_path: Path, content: bytes) -> None:
        url = join_url(base, "f.fits")
        storage.put(local_file(tmp_path, content), url)
        assert storage.stat(url) == Stat(size_bytes=len(content))
        assert storage.adler32(url) == f"{zlib.adler32(content):08x}"
        storage.get(url, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["back", "local"]

    def test_a_stored_file_is_a_copy(self, storage: Storage, base: str, tmp_path: Path) -> None:
        url = join_url(base, "f.fits")
        path = local_file(tmp_path, b"as sent")
        storage.put(path, url)
        with path.open("r+b") as file:
            file.write(b"changed")
        assert storage.read(url, limit_bytes=100) == b"as sent"

    def test_put_again_after_a_lost_answer(self, storage: Storage, base: str, tmp_path: Path) -> None:
        url = join_url(base, "f.fits")
        for content in (b"half", b"the whole"):
            storage.put(local_file(tmp_path, content), url)
        assert storage.read(url, limit_bytes=100) == b"the whole"
        assert storage.list(base) == [Entry(name="f.fits", size_bytes=9)]

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names(self, storage: Storage, base: str, tmp_path: Path, name: str) -> None:
        url = join_url(base, "folder", name)
        storage.put(local_file(tmp_path, b"odd"), url)
        assert storage.list(join_url(base, "folder")) == [Entry(name=name, size_bytes=3)]
        assert storage.stat(url) == Stat(size_bytes=3)
        assert not storage.create(url, b"other")
        storage.rename(url, join_url(base, "folder", "renamed"))
        assert storage.stat(url) is None
        storage.rename(join_url(base, "folder", "renamed"), url)
        storage.delete(url)
        assert storage.list(join_url(base, "folder")) == []

    def test_what_is_not_there(self, storage: Storage, base: str, tmp_path: Path) -> None:
        for url in (join_url(base, "absent"), join_url(base, "no", "such", "folder")):
            assert storage.stat(url) is None
            assert list(storage.list(url)) == []
            assert list(storage.folders(url)) == []
            storage.delete(url)
            with pytest.raises(Missing):
                storage.adler32(url)
            with pytest.raises(Missing):
                storage.read(url, limit_bytes=10)
            with pytest.raises(Missing):
                storage.get(url, tmp_path / "back")
            with pytest.raises(Missing):
                storage.rename(url, join_url(base, "new"))
        assert not (tmp_path / "back").exists()

    def test_a_missing_local_file_is_not_the_storages_fault(self, storage: Storage, base: str, tmp_path: Path) -> None:
        with pytest.raises(StorageError) as caught:
            storage.put(tmp_path / "absent", join_url(base, "f"))
        assert not isinstance(caught.value, Missing)
        assert not caught.value.transient
        assert storage.stat(join_url(base, "f")) is None

    def test_a_file_is_no_folder(self, storage: Storage, base: str, tmp_path: Path) -> None:
        storage.create(join_url(base, "f"), b"file")
        below = join_url(base, "f", "below")
        with pytest.raises(StorageError) as caught:
            storage.create(below, b"x")
        assert not isinstance(caught.value, Missing)
        with pytest.raises(StorageError):
            storage.put(local_file(tmp_path, b"x"), below)
        assert storage.stat(below) is None
        assert storage.read(join_url(base, "f"), limit_bytes=4) == b"file"

    def test_list_and_folders(self, storage: Storage, base: str) -> None:
        for names in (("a",), ("b",), ("one", "c"), ("two", "three", "d")):
            storage.create(join_url(base, *names), b"x" * len(names))
        assert sorted(storage.list(base), key=lambda entry: entry.name) == [
            Entry(name="a", size_bytes=1),
            Entry(name="b", size_bytes=1),
        ]
        assert sorted(storage.folders(base)) == ["one", "two"]
        assert storage.stat(join_url(base, "one")) is None

    def test_read_holds_no_more_than_its_limit(self, storage: Storage, base: str) -> None:
        url = join_url(base, "f")
        storage.create(url, b"x" * 11)
        with pytest.raises(TooLarge):
            storage.read(url, limit_bytes=10)
        assert storage.read(url, limit_bytes=11) == b"x" * 11

    def test_rename_replaces(self, storage: Storage, base: str) -> None:
        old, new = join_url(base, "old"), join_url(base, "new")
        storage.create(old, b"fresh")
        storage.create(new, b"stale content")
        storage.rename(old, new)
        assert storage.read(new, limit_bytes=100) == b"fresh"
        assert storage.list(base) == [Entry(name="new", size_bytes=5)]

    def test_create_is_exclusive(self, storage: Storage, base: str) -> None:
        url = join_url(base, "folder", "f.json")
        same = b"first"
        assert storage.create(url, same) is True
        assert storage.create(url, same) is False
        assert storage.create(url, b"second") is False
        assert storage.read(url, limit_bytes=100) == same
        assert storage.list(join_url(base, "folder")) == [Entry(name="f.json", size_bytes=5)]
        storage.delete(url)
        assert storage.create(url, b"third") is True

    def test_create_has_one_winner_with_its_whole_content(self, storage: Storage, base: str) -> None:
        contents = [bytes([number]) * 20_000 for number in range(16)]
        for turn in range(self.RACES):
            url = join_url(base, f"f{turn}.json")
            start = threading.Barrier(len(contents))

            def create(content: bytes, url: str = url, start: threading.Barrier = start) -> bool:
                start.wait(10)
                return storage.create(url, content)

            with ThreadPoolExecutor(len(contents)) as pool:
                won = list(pool.map(create, contents))
            assert won.count(True) == 1
            assert storage.read(url, limit_bytes=30_000) == contents[won.index(True)]
        assert len(storage.list(base)) == self.RACES

    def test_rename_has_one_winner(self, storage: Storage, base: str) -> None:
        storage.create(join_url(base, "f"), b"x")
        start = threading.Barrier(8)

        def rename(number: int) -> bool:
            start.wait(10)
            try:
                storage.rename(join_url(base, "f"), join_url(base, f"f{number}"))
            except Missing:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(rename, range(8)))
        assert won.count(True) == 1
        assert storage.list(base) == [Entry(name=f"f{won.index(True)}", size_bytes=1)]

    def test_a_location_of_another_kind_is_refused(self, storage: Storage) -> None:
        for url in ("relative/path", "gopher://host/path", ""):
            with pytest.raises(StorageError) as caught:
                storage.stat(url)
            assert not isinstance(caught.value, Missing)
            assert not caught.value.transient

    def test_survey_of_a_folder_that_is_not_there_yet(self, storage: Storage, base: str) -> None:
        found = storage.survey(join_url(base, "not", "yet"))
        assert found.exclusive
        assert found.free_bytes is None or found.free_bytes > BIG_BYTES
        assert list(storage.list(base)) == []
