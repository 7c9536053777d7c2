"""A plain folder: each version appears whole, in one rename. For laptops, shared file systems and tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional

from cvmfs_publish.backends.edits import Edit
from cvmfs_publish.backends.seam import Label, Published
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.progress import size_text

_SPARE_BYTES = 50_000_000


class DirectoryBackend:
    """Publishes below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def resume(self) -> None:
        """Nothing to do: what a killed run left is hidden, and removed by the next edit of the same version."""

    def problems(self, edit: Optional[Edit]) -> List[KitError]:
        """Writable, and room for it."""
        folder = next(one for one in (self.root.absolute(), *self.root.absolute().parents) if one.exists())
        if not os.access(folder, os.W_OK | os.X_OK):
            return [KitError(Exit.DENIED, f"{folder} is not writable", cure="publish as its owner")]
        return space_problems(folder, (edit.size_bytes if edit else 0) + _SPARE_BYTES)

    def free_tag(self, wanted: str) -> Optional[str]:
        """A folder has no tags."""
        del wanted
        return None

    def plan(self, edit: Edit, label: Label) -> List[str]:
        """What is done, as there are no commands."""
        del label
        return edit.lines(str(self.root))

    def carry_out(self, edit: Edit, label: Label) -> Published:
        """Make the edit in one step."""
        del label
        try:
            (self.root / edit.address.simulator_folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KitError(Exit.DENIED, f"{error.filename}: {error.strerror}") from None
        edit.at_once(self.root)
        return self.standing()

    def standing(self) -> Published:
        """The release log numbers the revisions of a folder."""
        return Published(None, None, None)


def space_problems(folder: Path, needed_bytes: int) -> List[KitError]:
    """A problem if the file system has less than that free."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return [KitError(Exit.NOT_READY, f"{folder}: {error.strerror}", cure="check that it exists")]
    free_bytes = found.f_bavail * found.f_frsize
    if free_bytes >= needed_bytes:
        return []
    what = f"{folder} has {size_text(free_bytes)} free, {size_text(needed_bytes)} are needed"
    return [KitError(Exit.DISK_SHORT, what)]
