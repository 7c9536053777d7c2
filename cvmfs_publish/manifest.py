"""`release.json`: what a release is, and every file of it with its checksum.

The digest of a release is the sha256 of this file, which stands for the whole tree. Where the keys come from and what
workers make of them: docs/reference/iod-publish.md.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Sequence, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import CATALOG_MARKER, MANIFEST, SIMULATOR, VERSION, Address, address
from cvmfs_publish.progress import progress_of
from cvmfs_publish.trees import Entry, walk

SCHEMA_VERSION = 1
KINDS = ("simulator", "data", "runtime")
_BLOCK_BYTES = 1 << 18


class FileEntry(NamedTuple):
    """A file of a release."""

    path: str
    size_bytes: int
    sha256: str
    permissions: int


class LinkEntry(NamedTuple):
    """A symbolic link of a release."""

    path: str
    target: str


@dataclass(frozen=True)
class Release:
    """What a `release.json` says."""

    simulator: str
    version: str
    kind: str
    files: Tuple[FileEntry, ...]
    links: Tuple[LinkEntry, ...]
    requires: Tuple[Tuple[str, str], ...]
    """A link of this release, and the release that it leads to: `data/SEDs`, `phosim-seds-2014`."""
    document: Mapping[str, Any]
    text: bytes
    """Of the file, to the byte."""

    @property
    def name(self) -> str:
        """`phosim-3.4.2`."""
        return f"{self.simulator}-{self.version}"

    @property
    def digest(self) -> str:
        """sha256 of `release.json`."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(entry.size_bytes for entry in self.files)

    def at(self, base: str) -> Address:
        """Where it belongs below a base."""
        return address(self.simulator, self.version, base)


class ManifestInvalid(Exception):
    """What is wrong with a `release.json`, in a few words."""


def read_release(folder: Path) -> Release:
    """The release in a folder; raises `KitError` SOURCE_UNUSABLE."""
    path = folder / MANIFEST
    try:
        return parse_release(path.read_bytes())
    except FileNotFoundError:
        if not folder.exists():
            raise KitError(Exit.SOURCE_UNUSABLE, f"{folder} is not there") from None
        cure = "make one with `iod-publish build NAME --prebuilt --from TREE --version V`"
        raise KitError(Exit.SOURCE_UNUSABLE, f"{folder} is no release: it has no {MANIFEST}", cure=cure) from None
    except OSError as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{path}: {error.strerror}") from None
    except ManifestInvalid as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{path}: {error}", cure="build the release again") from None


def parse_release(text: bytes) -> Release:
    """The same from the file's bytes; raises `ManifestInvalid`."""
    try:
        document = json.loads(text)
        simulator, version, kind = document["simulator"], document["version"], document.get("kind", KINDS[0])
        files = tuple(
            FileEntry(one["path"], one["size"], one["sha256"], int(one["mode"], 8)) for one in document["files"]
        )
        links = tuple(LinkEntry(one["path"], one["target"]) for one in document.get("links", ()))
        requires = tuple((one["path"], one["release"]) for one in document.get("requires", ()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ManifestInvalid(f"not a manifest ({type(error).__name__}: {error})") from None
    if not (SIMULATOR.fullmatch(str(simulator)) and VERSION.fullmatch(str(version))):
        raise ManifestInvalid(f"'{simulator}' and '{version}' are not names of a simulator and of a version")
    if document.get("name") != f"{simulator}-{version}":
        raise ManifestInvalid(f"name is not {simulator}-{version}")
    if kind not in KINDS:
        raise ManifestInvalid(f"kind '{kind}' is none of {', '.join(KINDS)}")
    for path in [one.path for one in files] + [one.path for one in links]:
        if not _stays_inside(path):
            raise ManifestInvalid(f"path {path!r} leads outside the release")
    return Release(simulator, version, kind, files, links, requires, document, text)


def _stays_inside(path: object) -> bool:
    return isinstance(path, str) and bool(path) and not any(part in ("", ".", "..") for part in path.split("/"))


def write_release(tree: Path, facts: Mapping[str, Any]) -> Release:
    """Describe a finished tree in its `release.json`, in a fixed order; the release.

    `facts` are all keys but `files` and `links`. Raises `KitError` SOURCE_UNUSABLE.
    """
    entries = [entry for entry in walk(tree) if entry.path != MANIFEST and entry.name != CATALOG_MARKER]
    _refuse_odd_names(tree, entries)
    files = [entry for entry in entries if entry.is_file]
    hashes = hash_files(tree, files)
    document: Dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        **facts,
        "files": [
            {
                "path": entry.path,
                "size": entry.status.st_size,
                "sha256": hashes[entry.path],
                "mode": f"{entry.permissions & 0o777:04o}",
            }
            for entry in sorted(files, key=lambda entry: entry.path)
        ],
    }
    links = [{"path": entry.path, "target": entry.target} for entry in entries if entry.is_link]
    if links:
        document["links"] = links
    return save_release(tree, document)


def save_release(tree: Path, document: Mapping[str, Any]) -> Release:
    """Write the document as the tree's `release.json`, whole or not at all; raises `KitError` SOURCE_UNUSABLE."""
    text = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
    draft = tree / f".{MANIFEST}.{os.getpid()}"
    try:
        release = parse_release(text)
        draft.write_bytes(text)
        draft.chmod(0o644)
        draft.replace(tree / MANIFEST)
    except OSError as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{error.filename}: {error.strerror}") from None
    except ManifestInvalid as error:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{tree}: {error}") from None
    return release


def _refuse_odd_names(tree: Path, entries: Iterable[Entry]) -> None:
    odd = next((entry.path for entry in entries if any("\ud800" <= letter <= "\udfff" for letter in entry.path)), None)
    if odd is not None:
        raise KitError(Exit.SOURCE_UNUSABLE, f"{tree}: the name {odd!r} is not UTF-8", cure="rename it")


def hash_files(root: Path, files: Sequence[Entry], what: str = "hashing") -> Dict[str, str]:
    """The sha256 of each file, by path; raises `KitError` SOURCE_UNUSABLE."""
    hashes: Dict[str, str] = {}
    with progress_of(what, sum(entry.status.st_size for entry in files)) as progress:
        for entry in files:
            try:
                hashes[entry.path] = hash_file(root / entry.path)
            except OSError as error:
                raise KitError(Exit.SOURCE_UNUSABLE, f"{error.filename}: {error.strerror}") from None
            progress.add(entry.status.st_size)
    return hashes


def hash_file(path: Path) -> str:
    """The sha256 of a file's content; raises OSError."""
    found = hashlib.sha256()
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while size_bytes := file.readinto(buffer):
            found.update(buffer[:size_bytes])
    return found.hexdigest()
