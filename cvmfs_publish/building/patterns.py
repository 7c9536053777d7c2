"""Patterns of paths, as recipes use them: `*` within a name, `**` across folders; a folder's name means all in it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Iterable, Pattern

_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether any of the patterns covers the path."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@lru_cache(maxsize=None)
def _compiled(pattern: str) -> Pattern[str]:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.rstrip("/"))
    return re.compile("".join(_MEANING.get(piece, re.escape(piece)) for piece in pieces) + "(?:/.*)?", re.DOTALL)
