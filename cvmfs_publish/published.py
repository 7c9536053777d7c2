"""What stands published below a root, read from its files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import CURRENT, MANIFEST, RETIRING, SIMULATOR, VERSION, Address
from cvmfs_publish.manifest import ManifestInvalid, Release, parse_release


@dataclass(frozen=True)
class Standing:
    """A version that is published."""

    address: Address
    release: Optional[Release]
    problem: str
    """Why there is no release; empty if there is one."""
    is_current: bool
    deprecated: str
    """The note that it will go; empty if there is none."""


def list_published(root: Path, base: str) -> List[Standing]:
    """Every version below a root, by simulator, oldest first; raises `KitError` NOT_PUBLISHED if there is no root."""
    found: List[Standing] = []
    if not root.is_dir():
        raise KitError(Exit.NOT_PUBLISHED, f"{root} is not there", cure="check the root, and that it is mounted")
    for simulator in _folders(root / base):
        if not SIMULATOR.fullmatch(simulator):
            continue
        versions = [name for name in _folders(root / base / simulator) if VERSION.fullmatch(name) and name != CURRENT]
        current = current_version(root, Address(simulator, "", base))
        for version in sorted(versions, key=version_key):
            address = Address(simulator, version, base)
            if is_occupied(root, address):
                found.append(standing(root, address, current))
    return found


def standing(root: Path, address: Address, current: Optional[str] = None) -> Standing:
    """What stands at one address."""
    release, problem = None, ""
    try:
        release = parse_release((root / address.release_folder / MANIFEST).read_bytes())
    except OSError as error:
        problem = f"{MANIFEST}: {error.strerror}"
    except ManifestInvalid as error:
        problem = f"{MANIFEST}: {error}"
    note = root / address.version_folder / RETIRING
    deprecated = note.read_text(encoding="utf-8", errors="replace").strip() if note.is_file() else ""
    return Standing(address, release, problem, current == address.version, deprecated)


def published_release(root: Path, address: Address) -> Release:
    """The release at an address; raises `KitError` NOT_PUBLISHED."""
    found = standing(root, address)
    if found.release is None:
        raise KitError(Exit.NOT_PUBLISHED, f"{address.name} is not published in {root} ({found.problem})")
    return found.release


def is_occupied(root: Path, address: Address) -> bool:
    """Whether anything stands in the version's folder (an empty one does not count)."""
    try:
        with os.scandir(root / address.version_folder) as entries:
            return any(not entry.name.startswith(".cvmfs") for entry in entries)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise KitError(Exit.REPOSITORY_BROKEN, f"{error.filename}: {error.strerror}") from None


def current_version(root: Path, address: Address) -> Optional[str]:
    """The version that `current` of this simulator leads to; None if there is no such link."""
    try:
        return os.readlink(root / address.simulator_folder / CURRENT)  # noqa: PTH115 - the text of the link
    except OSError:
        return None


def version_key(version: str) -> Tuple[Tuple[int, str], ...]:
    """Sorts 3.4.10 after 3.4.9."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version) if part)


def _folders(folder: Path) -> List[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KitError(Exit.REPOSITORY_BROKEN, f"{error.filename}: {error.strerror}") from None
