"""What every check looks at: the tree, its manifest, and what is asked of it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Dict, Optional, Tuple

from cvmfs_publish.layout import MANIFEST
from cvmfs_publish.manifest import ManifestInvalid, Release, parse_release
from cvmfs_publish.platforms import DEFAULT_WORKERS
from cvmfs_publish.trees import Entry, walk

_MOST_HOPS = 40
"""Links that one path may lead through, as in the kernel."""


@dataclass(frozen=True)
class Demands:
    """What a site asks of a release."""

    workers: Tuple[str, ...] = DEFAULT_WORKERS
    """Operating systems that must be able to run it."""
    machine: str = "x86_64"
    build_paths: Tuple[str, ...] = ()
    """Folders of the building machine that no file may name."""
    waived: Tuple[str, ...] = ()
    """Rules that do not count here."""
    largest_file_bytes: int = 1024 * 1024 * 1024
    """CVMFS_FILE_MBYTE_LIMIT of a repository; 1024 MB unless it was changed."""


@dataclass(frozen=True)
class Tree:
    """A folder that is to be published."""

    root: Path
    entries: Tuple[Entry, ...]
    release: Optional[Release]
    invalid: str
    """Why there is no release; empty if there is one, or no `release.json` at all."""
    demands: Demands = field(default_factory=Demands)

    @cached_property
    def by_path(self) -> Dict[str, Entry]:
        """Every entry by its path."""
        return {entry.path: entry for entry in self.entries}

    @cached_property
    def files(self) -> Tuple[Entry, ...]:
        """The regular files."""
        return tuple(entry for entry in self.entries if entry.is_file)


def read_tree(root: Path, demands: Demands) -> Tree:
    """Walk a tree and read its manifest; raises `KitError` if it cannot be read at all."""
    entries = tuple(walk(root))
    release, invalid = None, ""
    if any(entry.path == MANIFEST and entry.is_file for entry in entries):
        try:
            release = parse_release((root / MANIFEST).read_bytes())
        except (ManifestInvalid, OSError) as error:
            invalid = str(error)
    return Tree(root, entries, release, invalid, demands)


def resolve(by_path: Dict[str, Entry], path: str) -> Optional[str]:
    """Where a path of the tree ends after all links; None if it leaves the tree or is not there."""
    for _ in range(_MOST_HOPS):
        path = posixpath.normpath(path)
        if path == ".":
            return path
        if path.startswith(("/", "..")):
            return None
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            entry = by_path.get("/".join(parts[:count]))
            if entry is None:
                return None
            if entry.is_link:
                path = posixpath.join("/".join(parts[: count - 1]), entry.target, *parts[count:])
                break
        else:
            return path
    return None
