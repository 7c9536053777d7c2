"""Which releases may go: a decision from what is published, without doing anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Iterable, List, Optional, Sequence

from cvmfs_publish.config import Retention
from cvmfs_publish.published import Standing

_SINCE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")


@dataclass(frozen=True)
class Due:
    """A release that the policy would let go."""

    standing: Standing
    step: str
    """`deprecate`, `remove`, or `wait` until the announced time is over."""


def kept_because(one: Standing, everything: Iterable[Standing], retention: Retention) -> str:
    """Why a release must stay; empty if it need not."""
    name = one.address.name
    if name in retention.pins:
        return "it is pinned"
    if one.is_current:
        return "it is current"
    for other in everything:
        if other.release is not None and any(needed == name for _, needed in other.release.requires):
            return f"{other.address.name} needs it"
    return ""


def deprecated_since(one: Standing) -> Optional[date]:
    """The day in the note of deprecation; None if there is no note, or no day in it."""
    found = _SINCE.search(one.deprecated)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def days_left(one: Standing, retention: Retention, today: date) -> Optional[int]:
    """Days until a deprecated release may be removed, 0 if it may; None if it is not deprecated."""
    since = deprecated_since(one)
    return None if since is None else max(0, retention.deprecated_days - (today - since).days)


def due(everything: Sequence[Standing], retention: Retention, today: date) -> List[Due]:
    """What the policy lets go: all but the newest few of each simulator, pins, current ones and those in need."""
    found = []
    for _, group in groupby(everything, key=lambda one: one.address.simulator):
        for one in list(group)[: -retention.keep]:
            if not kept_because(one, everything, retention):
                left = days_left(one, retention, today)
                step = "deprecate" if left is None else "wait" if left else "remove"
                found.append(Due(one, step))
    return found
