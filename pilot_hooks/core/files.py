"""The files of a job's work folder, by the names that `lsst-trf` gives them (docs/reference of the package)."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict

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


def read_document(path: Path) -> Document:
    """A JSON object; empty if there is none that can be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def write_document(path: Path, document: Document) -> None:
    """Replace a file in one step: a reader finds the old or the new text. Raises `OSError`."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
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
