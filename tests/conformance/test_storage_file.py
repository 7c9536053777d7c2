"""The storage suite over `FileStorage`, and what only a file system has: modes, links, errno, kills."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conformance.storage_suite import StorageSuite, local_file
from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError
from transformation.storage.file import FileStorage, local_path

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestBarePaths(StorageSuite):
    @pytest.fixture
    def storage(self) -> FileStorage:
        return FileStorage()

    @pytest.fixture
    def base(self, tmp_path: Path) -> str:
        return str(tmp_path / "store" / "50%25 #1")


class TestFileUrls(StorageSuite):
    @pytest.fixture
    def storage(self) -> FileStorage:
        return FileStorage()

    @pytest.fixture
    def base(self, tmp_path: Path) -> str:
        return f"file://{quote(str(tmp_path / 'a b' / 'store'))}"


class TestWithoutLinks(StorageSuite):
    """A file system that has no hard links: O_EXCL on the name itself."""

    @pytest.fixture
    def storage(self, monkeypatch: pytest.MonkeyPatch) -> FileStorage:
        def refuse(source: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "links are not supported")

        monkeypatch.setattr(os, "link", refuse)
        return FileStorage()

    @pytest.fixture
    def base(self, tmp_path: Path) -> str:
        return str(tmp_path / "store")

    def test_a_failed_create_leaves_nothing(
        self, storage: FileStorage, base: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        syncs = iter([None, OSError(errno.ENOSPC, "full")])

        def full_at_the_second(descriptor: int) -> None:
            if problem := next(syncs):
                raise problem

        monkeypatch.setattr(os, "fsync", full_at_the_second)
        with pytest.raises(StorageError, match="full"):
            storage.create(f"{base}/f", b"content")
        assert names(Path(base)) == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/a/b%20c", "/a/b%20c"),
        ("file:/a/b", "/a/b"),
        ("file:///a/b%20c", "/a/b c"),
        ("file://localhost/a", "/a"),
    ],
)
def test_local_path(url: str, path: str) -> None:
    assert local_path(url) == Path(path)


@pytest.mark.parametrize(
    "url", ["a/b", "file:a", "file://otherhost/a", "https://h/a", "file:///a%00b", "/a\0b", "file:"]
)
def test_other_locations_are_refused(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        FileStorage().stat(url)
    assert caught.value.failure is Failure.STORAGE_UNKNOWN


@pytest.mark.parametrize(
    ("number", "failure", "transient"),
    [
        (errno.ENOSPC, Failure.STORAGE_FULL, False),
        (errno.EDQUOT, Failure.STORAGE_FULL, False),
        (errno.EACCES, Failure.STORAGE_DENIED, False),
        (errno.EPERM, Failure.STORAGE_DENIED, False),
        (errno.EROFS, Failure.STORAGE_DENIED, False),
        (errno.ESTALE, Failure.STORAGE_UNREACHABLE, True),
        (errno.EIO, Failure.STORAGE_UNREACHABLE, True),
        (errno.ETIMEDOUT, Failure.STORAGE_UNREACHABLE, True),
    ],
)
@pytest.mark.parametrize("operation", ["put", "create"])
def test_errors_are_classified_and_leave_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    number: int,
    failure: Failure,
    transient: bool,
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    source = local_file(tmp_path, b"x")
    url = str(tmp_path / "store" / "f")
    monkeypatch.setattr(os, "fsync", fail)
    storage = FileStorage()
    call = partial(storage.put, source, url) if operation == "put" else partial(storage.create, url, b"x")
    with pytest.raises(StorageError) as caught:
        call()
    assert (caught.value.failure, caught.value.transient) == (failure, transient)
    assert names(tmp_path / "store") == []


def test_a_folder_that_cannot_be_listed_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StorageError) as caught:
        FileStorage().list(str(tmp_path))
    assert caught.value.failure is Failure.STORAGE_UNREACHABLE


def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    storage, url = FileStorage(), str(tmp_path / "pipe")
    assert storage.stat(url) is None
    calls = (
        partial(storage.read, url, limit_bytes=9),
        partial(storage.adler32, url),
        partial(storage.get, url, tmp_path),
    )
    for call in calls:
        with pytest.raises(Missing):
            call()


@pytest.mark.parametrize(
    ("number", "failure"), [(errno.ENOSPC, Failure.DISK_FULL), (errno.EACCES, Failure.WORKDIR_UNUSABLE)]
)
def test_get_blames_the_workers_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, failure: Failure
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    source = local_file(tmp_path, b"x")
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(StorageError) as caught:
        FileStorage().get(str(source), tmp_path / "work" / "back")
    assert caught.value.failure is failure
    assert names(tmp_path / "work") == []


def test_modes_do_not_depend_on_the_scratch_copy(tmp_path: Path) -> None:
    source = local_file(tmp_path, b"x")
    source.chmod(0o700)
    storage = FileStorage()
    old_mask = os.umask(0o002)
    try:
        storage.put(source, str(tmp_path / "store" / "image"))
        storage.create(str(tmp_path / "store" / "manifest"), b"{}")
    finally:
        os.umask(old_mask)
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("store", "store/image", "store/manifest")
    }
    assert modes == {"store": 0o755, "store/image": 0o644, "store/manifest": 0o644}


def test_create_whose_answer_was_lost_is_won(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_link = os.link

    def link_twice(source: Path, target: Path) -> None:
        real_link(source, target)
        raise FileExistsError(errno.EEXIST, "the server answered a repeated request")

    monkeypatch.setattr(os, "link", link_twice)
    assert FileStorage().create(str(tmp_path / "f"), b"x")


def test_create_survives_a_cleaner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_link = os.link
    cleaned: list[str] = []

    def link_after_cleaning(source: Path, target: Path) -> None:
        if not cleaned:
            cleaned.append(source.name)
            source.unlink()
        real_link(source, target)

    monkeypatch.setattr(os, "link", link_after_cleaning)
    assert FileStorage().create(str(tmp_path / "f"), b"x")
    assert len(cleaned) == 1


def run_python(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


KILLED_IN_PUT = """
import os, shutil, signal, sys
from pathlib import Path
from transformation.storage.file import FileStorage

