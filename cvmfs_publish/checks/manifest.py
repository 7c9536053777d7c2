"""The manifest against the tree, and the tree against what workers need of a release."""

from __future__ import annotations

import ast
import posixpath
import warnings
from typing import Iterator, Mapping, Optional

from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.tree import Tree, resolve
from cvmfs_publish.layout import CATALOG_MARKER, MANIFEST
from cvmfs_publish.manifest import Release

_SHAPE = ("default_instcat", "bin/trim", "bin/raytrace", "bin/e2adc")
_TABLES = ("focalplanelayout.txt", "segmentation.txt")
_LICENCES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT")


def check_manifest(tree: Tree, sha256: Optional[Mapping[str, str]]) -> Iterator[Finding]:
    """Files and links of the manifest against those of the tree; without checksums only what can be seen."""
    if tree.release is None:
        rule = "manifest-invalid" if tree.invalid else "manifest-missing"
        yield Finding(rule, MANIFEST, tree.invalid or "the tree has no release.json")
        return
    yield from _files(tree, tree.release, sha256)
    yield from _links(tree, tree.release)
    if tree.root.absolute().name != tree.release.name:
        yield Finding("folder-name", "", f"the folder is called {tree.root.absolute().name}, not {tree.release.name}")


def _files(tree: Tree, release: Release, sha256: Optional[Mapping[str, str]]) -> Iterator[Finding]:
    listed = {entry.path for entry in release.files}
    for wanted in release.files:
        found = tree.by_path.get(wanted.path)
        if found is None or not found.is_file:
            yield Finding("manifest-file-missing", wanted.path, "is in the manifest, not in the tree")
            continue
        if found.status.st_size != wanted.size_bytes:
            words = f"has {found.status.st_size} bytes, in the manifest {wanted.size_bytes}"
            yield Finding("manifest-file-changed", wanted.path, words)
        elif sha256 is not None and sha256.get(wanted.path) != wanted.sha256:
            yield Finding("manifest-file-changed", wanted.path, "its checksum is not the one of the manifest")
        if found.permissions != wanted.permissions:
            words = f"mode {found.permissions:04o}, in the manifest {wanted.permissions:04o}"
            yield Finding("manifest-mode", wanted.path, words, fixable=wanted.permissions & 0o7006 == 0o4)
    for entry in tree.files:
        if entry.path not in listed and entry.path != MANIFEST and entry.name != CATALOG_MARKER:
            yield Finding("manifest-file-extra", entry.path, "is in the tree, not in the manifest")


def _links(tree: Tree, release: Release) -> Iterator[Finding]:
    wanted = {link.path: link.target for link in release.links}
    found = {entry.path: entry.target for entry in tree.entries if entry.is_link}
    for path in sorted(wanted.keys() | found.keys()):
        if wanted.get(path) != found.get(path):
            words = f"leads to {found.get(path, 'nothing')}, in the manifest to {wanted.get(path, 'nothing')}"
            yield Finding("manifest-link", path, words)


def check_shape(tree: Tree) -> Iterator[Finding]:
    """Whether a simulator release has what every job opens, and an interpreter for its driver."""
    if tree.release is None:
        return
    document = tree.release.document
    if not document.get("licence") and not any(entry.name.upper().startswith(_LICENCES) for entry in tree.files):
        yield Finding("licence", "", "release.json names no licence and there is no file of one")
    if tree.release.kind != "simulator":
        return
    tables = f"data/{document.get('instrument', 'lsst')}"
    driver = str(document.get("driver", "phosim.py"))
    for path in (driver, *_SHAPE, *(f"{tables}/{name}" for name in _TABLES)):
        if resolve(tree.by_path, path) is None:
            yield Finding("release-shape", path, "jobs of the project open it, and it is not there")
    yield from _interpreter(tree, driver, document.get("interpreter"))


def _interpreter(tree: Tree, driver: str, named: object) -> Iterator[Finding]:
    if named is None:
        if driver in tree.by_path and not _is_python3(tree, driver):
            yield Finding("interpreter", driver, "is not Python 3, and release.json names no interpreter")
        return
    name = str(named)
    if name.startswith("/"):
        yield Finding("interpreter-outside", driver, f"is run by {name} of the worker")
    elif "/" not in name:
        yield Finding("interpreter-outside", driver, f"is run by the {name} on the worker's PATH")
    elif resolve(tree.by_path, posixpath.normpath(name)) is None:
        yield Finding("interpreter", name, "release.json names this interpreter, and it is not there")


def _is_python3(tree: Tree, driver: str) -> bool:
    try:
        source = (tree.root / driver).read_bytes()
    except OSError:
        return True  # said by the reading of contents
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the text: invalid escapes and the like
            ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
