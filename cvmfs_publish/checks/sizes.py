"""Sizes: of files, of catalogs, of the whole."""

from __future__ import annotations

from typing import Iterator

from cvmfs_publish.catalogs import HEAVY_ENTRIES, REFUSED_ENTRIES, Catalog
from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.tree import Tree
from cvmfs_publish.progress import size_text

CACHE_BYTES = 5_000_000_000
"""What a worker's cache should hold at least (CernVM-FS repository limits page)."""


def check_sizes(tree: Tree, catalogs: tuple[Catalog, ...]) -> Iterator[Finding]:
    """Files that CernVM-FS refuses, catalogs that are too big, more than a cache holds."""
    limit = tree.demands.largest_file_bytes
    for entry in tree.files:
        if entry.status.st_size > limit:
            yield Finding(
                "file-large", entry.path, f"{size_text(entry.status.st_size)}, the limit is {size_text(limit)}"
            )
    for catalog in catalogs:
        words = f"{catalog.entries} entries in one catalog"
        if catalog.entries > REFUSED_ENTRIES:
            yield Finding("catalog-large", catalog.folder, words)
        elif catalog.entries > HEAVY_ENTRIES:
            yield Finding("catalog-heavy", catalog.folder, words)
    total = sum(entry.status.st_size for entry in tree.files)
    if total > CACHE_BYTES:
        yield Finding("total-large", "", f"{size_text(total)} in all, a worker's cache holds {size_text(CACHE_BYTES)}")
