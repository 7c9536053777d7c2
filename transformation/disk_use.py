"""How much room a disk has, and how much a folder takes of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

_BLOCK_BYTES = 512
"""Unit of `st_blocks`, whatever the file system."""
_PLENTY_BYTES = 1 << 62


def free_bytes(folder: Path) -> int:
    """Space that can still be written where the folder is: none if no file can be added, plenty if nobody can say."""
    try:
        free = os.statvfs(folder)
    except OSError:
        return _PLENTY_BYTES
    return 0 if free.f_files > 0 and free.f_favail == 0 else free.f_bavail * free.f_frsize


def size_of(path: Path) -> int:
    """Of a file; 0 if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def taken_bytes(folder: Path) -> int:
    """Disk that all files below the folder take; links are not followed."""
    total, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
        except OSError:
            continue  # removed meanwhile
    return total


class FolderMeter(msgspec.Struct, kw_only=True):
    """What a folder takes, counted anew now and then only: there may be thousands of files."""

    folder: Path
    rest_s: float
    """Seconds between two counts, if nothing speaks for another one."""
    least_rest_s: float
    _taken_bytes: int = 0
    _free_bytes: int = 0
    _counted: float = float("-inf")

    def taken(self, now: float, *, free: int, enough: int) -> int:
        """Bytes that it takes, maybe as of the last count: as long as what has vanished from the disk since then, all
        of it taken for the folder's, could not bring it above `enough`."""
        most = self._taken_bytes + max(0, self._free_bytes - free)
        rest_s = self.rest_s if most <= enough else self.least_rest_s
        if now - self._counted >= rest_s:
            self._taken_bytes, self._free_bytes, self._counted = taken_bytes(self.folder), free, now
        return self._taken_bytes
