"""Inputs that this node has fetched before, for all jobs on it: a folder of files named by checksum, size and name.

Rules of this file
1. A file appears under its name whole or not at all, and is checked each time it is used: nobody has to trust the disk.
2. Jobs need not agree with each other: each step is one rename or one removal, and whoever comes second finds nothing
   to do.
3. The least recently used files go when there is no room. A cache that cannot be used is left alone and noted; it
   never fails a job.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from isal import isal_zlib

from transformation.locations import file_name
from transformation.ports import Expected

_BLOCK_BYTES = 1 << 20
_NEW_SUFFIX = ".new"
_ABANDONED_S = 24 * 3600.0
"""Nobody fills one file of the cache for a whole day."""
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class InputCache:
    """A folder, made when it is first needed, with at most `limit_bytes` in it. `note` hears why it was not used."""

    def __init__(self, folder: Path, *, limit_bytes: int, note: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._note = note

    def take(self, location: str, expected: Expected, path: Path) -> bool:
        """Copy the file that is expected to the path; False if it is not here, or no longer what it was."""
        entry = self._entry(location, expected)
        if entry is None:
            return False
        try:
            if not self._is_ours():
                return False
            found = _copy(entry, path)
            if found == (expected.size_bytes, expected.adler32):
                os.utime(entry)  # used just now
                return True
            self._note(f"{entry} is damaged and was removed")
            entry.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._note(f"{entry}: {error.strerror}")
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return False

    def put(self, location: str, expected: Expected, path: Path) -> None:
        """Keep a copy of the file, which is as expected."""
        entry = self._entry(location, expected)
        if entry is None or (expected.size_bytes or 0) > self._limit_bytes:
            return
        new = entry.with_name(f".{entry.name}.{secrets.token_hex(8)}{_NEW_SUFFIX}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours():
                return
            self._make_room(expected.size_bytes or 0)
            if _copy(path, new) == (expected.size_bytes, expected.adler32):
                new.replace(entry)
        except OSError as error:
            self._note(f"{self._folder}: {error.strerror}")
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)

    def _entry(self, location: str, expected: Expected) -> Path | None:
        if not expected.is_pinned:
            return None
        return self._folder / f"{expected.adler32}-{expected.size_bytes}-{file_name(location)}"

    def _is_ours(self) -> bool:
        """An adler32 is no proof against somebody who wants to deceive: only this account may fill the folder."""
        status = self._folder.stat()
        if status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE:
            return True
        self._note(f"{self._folder} can be written by others; it must be this account's alone")
        return False

    def _make_room(self, new_bytes: int) -> None:
        """Remove what was not used for longest, and what a killed job left, until there is room."""
        files: list[tuple[float, int, Path]] = []
        for item in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # another job makes room, too
                if item.is_file(follow_symlinks=False):
                    status = item.stat(follow_symlinks=False)
                    files.append((status.st_mtime, status.st_size, Path(item.path)))
        total_bytes = new_bytes + sum(size_bytes for _, size_bytes, _ in files)
        for used_s, size_bytes, path in sorted(files):
            is_new = path.name.endswith(_NEW_SUFFIX)
            if is_new and time.time() - used_s < _ABANDONED_S:
                continue
            if is_new or total_bytes > self._limit_bytes:
                path.unlink(missing_ok=True)
                total_bytes -= size_bytes


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy the file; the size and adler32 of what was copied."""
    n_bytes, checksum = 0, 1
    with source.open("rb") as from_, target.open("wb") as to:
        while block := from_.read(_BLOCK_BYTES):
            to.write(block)
            checksum = isal_zlib.adler32(block, checksum)
            n_bytes += len(block)
    return n_bytes, f"{checksum:08x}"
