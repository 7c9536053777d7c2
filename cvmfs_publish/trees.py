"""The entries of a folder, in one fixed order."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List

from cvmfs_publish.exits import Exit, KitError


@dataclass(frozen=True)
class Entry:
    """Anything below the root of a tree; never followed if it is a link."""

    path: str
    """Relative, with `/`; bytes that are no UTF-8 stand as surrogates."""
    status: os.stat_result
    """Of the entry itself (lstat)."""
    target: str = ""
    """Of a symbolic link."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """A folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def permissions(self) -> int:
        """The permission bits, set-id and sticky bits among them."""
        return stat.S_IMODE(self.status.st_mode)


def walk(root: Path) -> List[Entry]:
    """Every entry below a folder: names in order, a folder before what is in it.

    Raises `KitError` SOURCE_UNUSABLE if it is no folder, or if a folder in it cannot be read.
    """
    try:
        return list(_below(os.fspath(root), ""))
    except OSError as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{error.filename}: {error.strerror}") from None


def _below(folder: str, prefix: str) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        children = sorted(found, key=lambda child: child.name)
    for child in children:
        path = prefix + child.name
        status = child.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            yield Entry(path, status, os.readlink(child.path))  # noqa: PTH115 - no Path for each of 10,000
            continue
        yield Entry(path, status)
        if stat.S_ISDIR(status.st_mode):
            yield from _below(child.path, path + "/")
