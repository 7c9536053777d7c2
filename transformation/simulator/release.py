"""A simulator release on this worker: where it is and what it says of itself."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from transformation.model import documents
from transformation.model.failures import Failure, JobError
from transformation.model.focal_plane import Sensor, TablesInvalid, read_focal_plane
from transformation.model.strict import DocumentInvalid
from transformation.simulator.release_facts import ReleaseFacts

_DEEPEST = 4
"""Folders between a release root and `<simulator>/<version>/<name>`; CVMFS repositories nest a few."""
_MOST_FOLDERS = 2000
"""Folders looked into before the search gives up: a root should be chosen near its releases."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release folder that can be used."""

    root: Path
    facts: ReleaseFacts
    manifest_sha256: str
    """Of `release.json`, which names every file with its checksum: stands for the whole tree. Of a sidecar's facts
    where the tree has none; then name and version are all that stands for it."""
    sensors: tuple[Sensor, ...]

    @property
    def name(self) -> str:
        """`quicksim-1.0`."""
        return self.facts.name

    def is_visible(self) -> bool:
        """False once the file system it is on is gone (CVMFS is lost as a whole)."""
        return (self.root / self.facts.driver).is_file()

    @property
    def bin(self) -> Path:
        """The folder of the stage executables."""
        return self.root / "bin"

    @property
    def default_instcat(self) -> Path:
        """The release's own catalog defaults."""
        return self.root / "default_instcat"

    @property
    def driver_argv(self) -> tuple[str, ...]:
        """Interpreter and driver."""
        return (self._interpreter(), str(self.root / self.facts.driver))

    def _interpreter(self) -> str:
        named = self.facts.interpreter
        if named is None:
            return sys.executable
        return str(self.root / named) if "/" in named and not named.startswith("/") else named


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """What a site says of an installed tree that has no `release.json` of its own."""

    tree: Path
    facts: Mapping[str, Any]
    """The keys of `release.json`."""


def find_release(name: str, roots: Sequence[Path], sidecars: Mapping[str, Sidecar] | None = None) -> Release:
    """The release of that name: the site's own sidecar for it, else below the first root that has it.

    Raises `JobError`: RELEASE_UNREACHABLE if no root can be read, RELEASE_UNKNOWN with what there is, RELEASE_BROKEN.
    """
    sidecars = sidecars or {}
    if name in sidecars:
        return _open_with_sidecar(name, sidecars[name])
    if not any(root.is_dir() for root in roots):
        places = ", ".join(map(str, roots)) or "none configured"
        raise JobError(Failure.RELEASE_UNREACHABLE, f"release '{name}': no release area is readable ({places})")
    for root in roots:
        for folder in _candidates(root, name):
            if (folder / "release.json").is_file():
                return open_release(folder)
    offered = ", ".join(sorted({*list_releases(roots), *sidecars})) or "none"
    where = ", ".join(map(str, roots))
    raise JobError(Failure.RELEASE_UNKNOWN, f"release '{name}' is not in {where}; there: {offered}")


def list_releases(roots: Sequence[Path]) -> list[str]:
    """Names of all simulator releases below the roots."""
    folders = (folder for root in roots for folder in _folders(root, _DEEPEST + 3))
    return sorted({folder.name for folder in folders if _holds_simulator(folder)})


class _Kind(msgspec.Struct):
    """What a `release.json` describes: beside simulators, kits publish data and runtimes."""

    kind: str = "simulator"


def _holds_simulator(folder: Path) -> bool:
    try:
        return documents.decode((folder / "release.json").read_bytes(), _Kind).kind == "simulator"
    except OSError:
        return False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True  # a broken one, which is said when it is opened


def open_release(folder: Path) -> Release:
    """The release in that folder; raises `JobError` RELEASE_BROKEN naming what is wrong."""
    try:
        text = (folder / "release.json").read_bytes()
    except OSError as error:
        raise JobError(Failure.RELEASE_BROKEN, f"release {folder}: {error.filename}: {error.strerror}") from None
    return _open(folder, text)


def _open_with_sidecar(name: str, sidecar: Sidecar) -> Release:
    if not sidecar.tree.is_dir():
        detail = f"release '{name}': {sidecar.tree}, which the site file names, is not readable"
        raise JobError(Failure.RELEASE_UNREACHABLE, detail)
    text = msgspec.json.encode({**sidecar.facts, "name": name}, order="deterministic")
    return _open(sidecar.tree, text)


def _open(folder: Path, text: bytes) -> Release:
    try:
        facts = documents.decode(text, ReleaseFacts)
        tables = folder / "data" / facts.instrument
        sensors = read_focal_plane(
            (tables / "focalplanelayout.txt").read_text(), (tables / "segmentation.txt").read_text()
        )
        for needed in (facts.driver, "default_instcat", "bin/trim", "bin/raytrace", "bin/e2adc"):
            if not (folder / needed).is_file():
                raise DocumentInvalid(f"{needed} is missing")
    except OSError as error:
        raise JobError(Failure.RELEASE_BROKEN, f"release {folder}: {error.filename}: {error.strerror}") from None
    except (msgspec.DecodeError, TablesInvalid, DocumentInvalid, UnicodeDecodeError, RecursionError) as error:
        raise JobError(Failure.RELEASE_BROKEN, f"release {folder}: {error}") from None
    return Release(
        root=folder.absolute(),
        facts=facts,
        manifest_sha256=hashlib.sha256(text).hexdigest(),
        sensors=sensors,
    )


def _candidates(root: Path, name: str) -> Iterator[Path]:
    """Where a release of that name can stand below a root: as a direct child, then in the published layout."""
    simulator, _, version = name.rpartition("-")
    yield root / name
    if simulator and version:
        for folder in _folders(root, _DEEPEST):
            yield folder / simulator / version / name


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """The root and the folders below it, nearest first, bounded so that a network file system is spared."""
    level = [root]
    seen = 0
    for _ in range(depth + 1):
        yield from level
        below: list[Path] = []
        for folder in level:
            if (seen := seen + 1) > _MOST_FOLDERS or (folder / "release.json").exists():
                continue
            with suppress(OSError), os.scandir(folder) as entries:
                below += sorted(Path(entry.path) for entry in entries if entry.is_dir())
        level = below
