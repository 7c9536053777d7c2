"""XRootD servers for tests; what is missing is installed with apt where we may."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.servers.xrootd_server import Options, XRootDServer

_PACKAGES = ("xrootd-server", "xrootd-client", "xrootd-server-plugins", "openssl")
_TOKEN_PACKAGE = "xrootd-scitokens-plugins"

StartXRootD = Callable[..., XRootDServer]


@pytest.fixture(scope="session")
def xrootd_software() -> None:
    """The server's programs are there, or the test is skipped."""
    if shutil.which("xrootd") and shutil.which("xrdsssadmin") and shutil.which("openssl"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "-o", "DPkg::Lock::Timeout=400", "install", "-y", "--no-install-recommends"]
        subprocess.run(["apt-get", "update"], capture_output=True)
        subprocess.run([*install, *_PACKAGES, _TOKEN_PACKAGE], capture_output=True)
    if not shutil.which("xrootd"):
        pytest.skip(f"no xrootd here, and it cannot be installed: as root `apt-get install {' '.join(_PACKAGES)}`")


@pytest.fixture(scope="session")
def plain_xrootd(xrootd_software: None) -> Iterator[XRootDServer]:
    """A healthy server that many tests share, each in a folder of its own."""
    server = XRootDServer().start()
    yield server
    server.close()


@pytest.fixture
def start_xrootd(xrootd_software: None) -> Iterator[StartXRootD]:
    """Starts servers for one test; takes the options' names."""
    servers: list[XRootDServer] = []

    def start(**options: object) -> XRootDServer:
        servers.append(XRootDServer(Options(**options)))  # type: ignore[arg-type]
        return servers[-1].start()

    yield start
    for server in servers:
        server.close()
