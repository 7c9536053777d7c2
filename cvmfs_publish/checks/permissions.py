"""Who may read what, and entries that cannot be published as they are."""

from __future__ import annotations

import os
from typing import Iterator

from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.tree import Tree
from cvmfs_publish.trees import Entry

_READ, _ENTER, _WRITE, _SET_ID = 0o4, 0o1, 0o2, 0o7000
_PLAIN_ATTRIBUTES = (
    *("security.selinux", "security.ima", "security.evm", "system.nfs4_acl", "user.mime_type", "user.xdg."),
    *("trusted.overlay.", "user.overlay."),
)
"""Of the machine, not of the release; nobody misses them."""


def check_permissions(tree: Tree) -> Iterator[Finding]:
    """Modes, hard links, special files, attributes."""
    for entry in tree.entries:
        if entry.is_link:
            continue
        if not (entry.is_file or entry.is_folder):
            yield Finding("special-file", entry.path, "neither a file nor a folder nor a link")
            continue
        yield from _modes(entry)
        if entry.is_file and entry.status.st_nlink > 1:
            yield Finding("hard-link", entry.path, f"one of {entry.status.st_nlink} hard links", fixable=True)
        lost = [name for name in _attributes(tree, entry) if not name.startswith(_PLAIN_ATTRIBUTES)]
        if lost:
            yield Finding("attributes", entry.path, f"has attributes: {', '.join(sorted(lost))}")


def _modes(entry: Entry) -> Iterator[Finding]:
    mode = f"mode {entry.permissions:04o}"
    needed = _READ | (_ENTER if entry.is_folder else 0)
    if entry.permissions & needed != needed:
        yield Finding("mode-unreadable", entry.path, f"{mode}: others cannot read it", fixable=True)
    if entry.permissions & _SET_ID:
        yield Finding("mode-setid", entry.path, f"{mode}: set-id or sticky bit", fixable=True)
    if entry.permissions & _WRITE:
        yield Finding("mode-writable", entry.path, f"{mode}: everybody may write it", fixable=True)


def _attributes(tree: Tree, entry: Entry) -> Iterator[str]:
    if not hasattr(os, "listxattr"):
        return
    try:
        yield from os.listxattr(tree.root / entry.path, follow_symlinks=False)
    except OSError:
        return  # a file system without attributes
