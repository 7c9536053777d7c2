"""One replica's repository, from its signed manifest down to the bytes of its files."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple, Optional

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.hands import work_through
from cvmfs_publish.repository.catalogs import Catalog, Item, Nested, Stored, read_tag
from cvmfs_publish.repository.http import Absent, Route
from cvmfs_publish.repository.signatures import check_manifest, check_whitelist, fingerprint
from cvmfs_publish.repository.signed import Manifest, Whitelist, parse_manifest, parse_whitelist, split_signed

_SMALL_BYTES = 1 << 16
"""Manifest, whitelist, certificate."""
_LARGEST_CATALOG_BYTES = 1 << 31
_MOST_KNOWN = 2_000
_SLACK_BYTES = 1 << 16
"""What packing may add to bytes that do not pack."""


class State(NamedTuple):
    """What a replica says of itself, its signatures found right."""

    manifest: Manifest
    whitelist: Whitelist
    age_s: int
    """For how long a proxy has held the manifest, by its `Age` header; 0 if it does not say."""


def open_state(route: Route, name: str, public_key: bytes, now: datetime) -> State:
    """Read and prove manifest and whitelist. Raises `KitError`."""
    manifest_text = split_signed(_get(route, ".cvmfspublished"), "the manifest")
    age_s = _age_of(route)
    manifest = parse_manifest(manifest_text.text, "the manifest")
    whitelist_text = split_signed(_get(route, ".cvmfswhitelist"), "the whitelist")
    whitelist = parse_whitelist(whitelist_text.text, "the whitelist")
    certificate = unpacked(route, Stored(manifest.certificate, "X", _SMALL_BYTES, is_compressed=True))
    if fingerprint(certificate) not in whitelist.fingerprints:
        raise KitError(Exit.SIGNATURE_BAD, "the whitelist does not name the certificate of the manifest")
    checks = (
        lambda: check_whitelist(public_key, whitelist_text.hash_text, whitelist_text.signature),
        lambda: check_manifest(certificate, manifest_text.hash_text, manifest_text.signature),
    )
    work_through(iter(checks), lambda check: check(), at_once=len(checks))  # each is a program
    for what, said in (("manifest", manifest.name), ("whitelist", whitelist.name)):
        if said != name:
            raise KitError(Exit.SIGNATURE_BAD, f"the {what} is of repository {said}, not of {name}")
    if whitelist.expires <= now:
        expired = f"{whitelist.expires:%Y-%m-%d %H:%M} UTC"
        raise KitError(Exit.WHITELIST_EXPIRED, f"{route.name}: the whitelist has expired on {expired}")
    return State(manifest, whitelist, age_s)


def _age_of(route: Route) -> int:
    found = str(route.headers.get("age", "0"))
    return int(found) if found.isdigit() else 0


def _get(route: Route, path: str) -> bytes:
    try:
        return route.get(path, limit_bytes=_SMALL_BYTES)
    except Absent as error:
        raise KitError(Exit.UNREACHABLE, f"{error} is not there", cure="give the repository's own root URL") from None


class Tree:
    """The files of one state of the repository, below one path; catalogs are kept in a scratch folder while needed."""

    def __init__(self, route: Route, manifest: Manifest, tag: Optional[str]) -> None:
        self._route = route
        self._scratch = tempfile.TemporaryDirectory(prefix="iod-publish-")
        self._manifest = manifest
        self.revision = manifest.revision
        self._root, self._root_size = manifest.root, manifest.root_size_bytes
        if tag is not None:
            try:
                self._choose(tag)
            except KitError:
                self.close()
                raise

    def close(self) -> None:
        """Remove the scratch folder."""
        self._scratch.cleanup()

    def prove_attachments(self) -> None:
        """See that what hangs on the manifest besides the files is there: tags, metainfo. Raises `KitError`."""
        for named, suffix in ((self._manifest.history, "H"), (self._manifest.metainfo, "M")):
            if named is not None:
                self._fetched(Stored(named, suffix, _LARGEST_CATALOG_BYTES, is_compressed=True))

    def items(self, path: str) -> Iterator[Item]:
        """Every file and link below a path, one catalog open at a time a level. Raises `KitError` NOT_THERE."""
        place = "/" + path.strip("/") if path.strip("/") else ""
        yield from self._items(Nested("", self._root, self._root_size), place, is_top=True)

    def _items(self, nested: Nested, place: str, *, is_top: bool) -> Iterator[Item]:
        with closing(self._catalog(nested)) as catalog:
            inner = _inner_catalog(catalog, place) if is_top else None
            if inner is not None:
                yield from self._items(inner, place, is_top=True)
                return
            if is_top and not catalog.has(place):
                raise KitError(
                    Exit.NOT_THERE, f"{self._route.name}: {place} is not in revision {self.revision}",
                    cure="wait until it is replicated, or correct --path",
                )  # fmt: skip
            for found in catalog.items(place):
                if isinstance(found, Nested):
                    yield from self._items(found, found.path, is_top=False)
                else:
                    yield found

    def _catalog(self, nested: Nested) -> Catalog:
        limit = nested.size_bytes or _LARGEST_CATALOG_BYTES
        stored = Stored(nested.hash, "C", min(limit, _LARGEST_CATALOG_BYTES), is_compressed=True)
        return Catalog(self._fetched(stored), f"{self._route.name}: the catalog of {nested.path or '/'}")

    def _choose(self, tag: str) -> None:
        manifest, found = self._manifest, None
        if manifest.history is not None:
            history = self._fetched(Stored(manifest.history, "H", _LARGEST_CATALOG_BYTES, is_compressed=True))
            found = read_tag(history, tag, f"{self._route.name}: the history")
        if found is None:
            raise KitError(
                Exit.NOT_THERE, f"{self._route.name}: no tag {tag} in revision {manifest.revision}",
                cure="wait until it is replicated, or correct --tag",
            )  # fmt: skip
        self.revision, self._root, self._root_size = found.revision, found.root, found.root_size_bytes

    def _fetched(self, stored: Stored) -> Path:
        """An object as a file."""
        path = Path(self._scratch.name) / f"{stored.hash.digest}{stored.suffix}"
        if not path.exists():
            draft = path.with_suffix(".part")
            with draft.open("wb") as stream:
                for block in unpacked_blocks(self._route, stored):
                    stream.write(block)
            draft.rename(path)
        return path


def _inner_catalog(catalog: Catalog, place: str) -> Optional[Nested]:
    """The catalog below this one that lists the path, if there is one."""
    return next((one for path, one in catalog.nested.items() if f"{place}/".startswith(f"{path}/")), None)


def checksum(route: Route, item: Item) -> str:
    """sha256 of a file's content, all its objects proven on the way. Raises `KitError` OBJECTS_BAD."""
    content = hashlib.sha256()
    n_bytes = 0
    for stored in item.objects:
        for block in unpacked_blocks(route, stored):
            content.update(block)
            n_bytes += len(block)
    if n_bytes != item.size_bytes:
        raise KitError(Exit.OBJECTS_BAD, f"{route.name}: {item.path} has {n_bytes} bytes, not {item.size_bytes}")
    return content.hexdigest()


