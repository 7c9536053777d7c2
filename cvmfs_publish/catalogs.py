"""Where the catalogs of a release are cut: clients load each of them whole, and only those that they enter.

Source of the limits: CernVM-FS refuses more than 200,000 entries in a root catalog and 500,000 in a nested one, and
publishers have seen 200,000 in a nested one be fatal; below 1,000 a catalog costs more than it saves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Tuple

from cvmfs_publish.trees import Entry

WORTH_ENTRIES = 1_000
"""From here on a folder that few jobs read whole gets a catalog of its own."""
SPLIT_ENTRIES = 50_000
"""Above this a catalog is cut along its folders."""
HEAVY_ENTRIES = 100_000
REFUSED_ENTRIES = 200_000
BULK_FOLDERS = ("data/SEDs", "data/images")
"""Of a PhoSim release: each job reads a few of their many files."""


@dataclass(frozen=True)
class Catalog:
    """A catalog that publishing will make."""

    folder: str
    """In the release; empty for its own, which stands at the version's folder."""
    entries: int


def plan_catalogs(entries: Iterable[Entry]) -> Tuple[Catalog, ...]:
    """The catalogs of a release: its own first, then the nested ones by name."""
    own: Dict[str, int] = {"": 0}
    children: Dict[str, List[str]] = {"": []}
    for entry in entries:
        parent = entry.path.rpartition("/")[0]
        own[parent] = own.get(parent, 0) + 1
        if entry.is_folder:
            children.setdefault(parent, []).append(entry.path)
            children.setdefault(entry.path, [])
    nested: Dict[str, int] = {}
    for folder in sorted(children, key=lambda path: path.count("/"), reverse=True):
        if folder:
            _cut(folder, own, nested)
    return (Catalog("", own[""]), *(Catalog(folder, nested[folder]) for folder in sorted(nested)))


def _cut(folder: str, own: Dict[str, int], nested: Dict[str, int]) -> None:
    """Make the folder a catalog, or add what is in it to its parent; folders come deepest first."""
    count = own.get(folder, 0)
    if count > (WORTH_ENTRIES if folder in BULK_FOLDERS else SPLIT_ENTRIES):
        nested[folder] = count
        return
    parent = folder.rpartition("/")[0]
    own[parent] = own.get(parent, 0) + count
