"""The programs that tests with real servers need; what is missing is installed with apt where we may."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

XROOTD = ("xrootd-server", "xrootd-client", "xrootd-server-plugins", "openssl", "xrootd-scitokens-plugins")


def have_xrootd() -> bool:
    """Whether XRootD's server and its tools are here now."""
    if not all(map(shutil.which, ("xrootd", "xrdsssadmin", "openssl"))):
        _install(XROOTD)
    return shutil.which("xrootd") is not None


def _install(packages: Sequence[str]) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=400", "install", "-y", "--no-install-recommends"]
    subprocess.run(["apt-get", "update"], capture_output=True)
    subprocess.run([*install, *packages], capture_output=True)
