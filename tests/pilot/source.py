"""The source of the real pilot, and whether it may run on this machine."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = "3.7.0.36"
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class NoPilot(Exception):
    """It cannot be run here; `str()` says why."""


def why_not() -> str:
    """Why no pilot may run on this machine; empty if one may."""
    done = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no PID namespace to be had: {done.stderr.strip() or done.returncode}"


def pilot_source() -> Path:
    """The unpacked source of the pilot, from PyPI, kept in `.cache`. Raises `NoPilot`."""
    cache = ROOT / ".cache/pilot"
    cache.mkdir(parents=True, exist_ok=True)
    source = cache / f"panda-pilot-{VERSION}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not source.exists():
            _fetch(cache)
    return source


def _fetch(cache: Path) -> None:
    archive = cache / f"panda-pilot-{VERSION}.tar.gz"
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        command += ["--disable-pip-version-check", "--dest", str(cache), f"panda-pilot=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoPilot(f"panda-pilot {VERSION} cannot be had from PyPI: {done.stderr.strip()[-200:]}")
    unpacked = cache / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.unpack_archive(archive, unpacked, filter="data")
    (unpacked / archive.name.removesuffix(".tar.gz")).rename(cache / f"panda-pilot-{VERSION}")
