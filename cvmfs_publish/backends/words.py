"""What `cvmfs_server` says, as values. Seen with CernVM-FS 2.12.0; messages come on stdout or stderr, as it likes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Optional, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import Finished

_ROW = re.compile(r"^(\S+) \((stratum[01]) / ([^)]*)\)")
_TAG = re.compile(r"^(\S+) ([0-9a-f]{40}\S*) (\d+) (\d+) (\d+) \(([^)]*)\) ?(.*)$")
_DAYS = re.compile(r"[Ww]hitelist is valid for another (-?\d+) days?")

CODE_BUSY = 17
CODE_WHITELIST = 5
TRUNK = "trunk"


@dataclass(frozen=True)
class State:
    """A row of `cvmfs_server list`."""

    is_stratum0: bool
    in_transaction: bool
    whitelist_expired: bool
    whitelist_unreachable: bool
    """The web server does not give it: then no transaction opens."""
    text: str
    """What stands in the brackets."""


@dataclass(frozen=True)
class Tag:
    """A row of `cvmfs_server tag -l -x`."""

    name: str
    root_hash: str
    revision: int
    description: str

    @property
    def is_head(self) -> bool:
        """`trunk` and `trunk-previous` move with every publish."""
        return self.name in (TRUNK, f"{TRUNK}-previous")


def state_in(listing: str, repository: str) -> Optional[State]:
    """The state of a repository in what `cvmfs_server list` printed; None if it is not there."""
    for line in listing.splitlines():
        row = _ROW.match(line.strip())
        if row and row.group(1) == repository:
            text = row.group(3).strip()
            return State(
                is_stratum0=row.group(2) == "stratum0",
                in_transaction="in transaction" in text,
                whitelist_expired="whitelist expired" in text,
                whitelist_unreachable="whitelist unreachable" in text,
                text=text,
            )
    return None


def tags_in(listing: str) -> List[Tag]:
    """The tags that `cvmfs_server tag -l -x` printed."""
    rows = (_TAG.match(line.rstrip()) for line in listing.splitlines())
    return [Tag(row.group(1), row.group(2), int(row.group(4)), row.group(7)) for row in rows if row]


def whitelist_days_in(information: str) -> Optional[int]:
    """The days in what `cvmfs_server info` printed; None if it does not say."""
    found = _DAYS.search(information)
    return int(found.group(1)) if found else None


_MEANINGS: Tuple[Tuple[str, Exit], ...] = (
    ("another transaction is already open", Exit.BUSY),
    ("already in a transaction", Exit.BUSY),
    ("cannot load whitelist", Exit.WHITELIST_EXPIRED),
    ("whitelist expired", Exit.WHITELIST_EXPIRED),
    ("No write permission", Exit.DENIED),
    ("Unable to find the configuration file", Exit.REPOSITORY_UNKNOWN),
    ("is already in use", Exit.TAG_IN_USE),
    ("Spaces are not allowed in tag names", Exit.USAGE),
    ("is not in a transaction", Exit.REPOSITORY_BROKEN),
    ("No space left on device", Exit.DISK_SHORT),
)
_CODES = {CODE_BUSY: Exit.BUSY, CODE_WHITELIST: Exit.WHITELIST_EXPIRED}


def explain(finished: Finished, otherwise: Exit = Exit.PUBLISH_FAILED) -> KitError:
    """What a failed call means: by its message, then by its exit code."""
    text = f"{finished.err}\n{finished.out}"
    exit_ = next((meaning for words, meaning in _MEANINGS if words in text), None)
    if exit_ is None:
        exit_ = _CODES.get(finished.code, otherwise)
    step = " ".join(finished.command[:2])
    return KitError(exit_, f"`{step}` ended with {finished.code}: {_telling_line(text) or finished.said}")


_TELLING = re.compile(r"error|fail|cannot|unable|not |denied|in use|already|expired|impossible|limit", re.IGNORECASE)
_EMPTY = re.compile(r"^/usr/bin/cvmfs_server: \d+: eval: ")
"""Printed by every `ingest` that is not run by root; means nothing (2.12)."""


def _telling_line(text: str) -> str:
    """The first line that says what is wrong: the last one is often the command that was run."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if _TELLING.search(line) and not _EMPTY.match(line)), "")
