"""Where a release stands below a root: `<simulator>/<version>/<simulator>-<version>`, as in 2014."""

from __future__ import annotations

from pathlib import Path


def release_folder(root: Path, simulator: str, version: str) -> Path:
    """The release's folder."""
    return root / simulator / version / f"{simulator}-{version}"
