"""What differs between two releases, from their manifests alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

from cvmfs_publish.manifest import FileEntry, Release


@dataclass(frozen=True)
class Difference:
    """What changes from one release to another."""

    added: Tuple[FileEntry, ...]
    removed: Tuple[FileEntry, ...]
    changed: Tuple[Tuple[FileEntry, FileEntry], ...]
    """Old and new: other content or other permissions."""
    links: Tuple[Tuple[str, Optional[str], Optional[str]], ...]
    """Path, old target and new target of the links that differ."""

    @property
    def is_empty(self) -> bool:
        """Nothing differs."""
        return not (self.added or self.removed or self.changed or self.links)


def difference(old: Optional[Release], new: Release) -> Difference:
    """What publishing `new` beside `old` brings; without `old` everything is added."""
    before = {entry.path: entry for entry in old.files} if old else {}
    after = {entry.path: entry for entry in new.files}
    before_links = {link.path: link.target for link in old.links} if old else {}
    after_links = {link.path: link.target for link in new.links}
    return Difference(
        added=tuple(after[path] for path in sorted(after.keys() - before.keys())),
        removed=tuple(before[path] for path in sorted(before.keys() - after.keys())),
        changed=tuple(
            (before[path], after[path]) for path in sorted(after.keys() & before.keys()) if before[path] != after[path]
        ),
        links=tuple(
            (path, before_links.get(path), after_links.get(path))
            for path in sorted(before_links.keys() | after_links.keys())
            if before_links.get(path) != after_links.get(path)
        ),
    )


def describe(change: Difference, most: int = 20) -> List[str]:
    """The difference as lines, the first few of each kind by name."""
    lines = []
    sections = (
        ("+", [entry.path for entry in change.added], sum(entry.size_bytes for entry in change.added)),
        ("~", [new.path for _, new in change.changed], sum(new.size_bytes for _, new in change.changed)),
        ("-", [entry.path for entry in change.removed], sum(entry.size_bytes for entry in change.removed)),
    )
    for sign, paths, size_bytes in sections:
        lines += [f"  {sign} {path}" for path in paths[:most]]
        if len(paths) > most:
            lines.append(f"  {sign} ... and {len(paths) - most} more ({size_bytes} bytes in all)")
    lines += [f"  @ {path}: {old or 'nothing'} -> {new or 'nothing'}" for path, old, new in change.links[:most]]
    return lines
