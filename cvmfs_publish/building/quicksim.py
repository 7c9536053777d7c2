"""The simulator that comes with the project builds its own tree; this kit places it, as it would any other."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Dict, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.manifest import Release, read_release
from cvmfs_publish.processes import run

BUILDERS: Dict[str, Tuple[str, ...]] = {"quicksim": (), "quicksim-tiny": ("--tiny",)}


def build_quicksim(name: str, tree: Path) -> Release:
    """Build it at that place; raises `KitError` BUILD_FAILED."""
    beside = str(Path(__file__).resolve().parent.parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([beside, *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [sys.executable, "-m", "quicksim.release", "build", *BUILDERS[name], "--into", str(tree)]
    finished = run(command, environment=environment)
    if finished.code:
        cure = "it needs the folder quicksim/ beside this kit, as in the project's repository, and numpy"
        raise KitError(Exit.BUILD_FAILED, f"building {name} ended with {finished.code}: {finished.said}", cure=cure)
    return read_release(tree)
