"""What can be mended without a doubt: permissions, leftovers, hard links, absolute links into the tree.

Contents of files are never changed, and nothing is removed that somebody could miss. The manifest follows.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List

from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.links import relative_target
from cvmfs_publish.checks.tree import Tree
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.manifest import save_release
from cvmfs_publish.trees import Entry


@dataclass
class _Mending:
    """The tree under repair, and what was done to it so far."""

    tree: Tree
    done: List[str] = field(default_factory=list)
    removed: Dict[str, None] = field(default_factory=dict)
    modes: Dict[str, int] = field(default_factory=dict)
    targets: Dict[str, str] = field(default_factory=dict)

    def place(self, entry: Entry) -> Path:
        """Where the entry is."""
        return self.tree.root / entry.path


def fix(tree: Tree, findings: Iterable[Finding]) -> List[str]:
    """Mend what the findings call fixable; a line for each thing done. Raises `KitError` SOURCE_UNUSABLE."""
    mending = _Mending(tree)
    try:
        for finding in findings:
            entry = tree.by_path.get(finding.path)
            if finding.fixable and entry is not None and finding.path not in mending.removed:
                _MENDERS[finding.rule](mending, entry)
        _follow(mending)
    except OSError as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{error.filename}: {error.strerror}", cure="mend it as owner") from None
    return mending.done


def _remove(mending: _Mending, entry: Entry) -> None:
    mending.place(entry).unlink()
    mending.removed[entry.path] = None
    mending.done.append(f"removed {entry.path}")


def _set_mode(mending: _Mending, entry: Entry) -> None:
    """Readable for all, writable for none but the owner's group, no set-id bits."""
    if entry.path in mending.modes:
        return
    needed = 0o555 if entry.is_folder or entry.permissions & 0o111 else 0o444
    _chmod(mending, entry, entry.permissions & ~0o7002 | needed)


def _restore_mode(mending: _Mending, entry: Entry) -> None:
    assert mending.tree.release is not None
    wanted = next(one for one in mending.tree.release.files if one.path == entry.path)
    _chmod(mending, entry, wanted.permissions)


def _chmod(mending: _Mending, entry: Entry, permissions: int) -> None:
    mending.place(entry).chmod(permissions)
    mending.modes[entry.path] = permissions
    mending.done.append(f"mode {permissions:04o} for {entry.path}")


def _break_hard_link(mending: _Mending, entry: Entry) -> None:
    place = mending.place(entry)
    copy = place.with_name(f".iod-{os.getpid()}")
    try:
        shutil.copy2(place, copy)
        copy.replace(place)
    finally:
        copy.unlink(missing_ok=True)
    mending.done.append(f"a file of its own: {entry.path}")


def _make_relative(mending: _Mending, entry: Entry) -> None:
    target = relative_target(mending.tree, entry)
    assert target is not None
    place = mending.place(entry)
    place.unlink()
    place.symlink_to(target)
    mending.targets[entry.path] = target
    mending.done.append(f"{entry.path} -> {target}")


_MENDERS: Dict[str, Callable[[_Mending, Entry], None]] = {
    "litter": _remove,
    "name-cvmfs": _remove,
    "mode-unreadable": _set_mode,
    "mode-setid": _set_mode,
    "mode-writable": _set_mode,
    "manifest-mode": _restore_mode,
    "hard-link": _break_hard_link,
    "link-absolute": _make_relative,
}


def _follow(mending: _Mending) -> None:
    """Let the manifest say what was changed."""
    release = mending.tree.release
    if release is None:
        return
    document: Dict[str, Any] = dict(release.document)
    document["files"] = [
        {**one, "mode": f"{mending.modes[one['path']]:04o}"} if one["path"] in mending.modes else one
        for one in document["files"]
        if one["path"] not in mending.removed
    ]
    if "links" in document:
        document["links"] = [
            {**one, "target": mending.targets.get(one["path"], one["target"])} for one in document["links"]
        ]
    if document != release.document:
        save_release(mending.tree.root, document)
        mending.done.append("release.json follows")
