"""What goes into the log tarball: the pilot packs the whole work folder, so what is of no use there has to go first.

Reports, journal and the ends of logs stay; scratch goes, and so does a runtime that `lsst-trf.sh` unpacked. Images are
never touched, wherever they are.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import List

from .files import LOGS, SCRATCH, Document, is_locked
from .journal import Story

_HEAD_BYTES = 20_000
_TAIL_BYTES = 80_000
_ALL_LOGS_BYTES = 8_000_000
"""Text packs to a fifth: with the reports, the tarball stays below 2 MB."""


def tidy(workdir: Path, report: Document, story: Story) -> List[str]:
    """Remove scratch and shorten logs; lines to print. A job with `debug` in its spec keeps its scratch."""
    doomed = [folder for folder in workdir.glob("imsim-runtime-??????") if any(folder.glob("**/bin/lsst-trf"))]
    spec = report.get("spec")
    if not (isinstance(spec, dict) and spec.get("debug")):
        doomed += _scratch_folders(workdir, story)
    for folder in doomed:
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)  # it follows no link
            with suppress(OSError):
                _lock_of(folder).unlink()
    for core in workdir.glob("core.*"):
        if core.is_file() and core.suffix[1:].isdecimal():
            with suppress(OSError):
                core.unlink()
    _shorten_logs(workdir / LOGS)
    return [f"removed {folder}" for folder in doomed if not folder.exists()]


def _scratch_folders(workdir: Path, story: Story) -> List[Path]:
    """In the work folder; and where the site has scratch elsewhere, the job's own folder there, once it is nobody's."""
    folders = [workdir / SCRATCH]
    elsewhere = Path(str(story.job.get("scratch", "")).replace("\0", ""))
    if re.fullmatch(rf"lsst-trf-{os.getuid()}-[0-9a-f]{{12}}", elsewhere.name) and not is_locked(_lock_of(elsewhere)):
        folders.append(elsewhere)
    return [folder for folder in folders if folder.exists()]


def _lock_of(folder: Path) -> Path:
    """`lsst-trf` holds it for as long as it lives."""
    return folder.with_name(f"{folder.name}.lock")


def _shorten_logs(logs: Path) -> None:
    if logs.is_symlink():  # to files that are not the job's
        return
    files = sorted((path for path in logs.rglob("*") if path.is_file() and not path.is_symlink()), key=_age)
    room = _ALL_LOGS_BYTES
    for path in files:  # the youngest first: they tell of the end
        with suppress(OSError):
            size = path.stat().st_size
            if room <= 0:
                path.unlink()
                continue
            if size > _HEAD_BYTES + _TAIL_BYTES:
                _cut(path, size)
            room -= path.stat().st_size


def _age(path: Path) -> float:
    with suppress(OSError):
        return -path.stat().st_mtime
    return 0.0


def _cut(path: Path, size: int) -> None:
    """Keep beginning and end of a file."""
    with path.open("r+b") as stream:
        head = stream.read(_HEAD_BYTES)
        stream.seek(size - _TAIL_BYTES)
        tail = stream.read(_TAIL_BYTES)
        left_out = size - len(head) - len(tail)
        stream.seek(0)
        stream.truncate()
        stream.write(head + f"\n[... {left_out} bytes left out ...]\n".encode() + tail)
