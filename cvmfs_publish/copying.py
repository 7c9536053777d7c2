"""Copy a release and prove it on the way: each file is hashed as it is read, and compared with the manifest."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Iterable, Iterator, Set

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import MANIFEST
from cvmfs_publish.manifest import FileEntry, Release
from cvmfs_publish.progress import progress_of

_BLOCK_BYTES = 1 << 18
"""One buffer of this size serves all files: it stays in the processor's cache."""


def copy_release(tree: Path, release: Release, place: Path) -> None:
    """Copy what the manifest names to a new folder; `release.json` comes last.

    Permissions of files are those of the manifest; times are kept. Raises `KitError`: SOURCE_UNUSABLE if the
    tree is not as its manifest says, DISK_SHORT, PUBLISH_FAILED.
    """
    try:
        _make_folders(place, release)
        buffer = memoryview(bytearray(_BLOCK_BYTES))
        with progress_of(f"copying {release.name}", release.size_bytes) as progress:
            for entry in release.files:
                _copy(f"{tree}/{entry.path}", f"{place}/{entry.path}", entry, buffer)
                progress.add(entry.size_bytes)
        for link in release.links:
            (place / link.path).symlink_to(link.target)
        (place / MANIFEST).write_bytes(release.text)
    except OSError as error:
        raise write_error(error) from None


def write_error(error: OSError) -> KitError:
    """What a failed write means."""
    exit_ = Exit.DISK_SHORT if error.errno in (errno.ENOSPC, errno.EDQUOT) else Exit.PUBLISH_FAILED
    return KitError(exit_, f"{error.filename or 'writing'}: {error.strerror}")


def _make_folders(place: Path, release: Release) -> None:
    place.mkdir(parents=True)
    for folder in sorted(_folders([*(one.path for one in release.files), *(one.path for one in release.links)])):
        (place / folder).mkdir()


def _folders(paths: Iterable[str]) -> Set[str]:
    return {folder for path in paths for folder in _above(path)}


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _copy(source_path: str, target_path: str, entry: FileEntry, buffer: memoryview) -> None:
    source = os.open(source_path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        target = os.open(target_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            found = hashlib.sha256()
            while size_bytes := os.readv(source, [buffer]):
                found.update(buffer[:size_bytes])
                _write(target, buffer[:size_bytes])
            os.fchmod(target, entry.permissions)
            status = os.fstat(source)
            os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)
    if found.hexdigest() != entry.sha256:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{source_path} is not as release.json says", cure="build it again")


def _write(target: int, block: memoryview) -> None:
    written = os.write(target, block)
    while written < len(block):
        written += os.write(target, block[written:])
