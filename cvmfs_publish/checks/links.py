"""Symbolic links: a release may lie anywhere, so they stay inside it, or lead where the manifest says."""

from __future__ import annotations

import os
import posixpath
from typing import Dict, Iterator

from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.tree import Tree, resolve
from cvmfs_publish.trees import Entry


def check_links(tree: Tree) -> Iterator[Finding]:
    """Absolute, leaving, dangling and variant links."""
    declared = {path for path, _ in tree.release.requires} if tree.release else set()
    by_path = tree.by_path
    for entry in tree.entries:
        if entry.is_link and entry.path not in declared:
            yield from _link(tree, by_path, entry)


def _link(tree: Tree, by_path: Dict[str, Entry], entry: Entry) -> Iterator[Finding]:
    leads = f"leads to {entry.target}"
    if "$(" in entry.target:
        yield Finding("link-variant", entry.path, leads)
    elif entry.target.startswith("/"):
        yield Finding("link-absolute", entry.path, leads, fixable=relative_target(tree, entry) is not None)
    elif leaves(entry):
        yield Finding("link-outside", entry.path, leads)
    elif resolve(by_path, entry.path) is None:
        yield Finding("link-dangling", entry.path, leads)


def leaves(entry: Entry) -> bool:
    """Whether the link's own words lead above the root of the tree."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target)).startswith("..")


def relative_target(tree: Tree, entry: Entry) -> str | None:
    """The same target seen from the link, if an absolute link leads to something in the tree; else None."""
    root = os.path.realpath(tree.root)
    target = posixpath.normpath(entry.target)
    if not target.startswith(root + "/") or resolve(tree.by_path, target[len(root) + 1 :]) is None:
        return None
    return posixpath.relpath(target, posixpath.join(root, posixpath.dirname(entry.path)))
