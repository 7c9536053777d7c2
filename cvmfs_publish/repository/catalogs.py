"""Catalogs: SQLite files that list folders, files and where their bytes are."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import struct
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.repository.hashes import ALGORITHMS, ObjectHash, parse_hash

# Bits of an entry's flags (CernVM-FS 2.12). A symbolic link has the bit of a file too.
_NESTED_MOUNT, _FILE, _LINK, _CHUNKED, _EXTERNAL = 2, 4, 8, 64, 128
_ONE = "SELECT name, mode, size, flags, hash, symlink FROM catalog WHERE md5path_1 = ? AND md5path_2 = ?"
_CHILDREN = "SELECT name, mode, size, flags, hash, symlink FROM catalog WHERE parent_1 = ? AND parent_2 = ?"
_ALGORITHM_SHIFT, _ALGORITHM_MASK, _UNCOMPRESSED = 8, 7, 1 << 11


class Stored(NamedTuple):
    """An object that holds a file, or a piece of one."""

    hash: ObjectHash
    suffix: str
    """Empty for a whole file, `P` for a piece."""
    size_bytes: int
    """Unpacked."""
    is_compressed: bool


class Item(NamedTuple):
    """A file or link of the repository."""

    path: str
    """Absolute within the repository."""
    mode: int
    size_bytes: int
    link: Optional[str]
    """Target of a symbolic link; None for a file."""
    objects: Tuple[Stored, ...]
    is_external: bool
    """True if its bytes lie elsewhere and are not signed with the repository."""

    @property
    def is_readable(self) -> bool:
        """Whether every job may read it."""
        return self.link is not None or bool(self.mode & stat.S_IROTH)


class Nested(NamedTuple):
    """Another catalog, which lists what is below a folder."""

    path: str
    hash: ObjectHash
    size_bytes: int


class Catalog:
    """One open catalog."""

    def __init__(self, path: Path, what: str) -> None:
        self._what = what
        # Several threads take turns with it.
        self._db = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        self._db.text_factory = lambda raw: raw.decode("utf-8", errors="surrogateescape")
        try:
            self.nested: Dict[str, Nested] = {
                place: Nested(place, parse_hash(digest, what), int(size or 0))
                for place, digest, size in self._db.execute("SELECT path, sha1, size FROM nested_catalogs")
            }
        except sqlite3.DatabaseError as error:
            self.close()
            raise self._broken(error) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def has(self, path: str) -> bool:
        """Whether this catalog lists that path."""
        return self._first("SELECT 1 FROM catalog WHERE md5path_1 = ? AND md5path_2 = ?", _key(path)) is not None

    def items(self, folder: str) -> Iterator[Item | Nested]:
        """Everything below a folder, other catalogs' roots included but not what they list.

        If `folder` is a file, that. Raises `KitError` OBJECTS_BAD.
        """
        row = self._first(_ONE, _key(folder))
        if row is not None and row[3] & _FILE:
            yield self._item(folder, row)
            return
        waiting: List[str] = [folder]
        while waiting:
            place = waiting.pop()
            for child in self._rows(_CHILDREN, _key(place)):
                path = f"{place}/{child[0]}"
                flags = child[3]
                if flags & _FILE:
                    yield self._item(path, child)
                elif flags & _NESTED_MOUNT and path in self.nested:
                    yield self.nested[path]
                else:
                    waiting.append(path)

    def _item(self, path: str, row: Tuple[Any, ...]) -> Item:
        _, mode, size_bytes, flags, digest, link = row
        is_link = bool(flags & _LINK)
        objects: Tuple[Stored, ...] = ()
        if flags & _CHUNKED:
            objects = self._chunks(path, flags)
        elif not is_link and digest is not None:
            objects = (_stored(digest, "", size_bytes, flags),)
        return Item(path, mode, size_bytes, (link or "") if is_link else None, objects, bool(flags & _EXTERNAL))

    def _chunks(self, path: str, flags: int) -> Tuple[Stored, ...]:
        query = "SELECT size, hash FROM chunks WHERE md5path_1 = ? AND md5path_2 = ? ORDER BY offset"
        return tuple(_stored(digest, "P", size, flags) for size, digest in self._rows(query, _key(path)))

    def _first(self, query: str, values: Tuple[int, int]) -> Optional[Tuple[Any, ...]]:
        return next(iter(self._rows(query, values)), None)

    def _rows(self, query: str, values: Tuple[int, int]) -> Iterator[Tuple[Any, ...]]:
        try:
            with closing(self._db.execute(query, values)) as cursor:
                yield from cursor
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from None

    def _broken(self, error: sqlite3.DatabaseError) -> KitError:
        return KitError(Exit.OBJECTS_BAD, f"{self._what} is no readable catalog: {error}")


class Tag(NamedTuple):
    """A named state of the repository."""

    name: str
    root: ObjectHash
    root_size_bytes: int
    revision: int


def read_tag(history: Path, name: str, what: str) -> Optional[Tag]:
    """The tag of that name; None if there is none. Raises `KitError` OBJECTS_BAD."""
    with closing(sqlite3.connect(f"{history.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        try:
            row = database.execute("SELECT hash, size, revision FROM tags WHERE name = ?", (name,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise KitError(Exit.OBJECTS_BAD, f"{what} is no readable list of tags: {error}") from None
    return None if row is None else Tag(name, parse_hash(row[0], what), int(row[1] or 0), int(row[2]))


def _stored(digest: bytes, suffix: str, size_bytes: int, flags: int) -> Stored:
    number = flags >> _ALGORITHM_SHIFT & _ALGORITHM_MASK
    if number >= len(ALGORITHMS):
        raise KitError(Exit.OBJECTS_BAD, f"a catalog names an unknown hash algorithm ({number})")
    return Stored(ObjectHash(digest.hex(), ALGORITHMS[number]), suffix, size_bytes, not flags & _UNCOMPRESSED)


def _key(path: str) -> Tuple[int, int]:
    """Two little-endian halves of the path's md5, as CernVM-FS keys its tables."""
    digest = hashlib.md5(path.encode("utf-8", errors="surrogateescape")).digest()  # noqa: S324 - CVMFS's own choice
    low, high = struct.unpack("<qq", digest)
    return low, high
