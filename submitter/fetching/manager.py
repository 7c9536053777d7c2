"""Many files at once, into one folder that belongs to one fetch at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

import msgspec

from submitter.fetching.doors import Doors
from submitter.fetching.meter import Meter, Progress
from submitter.fetching.one_file import PART, Fetched, LocalTrouble, MoreUrls, fetch_file
from submitter.listing import RemoteFile
from submitter.troubles import IodError, Trouble
from transformation.model.failures import Failure

AT_ONCE = 8
Tell = Callable[[Progress, Fetched], None]
"""Hears of every file that is over, in the caller's thread."""


class FetchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all files."""

    folder: Path
    results: Sequence[Fetched]
    """In the order of the files."""
    notes: Sequence[str]
    wall_s: float

    def of(self, state: str) -> list[Fetched]:
        """Those that are fetched, kept or failed."""
        return [one for one in self.results if one.state == state]


def no_more(_file: RemoteFile) -> Sequence[str]:
    """Nobody knows of further places."""
    return ()


def fetch_all(
    files: Sequence[RemoteFile],
    folder: Path,
    doors: Doors,
    *,
    more_urls: MoreUrls = no_more,
    at_once: int = AT_ONCE,
    tell: Tell = lambda _progress, _fetched: None,
) -> list[Fetched]:
    """Bring files to `folder/v<visit>/`; what is there and right stays. Raises `IodError`.

    A file that cannot be had is one of the results and keeps none of the others back.
    """
    with _reserved(folder):
        _prepare(folder, files)
        results: dict[str, Fetched] = {}
        meter = Meter(len(files), sum(file.size_bytes for file in files), time.monotonic())
        for one in _results(files, folder, doors, more_urls, at_once):
            results[one.file.path] = one
            moved = one.state == "fetched"
            tell(meter.count(one.file.size_bytes, time.monotonic(), fetched=moved), one)
    return [results[file.path] for file in files]


# ---------------------------------------------------------------- the folder
@contextmanager
def _reserved(folder: Path) -> Iterator[None]:
    """The folder for us alone, as long as we live: who is killed leaves nothing that has to be removed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise IodError(Trouble.FOLDER_UNUSABLE, f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise IodError(Trouble.FOLDER_UNUSABLE, f"another iod fetches to {folder} at present") from None
    except OSError:
        pass  # some network file systems know no locks
    try:
        yield
    finally:
        os.close(handle)


def _prepare(folder: Path, files: Sequence[RemoteFile]) -> None:
    """Make the visits' folders, remove what a killed fetch left in them, and look whether there is room."""
    missing_bytes = 0
    try:
        for visit in {file.visit for file in files}:
            place = folder / f"v{visit}"
            place.mkdir(exist_ok=True)
            for left in place.glob(f".*{PART}*"):
                left.unlink(missing_ok=True)
        for file in files:
            with suppress(FileNotFoundError):
                missing_bytes -= min(file.size_bytes, (folder / file.path).stat().st_size)
            missing_bytes += file.size_bytes
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise IodError(Trouble.FOLDER_UNUSABLE, f"{error.filename}: {error.strerror}") from None
    if missing_bytes > free_bytes:
        detail = f"{folder} has room for {free_bytes:,} bytes, and {missing_bytes:,} are to be fetched"
        raise IodError(Failure.DISK_FULL, detail)


# ---------------------------------------------------------------- the crew
def _results(
    files: Sequence[RemoteFile], folder: Path, doors: Doors, more_urls: MoreUrls, at_once: int
) -> Iterator[Fetched]:
    """Each file's end as it comes. The threads are daemons: one that hangs in a library delays nobody's end."""
    waiting = iter(files)
    turn, stop = threading.Lock(), threading.Event()
    over: SimpleQueue[Fetched | Exception] = SimpleQueue()

    def work() -> None:
        while not stop.is_set():
            with turn:
                file = next(waiting, None)
            if file is None:
                return
            try:
                over.put(fetch_file(file, folder / file.path, doors, more_urls))
            except Exception as error:  # noqa: BLE001 - handed to the caller's thread as it is
                over.put(error)
                return

    for number in range(min(at_once, len(files))):
        threading.Thread(target=work, name=f"fetch-{number}", daemon=True).start()
    try:
        for _ in files:
            yield _good(over.get())
    finally:
        stop.set()


def _good(result: Fetched | Exception) -> Fetched:
    if isinstance(result, LocalTrouble):
        row = Failure.DISK_FULL if result.failure is Failure.DISK_FULL else Trouble.FOLDER_UNUSABLE
        raise IodError(row, result.detail)
    if isinstance(result, Exception):
        raise result
    return result
