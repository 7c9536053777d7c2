"""A release as a tarball: the same release gives the same bytes, whoever packs it, when and where."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import IO, Iterator, Set, Tuple, cast

from cvmfs_publish.copying import write_error
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import MANIFEST
from cvmfs_publish.manifest import Release, hash_file

_TIME_S = 946684800
"""Of every entry: 2000-01-01. Zero makes some tools complain."""
_LEVEL = 6
Owner = Tuple[int, int]
"""User and group."""
NOBODY: Owner = (0, 0)


def write_tarball(tree: Path, release: Release, target: Path, owner: Owner = NOBODY) -> None:
    """Pack what the manifest names, below one folder with the release's name; compressed if the name ends in gz.

    Folders come before what is in them: without entries of their own CernVM-FS has made up owners. Raises `KitError`.
    """
    draft = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            if target.name.endswith("gz"):
                with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed:
                    _write(tree, release, cast("IO[bytes]", packed), owner)
            else:
                _write(tree, release, file, owner)
        draft.replace(target)
    except OSError as error:
        raise write_error(error) from None
    finally:
        draft.unlink(missing_ok=True)


def _write(tree: Path, release: Release, file: IO[bytes], owner: Owner) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
        folders: Set[str] = set()
        for folder in _new_folders(release.name + "/", folders):
            tar.addfile(_entry(folder, tarfile.DIRTYPE, 0o755, owner))
        files = {entry.path: entry for entry in release.files}
        links = {link.path: link.target for link in release.links}
        for path in sorted({*files, *links}):
            inside = f"{release.name}/{path}"
            for folder in _new_folders(inside, folders):
                tar.addfile(_entry(folder, tarfile.DIRTYPE, 0o755, owner))
            if path in links:
                entry = _entry(inside, tarfile.SYMTYPE, 0o777, owner)
                entry.linkname = links[path]
                tar.addfile(entry)
                continue
            if hash_file(tree / path) != files[path].sha256:
                raise KitError(
                    Exit.SOURCE_UNUSABLE, f"{tree / path} is not as release.json says", cure="build it again"
                )
            entry = _entry(inside, tarfile.REGTYPE, files[path].permissions, owner)
            entry.size = files[path].size_bytes
            with (tree / path).open("rb") as source:
                tar.addfile(entry, source)
        entry = _entry(f"{release.name}/{MANIFEST}", tarfile.REGTYPE, 0o644, owner)
        entry.size = len(release.text)
        tar.addfile(entry, io.BytesIO(release.text))


def _new_folders(path: str, seen: Set[str]) -> Iterator[str]:
    """The folders above a path that have not come yet, outermost first."""
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        folder = "/".join(parts[:count])
        if folder not in seen:
            seen.add(folder)
            yield folder


def _entry(path: str, kind: bytes, permissions: int, owner: Owner) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type = kind
    entry.mode = permissions
    entry.mtime = _TIME_S
    entry.uid, entry.gid = owner
    entry.uname = entry.gname = ""
    return entry
