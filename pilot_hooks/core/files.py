"""The files of a job's work folder, by the names that `lsst-trf` gives them (docs/reference of the package)."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List

REPORT = "jobReport.json"
ERROR_REPORT = "payload_error_report.json"
JOURNAL = "journal.jsonl"
PROGRESS = "progress.json"
MEMORY = "memory_monitor_summary.json"
LOCK = ".lock"
LOGS = "logs"
SCRATCH = "scratch"
TRANSFORMATION = "lsst-trf.sh"

Document = Dict[str, Any]


def read_regular(path: Path) -> bytes:
    """The content of a file; of a pipe in its place, which may never end, nothing is read. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return stream.read()


def read_document(path: Path) -> Document:
    """A JSON object; empty if there is none that can be read."""
    try:
        document = json.loads(read_regular(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def units_of(report: Document) -> List[Document]:
    """The units of a report, whoever wrote it: those that have an id."""
    units = report.get("units")
    every = units if isinstance(units, list) else []
    return [unit for unit in every if isinstance(unit, dict) and isinstance(unit.get("id"), str)]


def write_document(path: Path, document: Document) -> None:
    """Replace a file in one step: a reader finds the old or the new text. Raises `OSError`."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        text = json.dumps(document, indent=1) + "\n"
    except RecursionError:
        raise OSError(errno.EINVAL, "nested too deeply", str(path)) from None
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def is_running(workdir: Path) -> bool:
    """Whether an `lsst-trf` is at work there: it holds a lock for as long as it lives."""
    return is_locked(workdir / LOCK)


def is_locked(path: Path) -> bool:
    """Whether some process holds that lock."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(lock)
    return False
