"""Facts of the building machine for `release.json`: what could change the result, nothing that changes by itself."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Dict, Optional

from cvmfs_publish import VERSION
from cvmfs_publish.processes import run


def machine_facts() -> Dict[str, str]:
    """Operating system, machine, C library and kit; no time and no host name, so that equal input gives equal bytes."""
    return {
        "kit": VERSION,
        "os": _operating_system(),
        "machine": platform.machine(),
        "libc": "-".join(platform.libc_ver()),
    }


def compiler() -> Optional[str]:
    """The C compiler's first words; None if there is none."""
    return run(["cc", "--version"]).out.partition("\n")[0] if shutil.which("cc") else None


def source_revision(source: Path) -> Optional[str]:
    """The git revision of a source tree; None if it is none, or git is not there."""
    if not (source / ".git").exists() or shutil.which("git") is None:
        return None
    finished = run(["git", "-C", str(source), "rev-parse", "HEAD"])
    return finished.out.strip() if not finished.code else None


def _operating_system() -> str:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.system()
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    return names[0] if names else platform.system()
