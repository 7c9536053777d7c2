"""Publish into a plain folder: a release appears whole, in one step, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path


class PublishError(Exception):
    """The release was not published; `str()` says why."""


def publish(tree: Path, place: Path) -> None:
    """Move a finished tree to its place, which must be on the same file system.

    The same release (equal `release.json`, which holds the checksum of every file) is left as it is; another one of the
    same version replaces it, since this is a folder of one's own. Raises `PublishError`.
    """
    new = tree / "release.json"
    old = place / "release.json"
    try:
        if old.is_file() and old.read_bytes() == new.read_bytes():
            old.touch()
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        retired = place.with_name(f".{place.name}.old")
        shutil.rmtree(retired, ignore_errors=True)
        if place.exists():
            place.rename(retired)
        tree.rename(place)
        shutil.rmtree(retired, ignore_errors=True)
    except OSError as error:
        raise PublishError(f"{error.filename}: {error.strerror}") from None
