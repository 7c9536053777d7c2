"""Proves a release through every way that workers may take to it: each server, plainly or through each proxy.

Equal revisions prove nothing: a replica may serve a manifest whose objects it lacks. So the objects themselves are
fetched and hashed, all of them or a sample.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.hands import work_through
from cvmfs_publish.layout import CATALOG_MARKER, MANIFEST
from cvmfs_publish.repository.catalogs import Item
from cvmfs_publish.repository.http import Absent, Route
from cvmfs_publish.repository.reader import Checksums, State, Tree, open_state, unpacked
from cvmfs_publish.signals import Interrupted

if TYPE_CHECKING:
    from cvmfs_publish.manifest import FileEntry, Release

_AT_ONCE, _AT_ONCE_ANEW = 8, 4
"""Connections; fewer where each file takes a new one: plain servers queue five, and who finds no place waits a second.
"""
_LARGEST_MANIFEST_BYTES = 1 << 28
_MOST_NOTES = 20
_STATUS = ".cvmfs_status.json"
_SNAPSHOT = re.compile(rb'"last_snapshot"\s*:\s*"([^"]*)"')


class Wanted(NamedTuple):
    """What is to be proven."""

    repository: str
    public_key: bytes
    tag: Optional[str] = None
    path: str = "/"
    now: Optional[datetime] = None
    percent: float = 100.0
    """How many of the files are fetched; those with a manifest, and every catalog, always."""

    def takes(self, path: str) -> bool:
        """Whether a file is in the sample: always the same ones."""
        number = int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:4], "big")
        return number < self.percent / 100.0 * 2**32


class Proof:
    """What was found through one route."""

    def __init__(self, route: Route) -> None:
        self.url, self.proxy = route.url, route.proxy
        self.exit: Optional[Exit] = None
        """None if all was proven."""
        self.problem = ""
        self.state: Optional[State] = None
        self.whitelist_days = 0.0
        self.n_files = 0
        self.size_bytes = 0
        self.content = 0
        """Stands for all that was listed, in whatever order; equal for equal content."""
        self.releases: List[str] = []
        """Whose `release.json` was found, and every file found to be as it says."""
        self.notes: List[str] = []
        self.snapshot = ""
        """When a Stratum 1 last copied the repository, as it says."""

    @property
    def revision(self) -> Optional[int]:
        """Of the manifest; None if there is none to trust."""
        return self.state.manifest.revision if self.state else None

    def note(self, text: str) -> None:
        """Add a remark, up to a number."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text)


def prove(route: Route, wanted: Wanted, now: datetime) -> Proof:
    """Check everything through one route; nothing is raised but `Interrupted`."""
    proof = Proof(route)
    try:
        proof.state = open_state(route, wanted.repository, wanted.public_key, now)
        proof.whitelist_days = proof.state.whitelist.days_left(now)
        proof.snapshot = _snapshot(route)
        with closing(Tree(route, proof.state.manifest, wanted.tag)) as tree:
            tree.prove_attachments()
            _prove_tree(route, tree, wanted, proof)
    except Interrupted:
        raise
    except KitError as error:
        proof.exit, proof.problem = error.exit, str(error)
    finally:
        route.close()
    return proof


def _snapshot(route: Route) -> str:
    try:
        text = route.get(_STATUS, limit_bytes=1 << 16)
    except Interrupted:
        raise
    except (Absent, KitError):
        return ""  # a Stratum 0 has none
    found = _SNAPSHOT.search(text)
    return found[1].decode("utf-8", errors="replace") if found else ""


class Expected:
    """A release that lies in the tree, and which of its files have been met."""

    def __init__(self, folder: str, release: Release) -> None:
        self.folder = folder
        self.name = release.name
        self._files = {entry.path: entry for entry in release.files}
        self._links = {link.path: link.target for link in release.links}

    def covers(self, item: Item) -> bool:
        """Whether the manifest should name it."""
        inner = item.path[len(self.folder) + 1 :]
        return item.path.startswith(f"{self.folder}/") and inner != MANIFEST and not inner.endswith(CATALOG_MARKER)

    def meet(self, item: Item) -> Optional[FileEntry]:
        """What the manifest says of a file; None for a link. Raises `KitError` CONTENT_DIFFERS."""
        inner = item.path[len(self.folder) + 1 :]
        if item.link is not None:
            if self._links.pop(inner, None) != item.link:
                raise KitError(Exit.CONTENT_DIFFERS, f"{item.path} leads to {item.link}: {MANIFEST} does not say so")
            return None
        entry = self._files.pop(inner, None)
        if entry is None:
            raise KitError(Exit.CONTENT_DIFFERS, f"{item.path} is not in {MANIFEST}")
        return entry

    def end(self) -> None:
        """Raises `KitError` CONTENT_DIFFERS if something was not met."""
        missing = [*self._files, *self._links]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise KitError(Exit.CONTENT_DIFFERS, f"{self.folder}: {missing[0]}{more} of {MANIFEST} is not published")


