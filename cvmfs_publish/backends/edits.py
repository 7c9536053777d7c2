"""What publishing can change. Each edit can be made in two ways: `in_place` inside a transaction, where nobody looks
on, and `at_once` in a folder that is in use, where nothing half done may ever be seen.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Optional, Protocol, Tuple

from cvmfs_publish.copying import copy_release, write_error
from cvmfs_publish.layout import CATALOG_MARKER, CURRENT, RETIRING, Address
from cvmfs_publish.manifest import Release
from cvmfs_publish.progress import size_text


class Edit(Protocol):
    """One change of the published tree."""

    @property
    def action(self) -> str:
        """As the release log calls it."""

    @property
    def address(self) -> Address:
        """The release that it is about."""

    @property
    def size_bytes(self) -> int:
        """What it adds."""

    def in_place(self, root: Path) -> None:
        """Make it inside a transaction; raises `KitError`."""

    def at_once(self, root: Path) -> None:
        """Make it in one step that readers see; raises `KitError`."""

    def lines(self, root: str) -> List[str]:
        """What it does below that root, for a dry run."""


def _partial(folder: Path) -> Path:
    return folder.with_name(f".iod-{folder.name}-{os.getpid()}")


def _remove_partials(folder: Path) -> None:
    """Remove what a killed run of the kit left beside the folder; the lock says that none is alive."""
    for leftover in folder.parent.glob(f".iod-{folder.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def place_markers(root: Path, markers: Iterable[str]) -> None:
    """Mark folders that get a catalog of their own; raises `KitError`."""
    try:
        for marker in markers:
            if not (root / marker).exists():
                (root / marker).touch()
    except OSError as error:
        raise write_error(error) from None


@dataclass(frozen=True)
class AddRelease:
    """A new release in a version folder of its own."""

    tree: Path
    release: Release
    address: Address
    catalogs: Tuple[str, ...]
    """Folders of the release, besides itself, that get a catalog of their own."""

    action = "publish"

    @property
    def size_bytes(self) -> int:
        """Of the release."""
        return self.release.size_bytes

    @property
    def markers(self) -> List[str]:
        """The catalog markers, below the root."""
        folders = [self.address.version_folder, *(f"{self.address.release_folder}/{one}" for one in self.catalogs)]
        return [f"{folder}/{CATALOG_MARKER}" for folder in folders]

    def in_place(self, root: Path) -> None:
        """Copy, then mark the catalogs."""
        copy_release(self.tree, self.release, root / self.address.release_folder)
        place_markers(root, self.markers)

    def at_once(self, root: Path) -> None:
        """Copy beside the place, then rename; catalogs mean nothing in a plain folder."""
        version = root / self.address.version_folder
        partial = _partial(version)
        try:
            _remove_partials(version)
            copy_release(self.tree, self.release, partial / self.address.name)
            partial.rename(version)  # over an empty folder at most
        except OSError as error:
            raise write_error(error) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def lines(self, root: str) -> List[str]:
        """The copy."""
        what = f"{len(self.release.files)} files, {size_text(self.size_bytes)}"
        return [f"copy {what}: {self.tree} -> {root}/{self.address.release_folder}"]


@dataclass(frozen=True)
class SwitchCurrent:
    """The link `current` beside the versions."""

    address: Address
    before: Optional[str]
    """The version it led to."""
    action: str = "current"
    """`rollback` if it goes back: the release log tells the two apart."""

    size_bytes = 0

    @property
    def link(self) -> str:
        """The link, below the root."""
        return f"{self.address.simulator_folder}/{CURRENT}"

    def in_place(self, root: Path) -> None:
        """A new link over the old one, in one step."""
        link = root / self.link
        fresh = _partial(link)
        try:
            with suppress(FileNotFoundError):
                fresh.unlink()
            fresh.symlink_to(self.address.version)
            fresh.replace(link)
        except OSError as error:
            raise write_error(error) from None

    at_once = in_place

    def lines(self, root: str) -> List[str]:
        """As `ln` would do it."""
        return [f"ln -sfn {self.address.version} {root}/{self.link}   (was: {self.before or 'nothing'})"]


@dataclass(frozen=True)
class Deprecate:
    """The note that a version will be removed."""

    address: Address
    text: str

    action = "deprecate"
    size_bytes = 0

    def in_place(self, root: Path) -> None:
        """Write the note beside the release."""
        note = root / self.address.version_folder / RETIRING
        draft = _partial(note)
        try:
            draft.write_text(self.text, encoding="utf-8")
            draft.chmod(0o644)
            draft.replace(note)
        except OSError as error:
            raise write_error(error) from None

    at_once = in_place

    def lines(self, root: str) -> List[str]:
        """The note."""
        return [f"write {root}/{self.address.version_folder}/{RETIRING}: {self.text.strip()}"]


@dataclass(frozen=True)
class RemoveVersion:
    """A version folder goes, with all in it."""

    address: Address

    action = "retire"
    size_bytes = 0

    def in_place(self, root: Path) -> None:
        """Remove it."""
        try:
            shutil.rmtree(root / self.address.version_folder)
        except OSError as error:
            raise write_error(error) from None

    def at_once(self, root: Path) -> None:
        """Hide it first, so that nobody sees half of it."""
        version = root / self.address.version_folder
        try:
            _remove_partials(version)
            hidden = _partial(version)
            version.rename(hidden)
            shutil.rmtree(hidden)
        except OSError as error:
            raise write_error(error) from None

    def lines(self, root: str) -> List[str]:
        """As `rm` would do it."""
        return [f"rm -r {root}/{self.address.version_folder}"]
