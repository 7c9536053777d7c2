"""Names: what clients, scripts and CernVM-FS itself cannot live with, and what does not belong in a release."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Dict, Iterator

from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.tree import Tree
from cvmfs_publish.elf import ET_CORE
from cvmfs_publish.layout import CATALOG_MARKER
from cvmfs_publish.trees import Entry

_VERSION_CONTROL = frozenset({".git", ".svn", ".hg", ".bzr", "CVS"})
_SCRAPS = re.compile(
    r".*(?:~|\.sw[po]|\.orig|\.rej|\.l?o)\Z|(?:\._|\.nfs|\.iod-)|(?:\.DS_Store|Thumbs\.db)\Z", re.DOTALL
)
_RUN_FOLDERS = ("work", "output")
"""Where PhoSim 3.4 writes when it is not told otherwise; what lies there is of somebody's run."""
_PYC_HASHED = 1
"""Bit of a .pyc's flags: it does not depend on the time of its source, and so survives publishing (PEP 552)."""


def check_names(tree: Tree) -> Iterator[Finding]:
    """Encodings, lengths, control characters, names of CernVM-FS, collisions."""
    for entry in tree.entries:
        yield from name_findings(entry.path)
    yield from _collisions(tree)
    yield from _litter(tree)
    yield from _empty_folders(tree)


def name_findings(path: str) -> Iterator[Finding]:
    """What is wrong with one name, whatever else is there."""
    name = path.rpartition("/")[2]
    if name.isascii() and name.isprintable() and len(name) <= 255 and not name.startswith(".cvmfs"):
        return
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) > 255:
        yield Finding("name-long", path, f"the name has {len(raw)} bytes")
    if any(unicodedata.category(letter) == "Cs" for letter in name):
        yield Finding("name-encoding", path, "the name is not UTF-8")
    elif any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        yield Finding("name-control", path, "the name holds control characters")
    if name.startswith(".cvmfs") and name != CATALOG_MARKER:
        yield Finding("name-cvmfs", path, "the name begins with .cvmfs")
    elif name == CATALOG_MARKER:
        yield Finding("name-cvmfs", path, "a catalog marker of its own", fixable=True)


def _collisions(tree: Tree) -> Iterator[Finding]:
    folded: Dict[str, str] = {}
    composed: Dict[str, str] = {}
    for entry in tree.entries:
        composed_path = entry.path if entry.path.isascii() else unicodedata.normalize("NFC", entry.path)
        other = composed.setdefault(composed_path, entry.path)
        if other != entry.path:
            yield Finding("name-unicode", entry.path, f"the same as {other} once normalised")
            continue
        other = folded.setdefault(composed_path.casefold(), entry.path)
        if other != entry.path and other.count("/") == entry.path.count("/"):
            yield Finding("name-case", entry.path, f"differs from {other} only in capitals")


def _litter(tree: Tree) -> Iterator[Finding]:
    below = None
    for entry in tree.entries:
        if below and entry.path.startswith(below):
            continue
        below = None
        if entry.name in _VERSION_CONTROL:
            below = entry.path + "/"
            yield Finding("litter-vcs", entry.path, "belongs to version control")
        elif _SCRAPS.match(entry.name):
            below = entry.path + "/"
            yield Finding("litter", entry.path, "a leftover of editing or building", fixable=not entry.is_folder)
        elif entry.path.partition("/")[0] in _RUN_FOLDERS and not entry.is_folder:
            yield Finding("litter", entry.path, "a leftover of a run")
        elif entry.is_file and entry.name.endswith((".pyc", ".pyo")) and not is_hashed_pyc(tree.root / entry.path):
            yield Finding("litter", entry.path, "compiled for the time stamps of the building machine", fixable=True)
        elif entry.is_file and _is_core(tree, entry):
            yield Finding("litter", entry.path, "a core dump", fixable=True)


def _head(path: Path, size_bytes: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(size_bytes)
    except OSError:
        return b""  # said once, by the reading of contents


def is_hashed_pyc(path: Path) -> bool:
    """Whether a compiled module goes by its content: others are of no use once they are copied."""
    head = _head(path, 8)
    return len(head) == 8 and bool(int.from_bytes(head[4:], "little") & _PYC_HASHED)


def _is_core(tree: Tree, entry: Entry) -> bool:
    if not (entry.name == "core" or entry.name.startswith("core.")):
        return False
    head = _head(tree.root / entry.path, 18)
    return head[:4] == b"\x7fELF" and int.from_bytes(head[16:18], "little") == ET_CORE


def _empty_folders(tree: Tree) -> Iterator[Finding]:
    inhabited = {entry.path.rpartition("/")[0] for entry in tree.entries}
    for entry in tree.entries:
        if entry.is_folder and entry.path not in inhabited:
            yield Finding("folder-empty", entry.path, "an empty folder")
