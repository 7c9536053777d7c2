"""Remember for a while that this node was fit: its many pilots need not all ask the doctor, and with it the storage."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Optional, Sequence

FRESH_S = 600.0
_DECIDING = ("IOD_RUNTIME", "IOD_RUNTIMES", "IOD_RELEASES", "IOD_SITE")


def was_fit(arguments: Sequence[str]) -> bool:
    """Whether the doctor, asked with these words, found this node fit a short while ago."""
    note = _note(arguments)
    if note is None:
        return False
    with suppress(OSError):
        return 0.0 <= time.time() - note.stat().st_mtime < FRESH_S
    return False


def remember_fit(arguments: Sequence[str]) -> None:
    """It did so now."""
    note = _note(arguments)
    if note is not None:
        with suppress(OSError):
            note.touch()


def _note(arguments: Sequence[str]) -> Optional[Path]:
    """A file whose time stamp tells; None where there is no folder that is ours alone."""
    folder = Path(os.environ.get("TMPDIR") or "/tmp", f"imsim-hooks-{os.getuid()}")  # noqa: S108 - checked below
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        return None
    asked = "\0".join([*arguments, *(os.environ.get(name, "") for name in _DECIDING)])
    return folder / hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()[:16]
