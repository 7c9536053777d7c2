"""Small processes to start, and what one asks of those that run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from transformation.limits import Limits
from transformation.process import Command

PATH = os.environ["PATH"]


def command(
    folder: Path, *argv: str, stdin: Path | None = None, limit_s: float | None = None, **environment: str
) -> Command:
    return Command(
        argv=argv, folder=folder, stdout=folder / "out", stderr=folder / "err", stdin=stdin,
        limits=Limits(wall_s=limit_s), environment={"PATH": PATH, **environment},
    )  # fmt: skip


def shell(folder: Path, script: str, *, limit_s: float | None = None) -> Command:
    return command(folder, "/bin/sh", "-c", script, limit_s=limit_s)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def noted(path: Path) -> int:
    """The process id that a script wrote."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())
