"""Makes a small CernVM-FS repository from a folder, signed with keys of its own: for releases that the real one of the
tests lacks, and for sizes that nobody wants to keep.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import subprocess
import tempfile
import zlib
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NAME = "made.example.org"
_FOLDER, _NESTED_MOUNT, _NESTED_ROOT, _FILE, _LINK = 1, 2, 33, 4, 12
_SCHEMA = """
CREATE TABLE catalog (md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, hardlinks INTEGER,
    hash BLOB, size INTEGER, mode INTEGER, mtime INTEGER, flags INTEGER, name TEXT, symlink TEXT, uid INTEGER,
    gid INTEGER, xattr BLOB, PRIMARY KEY (md5path_1, md5path_2));
CREATE INDEX idx_catalog_parent ON catalog (parent_1, parent_2);
CREATE TABLE chunks (md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB);
CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER);
CREATE TABLE properties (key TEXT, value TEXT);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A repository in a web root."""

    root: Path
    """Of the web server."""
    key: Path
    """The public one."""

    @property
    def folder(self) -> Path:
        """Of the repository, to be mutated."""
        return self.root / "cvmfs" / NAME

    def options(self, url: str) -> list[str]:
        """Of `iod-publish verify`; `url` is the web server's."""
        where = ["--http", f"{url}/cvmfs/{NAME}", "--repository", NAME, "--public-key", str(self.key)]
        return [*where, "--now", "2026-12-01T00:00:00Z"]


def make_repository(root: Path, tree: Path, nested: str) -> Made:
    """A repository that holds the tree; what is below `nested`, a path within it, has a catalog of its own."""
    made = Made(root=root, key=root / "master.pub")
    made.folder.mkdir(parents=True)
    keys = _make_keys(root)
    inner = _make_catalog(made, tree, f"/{nested}", None)
    top, size_bytes = _make_catalog(made, tree, "", (f"/{nested}", inner))
    certificate = _store(made, (root / "certificate").read_bytes(), "X")
    lines = [f"C{top}", f"B{size_bytes}", "Rd41d8cd98f00b204e9800998ecf8427e", "D240", "S1", f"N{NAME}"]
    text = "".join(f"{line}\n" for line in [*lines, f"X{certificate}", "T1795335988"]).encode()
    _sign(made.folder / ".cvmfspublished", text, ["dgst", "-sha1", "-sign", str(keys["signing"])])
    fingerprint = _openssl("x509", "-in", str(root / "certificate"), "-noout", "-fingerprint", "-sha1")
    whitelist = f"20261101000000\nE20361101000000\nN{NAME}\n{fingerprint.decode().strip().partition('=')[2]}\n".encode()
    _sign(made.folder / ".cvmfswhitelist", whitelist, ["pkeyutl", "-sign", "-inkey", str(keys["master"]), "-in"])
    return made


def _make_keys(root: Path) -> dict[str, Path]:
    for name, content in _key_files().items():
        (root / name).write_bytes(content)
    return {name: root / f"{name}.key" for name in ("master", "signing")}


@cache
def _key_files() -> dict[str, bytes]:
    """Made once in a process: that takes long."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("master", "signing"):
            _openssl("genrsa", "-out", str(place / f"{name}.key"), "2048")
        _openssl("rsa", "-in", str(place / "master.key"), "-pubout", "-out", str(place / "master.pub"))
        words = ["-new", "-x509", "-days", "9000", "-subj", f"/CN={NAME}", "-out", str(place / "certificate")]
        _openssl("req", "-key", str(place / "signing.key"), *words)
        return {path.name: path.read_bytes() for path in place.iterdir()}


def _sign(path: Path, text: bytes, command: list[str]) -> None:
    digest = hashlib.sha1(text).hexdigest().encode()
    plain = path.with_name(f"{path.name}.digest")
    plain.write_bytes(digest)
    path.write_bytes(text + b"--\n" + digest + b"\n" + _openssl(*command, str(plain)))
    plain.unlink()


def _openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def _store(made: Made, content: bytes, suffix: str) -> str:
    packed = zlib.compress(content, 1)
    digest = hashlib.sha1(packed).hexdigest()
    path = made.folder / "data" / digest[:2] / f"{digest[2:]}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)
    return digest


def _make_catalog(made: Made, tree: Path, top: str, nested: tuple[str, tuple[str, int]] | None) -> tuple[str, int]:
    """A catalog of what is below `top`, except what is below the nested one; its hash and size."""
    path = made.root / "draft.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_SCHEMA)
        _add(database, top, tree / top[1:], _NESTED_ROOT if top else _FOLDER, None)
        for folder, folders, files in os.walk(tree / top[1:]):
            inside = "/" + os.path.relpath(folder, tree) if Path(folder) != tree else ""
            for name in [*files, *folders]:
                place = Path(folder) / name
                is_nested = nested is not None and f"{inside}/{name}" == nested[0]
                flags = _LINK if place.is_symlink() else _FILE if place.is_file() else _FOLDER
                digest = _store(made, place.read_bytes(), "") if flags == _FILE else None
                _add(database, f"{inside}/{name}", place, _NESTED_MOUNT if is_nested else flags, digest)
            folders[:] = [name for name in folders if nested is None or f"{inside}/{name}" != nested[0]]
        if nested is not None:
            database.execute("INSERT INTO nested_catalogs VALUES (?, ?, ?)", (nested[0], *nested[1]))
        database.commit()
    content = path.read_bytes()
    path.unlink()
    return _store(made, content, "C"), len(content)


def _add(database: sqlite3.Connection, path: str, place: Path, flags: int, digest: str | None) -> None:
    status = place.lstat()
    link = str(place.readlink()) if place.is_symlink() else ""
    row = (*_key(path), *_key(path.rpartition("/")[0]), 1, bytes.fromhex(digest) if digest else None, status.st_size)
    rest = (status.st_mode, 0, flags, path.rpartition("/")[2], link, 1000, 1000, None)
    database.execute(f"INSERT INTO catalog VALUES ({', '.join('?' * 15)})", (*row, *rest))


def _key(path: str) -> tuple[int, int]:
    low, high = struct.unpack("<qq", hashlib.md5(path.encode()).digest())
    return low, high
