"""Put these modules where they are needed: into a pilot's source, or into one file."""

from __future__ import annotations

import shutil
import tempfile
import zipapp
from pathlib import Path

NAME = "imsim"
"""`--pilot-user imsim` makes the pilot import `pilot.user.imsim`."""
_PACKAGE = Path(__file__).resolve().parent.parent
_MAIN = f'import runpy\n\nrunpy.run_module("{NAME}", run_name="__main__")\n'
"""Of the one file. That which `zipapp` writes would drop the exit code."""
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


class CannotCarry(Exception):
    """`str()` says why."""


def install(pilot: Path) -> Path:
    """Copy the package to `pilot/user/imsim` of a pilot's source folder; the new folder. Raises `CannotCarry`."""
    users = pilot / "pilot/user"
    if not (users / "generic").is_dir():
        raise CannotCarry(f"{pilot} is no source folder of pilot 3: it has no pilot/user/generic")
    place = users / NAME
    try:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(_PACKAGE, place, ignore=_LEFT_OUT)
    except OSError as error:
        raise CannotCarry(f"{error.filename}: {error.strerror}") from None
    return place


def pack(archive: Path) -> Path:
    """Write a zipapp that runs `preprocess` and `postprocess`: one file, as a pilot downloads it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(_PACKAGE, Path(folder) / NAME, ignore=_LEFT_OUT)
        Path(folder, "__main__.py").write_text(_MAIN, encoding="utf-8")
        try:
            zipapp.create_archive(folder, archive, interpreter="/usr/bin/env python3")
        except OSError as error:
            raise CannotCarry(f"{error.filename}: {error.strerror}") from None
    return archive
