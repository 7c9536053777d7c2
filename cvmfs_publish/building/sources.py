"""Sources for a build: a tree, copied, or a tarball, unpacked without believing its names."""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
from pathlib import Path
from typing import Iterator, List, Set

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.manifest import hash_file
from cvmfs_publish.trees import Entry, walk


def bring_source(source: Path, place: Path) -> str:
    """Put the sources at a new place; what they are, for the build facts.

    A tarball's single top folder is taken off. Raises `KitError` SOURCE_UNUSABLE.
    """
    try:
        if source.is_dir():
            shutil.copytree(source, place, symlinks=True)
            return f"tree {source.absolute().name}"
        if not source.is_file():
            raise KitError(Exit.SOURCE_UNUSABLE, f"{source} is neither a folder nor a tarball")
        _unpack(source, place)
        return f"tarball {source.name} sha256 {hash_file(source)}"
    except shutil.Error as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{source}: {error.args[0][0][2]}") from None
    except OSError as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{error.filename or source}: {error.strerror or error}") from None


def _unpack(tarball: Path, place: Path) -> None:
    try:
        with tarfile.open(tarball) as tar:
            members = tar.getmembers()
            links = {posixpath.normpath(member.name) for member in members if member.issym()}
            for member in members:
                _vet(member, links, tarball)
            place.mkdir()
            if hasattr(tarfile, "tar_filter"):
                tar.extractall(place, members, filter="tar")
            else:
                tar.extractall(place, members)  # noqa: S202 - vetted above
    except (tarfile.TarError, EOFError) as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{tarball} cannot be unpacked: {error}") from None
    inside = list(place.iterdir())
    if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink():
        _lift(inside[0], place)


def _vet(member: tarfile.TarInfo, links: Set[str], tarball: Path) -> None:
    """Refuse what would be written outside the place, also through links, and what is no file, folder or link."""
    target = member.name
    if member.issym():
        target = posixpath.join(posixpath.dirname(member.name), member.linkname)
    elif member.islnk():
        target = member.linkname
    absolute = member.name.startswith("/") or ((member.issym() or member.islnk()) and member.linkname.startswith("/"))
    outside = ".." in member.name.split("/") or posixpath.normpath(target).split("/")[0] == ".."
    outside = outside or any(above in links for above in _above(posixpath.normpath(member.name)))
    if absolute or outside or not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        what = f"{tarball}: the entry {member.name!r} leads outside or is a special file"
        raise KitError(Exit.SOURCE_UNUSABLE, what, cure="pack the sources again without it")


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _lift(folder: Path, place: Path) -> None:
    """Take a single top folder off."""
    aside = place.with_name(f".{place.name}.top")
    folder.rename(aside)
    place.rmdir()
    aside.rename(place)


def remove_everything_but(tree: Path, kept: List[Entry]) -> None:
    """Remove the other files and links, and the folders that are empty then."""
    paths = {entry.path for entry in kept}
    entries = walk(tree)
    for entry in entries:
        if not entry.is_folder and entry.path not in paths:
            (tree / entry.path).unlink()
    for entry in reversed(entries):
        if entry.is_folder and not os.listdir(tree / entry.path):  # noqa: PTH208 - only whether there are any
            (tree / entry.path).rmdir()
