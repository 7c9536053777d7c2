"""Start `lsst-trf` again, in the environment that `lsst-trf.sh` gives it, and never wait longer than agreed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from .files import TRANSFORMATION

_ANOTHER_PYTHONS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    exit_code: Optional[int]
    """None if it was given up."""
    output: str


def command_of(workdir: Path, recorded: object = None) -> List[str]:
    """Words that start `lsst-trf`: as the journal recorded, else by `lsst-trf.sh` in the work folder; maybe none."""
    words = recorded if isinstance(recorded, list) and all(_is_argument(word) for word in recorded) else []
    if words and shutil.which(words[0]):
        return words
    if (workdir / TRANSFORMATION).is_file():
        return ["/bin/sh", str(workdir / TRANSFORMATION)]
    installed = shutil.which("lsst-trf")
    return [installed] if installed else []


def _is_argument(word: object) -> bool:
    return isinstance(word, str) and "\0" not in word


def environment() -> Dict[str, str]:
    """Ours, without what belongs to the pilot's own Python."""
    kept = {name: value for name, value in os.environ.items() if name not in _ANOTHER_PYTHONS}
    return {**kept, "PYTHONNOUSERSITE": "1"}


def run(command: Sequence[str], workdir: Path, limit_s: float) -> Answer:
    """Run a command in the work folder; after the limit it is killed with all it has started."""
    try:
        process = subprocess.Popen(
            list(command),
            cwd=str(workdir),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Answer(exit_code=127, output=f"{command[0]}: {error.strerror}")
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Answer(exit_code=None, output=output.decode("utf-8", "replace"))
    return Answer(exit_code=process.returncode, output=output.decode("utf-8", "replace"))
