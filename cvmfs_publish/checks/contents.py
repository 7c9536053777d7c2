"""One reading of every file: its checksum, its kind, and what must not be in it.

The patterns begin with a fixed byte or word, so that `re` and `bytes.find` skip through at memory speed: the reading
costs little more than the checksum.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, List, Pattern, Tuple

from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.tree import Tree
from cvmfs_publish.elf import is_elf
from cvmfs_publish.layout import MANIFEST, default_workshop
from cvmfs_publish.progress import progress_of
from cvmfs_publish.trees import Entry

_BLOCK_BYTES = 1 << 20
_OVERLAP_BYTES = 256
"""Kept of the block before, so that nothing hides across the border."""
_TEXT_LIMIT_BYTES = 1 << 20
"""Tokens are looked for in texts up to this size: above are data, where chance finds them."""

_FOREIGN = rb"(?:home|Users|afs|scratch|builddir|root)/[\w.+-]+"
_MOST_PATHS = 1000
"""Foreign paths of one block that are passed over in the search for one of our own."""
_KEY = b"PRIVATE" + b" KEY-----"  # in two: this file is published, and checked, too
_KEY_WORDS = "a private key"
_TOKENS = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (rb"AKIA[0-9A-Z]{16}\b", "an AWS key"),
        (rb"gh[pousr]_[A-Za-z0-9]{36,}", "a GitHub token"),
        (rb"glpat-[\w-]{20,}", "a GitLab token"),
        (rb"xox[abpr]-[0-9A-Za-z-]{20,}", "a Slack token"),
        (rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}", "a bearer token"),
        (rb"password\s*[=:]\s*[\"'][^\"'\s$<>{}]{8,}[\"']", "a password"),
    )
)
_SECRET_NAMES = re.compile(r"(?:^|/)(?:id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc|\.pgpass|x509up_u\d+|\.aws/credentials)$")
_ARCHIVES = ((b"PK\x03\x04", 0), (b"ustar", 257), (b"7z\xbc\xaf\x27\x1c", 0), (b"Rar!\x1a\x07", 0))
_TAR_NAMES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tar.zst")


@dataclass
class Contents:
    """What the reading gave."""

    sha256: Dict[str, str] = field(default_factory=dict)
    heads: Dict[str, bytes] = field(default_factory=dict)
    """The first bytes of each file."""
    findings: List[Finding] = field(default_factory=list)


def read_contents(tree: Tree) -> Contents:
    """Read every file once."""
    contents = Contents()
    scan = _Scan(tree)
    with progress_of("reading", sum(entry.status.st_size for entry in tree.files)) as progress:
        for entry in tree.files:
            try:
                scan.read(entry, contents)
            except OSError as error:
                contents.findings.append(Finding("mode-unreadable", entry.path, f"cannot be read: {error.strerror}"))
            progress.add(entry.status.st_size)
    return contents


class _Scan:
    """The patterns for one tree."""

    def __init__(self, tree: Tree) -> None:
        self._root = tree.root
        self._paths = path_pattern(own_paths(tree))

    def read(self, entry: Entry, contents: Contents) -> None:
        digest = hashlib.sha256()
        seen = _Seen()
        with (self._root / entry.path).open("rb", buffering=0) as file:
            block = file.read(_BLOCK_BYTES)
            head, seen.is_text = block[:512], b"\0" not in block[:8192]
            before = b""
            while block:
                digest.update(block)
                if entry.path != MANIFEST:
                    self._look(before + block if before else block, seen)
                before = block[-_OVERLAP_BYTES:] if len(block) == _BLOCK_BYTES else b""
                block = file.read(_BLOCK_BYTES)
        contents.sha256[entry.path] = digest.hexdigest()
        contents.heads[entry.path] = head
        contents.findings += self._findings(entry, head, seen)

    def _look(self, block: bytes, seen: _Seen) -> None:
        for found in islice(self._paths.finditer(block) if not seen.own else (), _MOST_PATHS):
            if found.group("own"):
                seen.own = found.group()
                break
            seen.foreign = seen.foreign or found.group()
        if not seen.secret and _KEY in block and seen.is_text:
            seen.secret = _KEY_WORDS
        if not seen.secret and seen.is_text and len(block) <= _TEXT_LIMIT_BYTES:
            seen.secret = next((what for pattern, what in _TOKENS if pattern.search(block)), "")
        if not seen.relative_data and not seen.is_text and b"\0../data" in block:
            seen.relative_data = True

    def _findings(self, entry: Entry, head: bytes, seen: _Seen) -> Iterator[Finding]:
        if seen.own:
            rule = "build-path" if seen.is_text else "build-path-binary"
            yield Finding(rule, entry.path, f"names {seen.own.decode('utf-8', 'replace')}")
        elif seen.foreign:
            is_script = seen.is_text and (head[:2] == b"#!" or bool(entry.permissions & 0o111))
            yield Finding(
                "build-path" if is_script else "foreign-path",
                entry.path,
                f"names {seen.foreign.decode('utf-8', 'replace')}",
            )
        if _SECRET_NAMES.search(entry.path):
            yield Finding("secret", entry.path, "has the name of a credential")
        elif seen.secret:
            yield Finding("secret", entry.path, f"holds {seen.secret}")
        if seen.relative_data and is_elf(head):
            yield Finding("elf-relative-data", entry.path, "names ../data")
        if entry.path.endswith(_TAR_NAMES) or any(head[at : at + len(mark)] == mark for mark, at in _ARCHIVES):
            yield Finding("archive-inside", entry.path, "an archive")
        if head[:2] == b"#!":
            yield from shebang_findings(entry, head)


@dataclass
class _Seen:
    """The first of each kind in one file."""

    is_text: bool = False
    own: bytes = b""
    foreign: bytes = b""
    secret: str = ""
    relative_data: bool = False


_WORKER_FOLDERS = ("/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/")


def shebang_findings(entry: Entry, head: bytes) -> Iterator[Finding]:
    """Whether the first line of a script names an interpreter that workers have."""
    line = head.split(b"\n", 1)[0][2:]
    if line.endswith(b"\r"):
        yield Finding("shebang", entry.path, "its first line ends in a carriage return")
        return
    words = line.decode("utf-8", "replace").split() or [""]
    if not words[0].startswith(_WORKER_FOLDERS):
        if entry.permissions & 0o111:
            yield Finding("shebang", entry.path, f"starts with '{words[0] or 'nothing'}'")
    elif words[0].endswith(("/python", "/python2", "/python2.7")) or words[1:2] in (["python"], ["python2"]):
        yield Finding("shebang-python", entry.path, f"starts with '{' '.join(words)}'")
    if not entry.permissions & 0o111 and entry.path.startswith("bin/"):
        yield Finding("mode-not-executable", entry.path, "a script in bin/ that cannot be started")


def own_paths(tree: Tree) -> Tuple[str, ...]:
    """Folders of this machine that no published file may name: the tree, the account's home, what the site lists."""
    root = os.path.realpath(tree.root)
    home = pwd.getpwuid(os.getuid()).pw_dir
    paths = {root, str(Path(tree.root).absolute()), str(default_workshop()), *tree.demands.build_paths}
    if home.count("/") > 1:  # /root stands in too many texts to mean this one
        paths.add(home)
    return tuple(sorted(path.rstrip("/") for path in paths if path.rstrip("/")))


def path_pattern(own: Tuple[str, ...]) -> Pattern[bytes]:
    """One pattern for our own folders and for those that no worker has: it begins with `/`, which lets `re` skip."""
    inner = b"|".join(re.escape(os.fsencode(path[1:])) for path in own)
    mine = b"(?P<own>(?:" + inner + rb")(?=[/\s\"':;,)\0]|$)[\w./+-]{0,80})"
    return re.compile(b"/(?:" + mine + b"|" + _FOREIGN + b")")