class Checksums:
    """`checksum`, which remembers the latest ones: the versions of a simulator share most of their objects."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._known: Dict[str, str] = {}

    def of(self, item: Item) -> str:
        """sha256 of a file's content. Raises `KitError` OBJECTS_BAD."""
        if len(item.objects) != 1:
            return checksum(self._route, item)
        key = f"{item.objects[0]} {item.size_bytes}"
        found = self._known.get(key)
        if found is None:
            found = checksum(self._route, item)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = found
        return found


def unpacked(route: Route, stored: Stored) -> bytes:
    """A small object's content. Raises `KitError` OBJECTS_BAD."""
    return b"".join(unpacked_blocks(route, stored))


def unpacked_blocks(route: Route, stored: Stored) -> Iterator[bytes]:
    """An object's content, piece by piece; after the last its hash was right. Raises `KitError` OBJECTS_BAD."""
    path = f"{stored.hash.path}{stored.suffix}"
    hasher = stored.hash.hasher()
    unpacker = zlib.decompressobj() if stored.is_compressed else None
    left = stored.size_bytes
    try:
        for block in route.stream(path, limit_bytes=stored.size_bytes + _SLACK_BYTES):
            hasher.update(block)
            for piece in _unpack(unpacker, block):
                left -= len(piece)
                if left < 0:
                    raise KitError(Exit.OBJECTS_BAD, f"{route.name}/{path} unpacks to more than the catalog says")
                yield piece
    except Absent:
        raise KitError(Exit.OBJECTS_BAD, f"{route.name}/{path} is missing") from None
    except zlib.error:
        raise _damaged(route, path) from None
    if hasher.hexdigest() != stored.hash.digest or (unpacker is not None and not unpacker.eof):
        raise _damaged(route, path)


def _unpack(unpacker: Any, block: bytes) -> Iterator[bytes]:
    if unpacker is None:
        yield block
        return
    while block:
        piece = unpacker.decompress(block, _SMALL_BYTES)
        block = unpacker.unconsumed_tail
        if piece:
            yield piece
        elif not block or unpacker.eof:
            return


def _damaged(route: Route, path: str) -> KitError:
    return KitError(Exit.OBJECTS_BAD, f"{route.name}/{path} is damaged: its bytes do not give its name")
