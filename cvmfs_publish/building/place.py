"""The last steps of every build: put the finished tree where releases are kept, and pack it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Optional

from cvmfs_publish.archive import write_tarball
from cvmfs_publish.copying import copy_release, write_error
from cvmfs_publish.layout import MANIFEST
from cvmfs_publish.manifest import Release


def place_release(tree: Path, release: Release, root: Path) -> Path:
    """The release below a root of one's own; where it is. Raises `KitError`.

    The same release is left as it is; another one of the same version is replaced: nothing is published yet.
    """
    place = root / release.at("").release_folder
    manifest = place / MANIFEST
    partial, retired = place.with_name(f".{place.name}.part"), place.with_name(f".{place.name}.old")
    try:
        if manifest.is_file() and manifest.read_bytes() == release.text:
            manifest.touch()  # for make, which compares times
            return place
        for leftover in (partial, retired):
            shutil.rmtree(leftover, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        copy_release(tree, release, partial)
        if place.exists():
            place.rename(retired)
        partial.rename(place)
    except OSError as error:
        raise write_error(error) from None
    finally:
        for leftover in (partial, retired):
            shutil.rmtree(leftover, ignore_errors=True)
    return place


def pack(place: Path, release: Release, tarball: Optional[str], root: Path) -> Optional[Path]:
    """The tarball, at that path or below the root; None if none is asked for. Raises `KitError`."""
    if tarball is None:
        return None
    target = Path(tarball) if tarball else root / f"{release.name}.tar.gz"
    write_tarball(place, release, target)
    return target