def half(source, target):
    content = Path(source).read_bytes()
    Path(target).write_bytes(content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

shutil.copyfile = half
FileStorage().put(Path(sys.argv[1]), sys.argv[2])
"""


def test_a_killed_put_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    source = local_file(tmp_path, b"x" * 10_000)
    target = tmp_path / "store" / ".f.fits.token.part"
    with run_python(KILLED_IN_PUT, source, target) as process:
        assert process.wait(20) == -9
    (left,) = names(tmp_path / "store")
    assert left != target.name
    assert left.startswith(".f.fits.token.part.")


RACE = """
import sys, time
from pathlib import Path
from transformation.storage.file import FileStorage

folder, number = sys.argv[1:]
storage = FileStorage()
Path(folder, f"ready{number}").touch()
while not Path(folder, "go").exists():
    time.sleep(0.001)
won = [turn for turn in range(50) if storage.create(f"{folder}/store/{turn}", number.encode() * 10_000)]
print(*won)
"""


def test_create_among_processes(tmp_path: Path) -> None:
    processes = [run_python(RACE, tmp_path, number) for number in range(8)]
    end_s = time.monotonic() + 20
    while len(list(tmp_path.glob("ready*"))) < len(processes) and time.monotonic() < end_s:
        time.sleep(0.01)
    (tmp_path / "go").touch()
    winners: dict[int, list[int]] = {}
    for number, process in enumerate(processes):
        output, _ = process.communicate(timeout=20)
        for turn in output.split():
            winners.setdefault(int(turn), []).append(number)
    assert sorted(winners) == list(range(50))
    for turn, numbers in winners.items():
        (number,) = numbers
        assert (tmp_path / "store" / str(turn)).read_bytes() == str(number).encode() * 10_000
    assert len(names(tmp_path / "store")) == 50