def _prove_tree(route: Route, tree: Tree, wanted: Wanted, proof: Proof) -> None:
    expected = _expected(route, tree, wanted)
    checksums = Checksums(route)

    def to_prove() -> Iterator[Tuple[Item, Optional[FileEntry]]]:
        for item in tree.items(wanted.path):
            entry = next((one.meet(item) for one in expected if one.covers(item)), None)
            _look(item, proof)
            if item.link is None and not item.is_external and wanted.takes(item.path):
                proof.n_files += 1
                proof.size_bytes += item.size_bytes
                yield item, entry

    work_through(
        to_prove(),
        lambda pair: _prove_file(route, checksums, *pair),
        at_once=_AT_ONCE if route.is_kept_open else _AT_ONCE_ANEW,
    )
    for one in expected:
        one.end()
        proof.releases.append(one.name)


def _prove_file(route: Route, checksums: Checksums, item: Item, entry: Optional[FileEntry]) -> None:
    found = checksums.of(item)
    if entry is not None and (found != entry.sha256 or item.size_bytes != entry.size_bytes):
        raise KitError(Exit.CONTENT_DIFFERS, f"{route.name}: {item.path} is not what {MANIFEST} says")


def _look(item: Item, proof: Proof) -> None:
    proof.content = (proof.content + _number_of(item)) % 2**256
    if not item.is_readable:
        proof.note(f"{item.path} has mode {item.mode & 0o7777:04o}: jobs cannot read it")
    if item.is_external:
        proof.note(f"{item.path} lies outside the repository and is not proven")


def _expected(route: Route, tree: Tree, wanted: Wanted) -> List[Expected]:
    """The releases below the path, by their manifests; one within another's folder belongs to that one."""
    found: List[Expected] = []
    for item in tree.items(wanted.path):
        folder, _, name = item.path.rpartition("/")
        if name != MANIFEST or item.link is not None or any(folder.startswith(f"{one.folder}/") for one in found):
            continue
        if item.size_bytes > _LARGEST_MANIFEST_BYTES:
            raise KitError(Exit.CONTENT_DIFFERS, f"{route.name}: {item.path} is too large to be a manifest")
        from cvmfs_publish.manifest import ManifestInvalid, parse_release  # only repositories with releases need it

        text = b"".join(unpacked(route, stored) for stored in item.objects)
        try:
            found.append(Expected(folder, parse_release(text)))
        except ManifestInvalid as error:
            raise KitError(Exit.CONTENT_DIFFERS, f"{route.name}: {item.path}: {error}") from None
    return found


def _number_of(item: Item) -> int:
    objects = [stored.hash.digest for stored in item.objects]
    text = repr((item.path, item.mode, item.size_bytes, item.link, objects))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest(), "big")


def fail_the_outdated(proofs: Sequence[Proof]) -> None:
    """A server that is behind proves nothing of the newest revision, unless it has the same content there."""
    proven = [proof for proof in proofs if proof.exit is None and proof.revision is not None]
    newest = max(proven, key=lambda proof: proof.revision or 0, default=None)
    for proof in proven:
        if newest is not None and proof.revision != newest.revision and proof.content != newest.content:
            what = f"{proof.url} has revision {proof.revision}, with other content than revision {newest.revision}"
            error = KitError(Exit.NOT_THERE, what, cure="wait until it is replicated")
            proof.exit, proof.problem = error.exit, str(error)


_WORST_FIRST = (
    Exit.POLICY_REFUSES, Exit.TOOL_MISSING, Exit.SIGNATURE_BAD, Exit.CONTENT_DIFFERS, Exit.OBJECTS_BAD,
    Exit.WHITELIST_EXPIRED, Exit.NOT_THERE, Exit.UNREACHABLE,
)  # fmt: skip


def verdict(proofs: Sequence[Proof]) -> Optional[Exit]:
    """The worst that was found; None if all is proven everywhere."""
    found = [proof.exit for proof in proofs if proof.exit is not None]
    return next((one for one in [*_WORST_FIRST, *found] if one in found), None)
