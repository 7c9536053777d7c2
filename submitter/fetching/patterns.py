"""Which files a pattern means. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from submitter.listing import RemoteFile
from submitter.troubles import IodError, Trouble

_GLOB = re.compile(r"[*?\[]")


def matcher(pattern: str | None) -> Callable[[RemoteFile], bool]:
    """Says of a file whether it is meant.

    A glob such as `*E000*` is held against file names, one with a slash (`v4406/*`) against `v<visit>/<file>`; a plain
    word (`R22_S11`, `v4406`) means all that have it in there. Raises `IodError` USAGE for what leads outside.
    """
    if pattern is None:
        return lambda _: True
    if not pattern or pattern.startswith(("/", "~")) or ".." in pattern.split("/") or "\0" in pattern:
        raise IodError(Trouble.USAGE, f"PATTERN '{pattern}' leads outside the job; it is for names such as '*E000*'")
    text = pattern.removeprefix("./")
    if not _GLOB.search(text):
        return lambda file: text in file.path
    if "/" in text:
        return lambda file: fnmatch.fnmatchcase(file.path, text)
    return lambda file: fnmatch.fnmatchcase(file.name, text)
