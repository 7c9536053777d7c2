"""Scratch folders of jobs on a disk that the site names: made, locked while the job lives, and swept up after others.

    SCRATCH/lsst-trf-<uid>-<random>/         one job's
    SCRATCH/lsst-trf-<uid>-<random>.lock     locked (flock) for as long as its process lives, in whatever way it ends

Nobody tidies up after a job that was killed, so the next job of the same user on that node does: a folder whose lock
can be had belongs to nobody. Names never come again, so a lock that is free stays free.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

_KEPT = ".kept"
_OLD_LOCK_S = 86_400.0
_KEPT_DAYS = 7.0
"""How long the folders of a `debug` job are spared."""


def make_folder(scratch: Path) -> Path:
    """A new folder for this process alone, locked until it ends. Raises `OSError`."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = scratch / f"lsst-trf-{os.getuid()}-{os.urandom(6).hex()}"
    # The lock is older than the folder: whoever finds a folder whose lock is free finds a dead job's.
    _lock(_lock_of(folder))
    folder.mkdir(mode=0o700)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove it and its lock."""
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)


def keep_folder(folder: Path) -> None:
    """Spare it for some days: somebody wants to look at it."""
    with suppress(OSError):
        (folder / _KEPT).touch()


def sweep(scratch: Path, *, patience_s: float) -> list[Path]:
    """Remove what dead jobs of this user have left, as far as the time allows; the folders that are gone."""
    end = time.monotonic() + patience_s
    gone = []
    for folder in _folders(scratch):
        if time.monotonic() > end:
            break
        lock = None if _is_kept(folder) else _lock(_lock_of(folder))
        if lock is None:
            continue
        _remove_until(folder, end)
        if not folder.exists():
            _lock_of(folder).unlink(missing_ok=True)
            gone.append(folder)
        os.close(lock)
    _remove_old_locks(scratch)
    return gone


def _folders(scratch: Path) -> list[Path]:
    """Folders of this user's jobs; no link is taken for one."""
    name = re.compile(rf"lsst-trf-{os.getuid()}-[0-9a-f]{{12}}")
    found = []
    with suppress(OSError):
        for path in scratch.iterdir():
            facts = path.lstat() if name.fullmatch(path.name) else None
            if facts and path.is_dir() and not path.is_symlink() and facts.st_uid == os.getuid():
                found.append(path)
    return found


def _remove_old_locks(scratch: Path) -> None:
    """Locks whose folder somebody else has removed; a fresh one may belong to a job that is about to make its own."""
    for path in scratch.glob(f"lsst-trf-{os.getuid()}-*.lock"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _OLD_LOCK_S and not path.with_suffix("").exists():
                path.unlink()


def _is_kept(folder: Path) -> bool:
    try:
        return time.time() - (folder / _KEPT).stat().st_mtime < _KEPT_DAYS * 86_400
    except OSError:
        return False


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _lock(path: Path) -> int | None:
    """Lock the file for as long as the number that is returned is open; None if somebody has it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _remove_until(folder: Path, end: float) -> None:
    """Remove a tree from its leaves, no longer than until then; the rest is for the next job."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            if time.monotonic() > end:
                return
            with suppress(OSError):
                os.unlink(os.path.join(place, name))  # noqa: PTH108, PTH118 - millions of files
        for name in folders:
            path = Path(place, name)
            with suppress(OSError):
                path.unlink() if path.is_symlink() else path.rmdir()
    with suppress(OSError):
        folder.rmdir()
