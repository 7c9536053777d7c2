"""Where a release stands: `<base>/<simulator>/<version>/<simulator>-<version>`, as in 2014, and what names may be.

A version holds no `-`: workers split `phosim-3.4.2` at the last one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from cvmfs_publish.exits import Exit, KitError

SIMULATOR = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*", re.ASCII)
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._]*", re.ASCII)
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)+", re.ASCII)
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)

MANIFEST = "release.json"
CATALOG_MARKER = ".cvmfscatalog"
CURRENT = "current"
"""The link beside the versions that says which one is recommended. Jobs pin a version and never follow it."""
RETIRING = "DEPRECATED"
"""The note in a version's folder that says that it will be removed."""


class Address(NamedTuple):
    """A release's place below the root of a repository or of a plain folder."""

    simulator: str
    version: str
    base: str = ""
    """Folders above the simulator's, such as `lsst`; empty for none."""

    @property
    def name(self) -> str:
        """`phosim-3.4.2`."""
        return f"{self.simulator}-{self.version}"

    @property
    def simulator_folder(self) -> str:
        """`lsst/phosim`."""
        return f"{self.base}/{self.simulator}" if self.base else self.simulator

    @property
    def version_folder(self) -> str:
        """`lsst/phosim/3.4.2`: appears and vanishes as a whole, and has a catalog of its own."""
        return f"{self.simulator_folder}/{self.version}"

    @property
    def release_folder(self) -> str:
        """`lsst/phosim/3.4.2/phosim-3.4.2`."""
        return f"{self.version_folder}/{self.name}"


def address(simulator: str, version: str, base: str = "") -> Address:
    """The address, if its names obey the rules; raises `KitError` USAGE."""
    for name, what, pattern, rule in (
        (simulator, "simulator", SIMULATOR, "letters, digits and _, in parts joined by -"),
        (version, "version", VERSION, "letters, digits, . and _ (no -, at which workers split the name)"),
    ):
        if not pattern.fullmatch(name):
            raise KitError(Exit.USAGE, f"'{name}' cannot be a {what}", cure=f"a {what} is {rule}")
    if version == CURRENT:
        raise KitError(Exit.USAGE, f"'{CURRENT}' cannot be a version: it is the name of the switch")
    return Address(simulator, version, checked_base(base))


def split_name(name: str, base: str = "") -> Address:
    """The address of `phosim-3.4.2`; raises `KitError` USAGE."""
    simulator, _, version = name.rpartition("-")
    if not simulator:
        raise KitError(
            Exit.USAGE, f"'{name}' is no release name", cure="a release is SIMULATOR-VERSION, as phosim-3.4.2"
        )
    return address(simulator, version, base)


def checked_base(base: str) -> str:
    """The base without slashes around it; raises `KitError` USAGE if it is not a plain relative path."""
    parts = base.strip("/").split("/") if base.strip("/") else []
    for part in parts:
        if not _FOLDER.fullmatch(part):
            raise KitError(Exit.USAGE, f"base '{base}': '{part}' cannot be a folder's name", cure="as in lsst/phosim")
    return "/".join(parts)


def default_workshop() -> Path:
    """Where releases are built: always the same for one account, since compilers write the path into their output."""
    return Path("/var/tmp") / f"iod-build-{os.getuid()}"  # noqa: S108 - its owner and mode are checked when it is used


def release_folder(root: Path, simulator: str, version: str) -> Path:
    """The release's folder below a root without a base."""
    return root / address(simulator, version).release_folder
