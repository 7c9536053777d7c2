"""A runtime that `lsst-trf.sh` unpacked from a tarball for this one start goes with it."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Mapping
from pathlib import Path

_VARIABLE = "IOD_UNPACKED_RUNTIME"


def remove_at_exit(environment: Mapping[str, str]) -> None:
    """Remove the folder that the environment names when this process ends, if it is the one that we run from."""
    folder = environment.get(_VARIABLE)
    if folder and Path(__file__).resolve().is_relative_to(Path(folder).resolve()):
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
