"""The clean place in which a release is built: empty, locked, with nothing of the admin's environment.

Its path is the same each time, since compilers write it into their output: equal input gives equal bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, Sequence

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import run, words

PLACEHOLDER = "/iod-library-search-path" + "/." * 52
"""Given to the linker as LD_RUN_PATH: every program gets a search path with room to write the true one into."""
EPOCH_S = "946684800"
"""SOURCE_DATE_EPOCH of every build: 2000-01-01, as in tarballs."""


@dataclass(frozen=True)
class Workshop:
    """The folders of one build."""

    folder: Path

    @property
    def source(self) -> Path:
        """A copy of the sources; commands start here."""
        return self.folder / "source"

    @property
    def release(self) -> Path:
        """Where commands may install to."""
        return self.folder / "release"

    @property
    def log(self) -> Path:
        """What the commands printed."""
        return self.folder / "build.log"

    def environment(self, extra: Dict[str, str]) -> Dict[str, str]:
        """Of every command."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LC_ALL": "C",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": EPOCH_S,
            "LD_RUN_PATH": PLACEHOLDER,
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            **extra,
        }

    def run(self, command: Sequence[str], folder: Path, environment: Dict[str, str], wrong: Exit) -> None:
        """Run a command, its output to the log; raises `KitError` with the given exit if it fails."""
        with self.log.open("a", encoding="utf-8") as log:
            print(f"$ {words(command)}", file=log, flush=True)
            finished = run(
                command, folder=str(folder), environment=environment, narrate=lambda line: print(line, file=log)
            )
            print(f"ended with {finished.code}", file=log)
        if finished.code:
            what = f"`{words(command)}` ended with {finished.code}: {finished.said}"
            raise KitError(wrong, what, cure=f"read {self.log}")


@contextmanager
def open_workshop(parent: Path, name: str) -> Iterator[Workshop]:
    """An empty workshop; removed at a good end, left for a look at a bad one. Raises `KitError`."""
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = parent.lstat()
    except OSError as error:
        raise KitError(Exit.NOT_READY, f"{error.filename}: {error.strerror}", cure="give --workshop DIR") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise KitError(Exit.NOT_READY, f"{parent} is not a folder of this account alone", cure="give --workshop DIR")
    with (parent / f"{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KitError(Exit.BUSY, f"{name} is being built by another run", cure="wait for it") from None
        workshop = Workshop(parent.resolve() / name)
        remove_tree(workshop.folder)
        for folder in ("home", "tmp"):
            (workshop.folder / folder).mkdir(parents=True)
        previous = os.umask(0o022)
        try:
            yield workshop
        finally:
            os.umask(previous)
        remove_tree(workshop.folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it, read-only folders too; raises `KitError` NOT_READY."""
    if not folder.exists():
        return
    for inside, _, _ in os.walk(folder):
        if not os.access(inside, os.W_OK | os.X_OK):
            os.chmod(inside, 0o700)  # noqa: PTH101 - os.walk gives texts
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise KitError(Exit.NOT_READY, f"{error.filename}: {error.strerror}", cure="remove it by hand") from None
