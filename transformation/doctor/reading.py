"""What a check is told, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import msgspec

from site_configs.gaps import Gap
from site_configs.schema import Site


class Verdict(StrEnum):
    """How a check ends, best first."""

    OK = "ok"
    WARN = "warn"
    """Jobs run, and somebody should look."""
    BAD = "bad"
    """Jobs fail here."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    verdict: Verdict
    found: str
    """One sentence."""
    action: str = ""
    """What to do about it; empty if all is well."""
    facts: dict[str, str | int | float | bool | None] = {}
    """The figures behind it, with their units in their names."""


def ok(found: str, **facts: str | float | bool | None) -> Reading:
    """All is well."""
    return Reading(verdict=Verdict.OK, found=found, facts=facts)


def warn(found: str, action: str, **facts: str | float | bool | None) -> Reading:
    """Jobs run, and somebody should look."""
    return Reading(verdict=Verdict.WARN, found=found, action=action, facts=facts)


def bad(found: str, action: str, **facts: str | float | bool | None) -> Reading:
    """Jobs fail here."""
    return Reading(verdict=Verdict.BAD, found=found, action=action, facts=facts)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What a check looks at."""

    site: Site
    """With stand-ins for what the site has to set."""
    file: Path
    gaps: tuple[Gap, ...]
    subject: str
    """Which repository, release, location, ...; empty where there is one only."""
    workdir: Path
    short: bool
    """Leave out what takes time or makes work for others."""
    note: Callable[[str], None]
    """Tell what went wrong so far, in case the time runs out."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to look at."""

    name: str
    subject: str
    look: Callable[[Case], Reading]
    limit_s: float
    """When it is given up."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A check and what it found, as `lsst-trf doctor --json` prints it."""

    name: str
    subject: str
    verdict: Verdict
    found: str
    action: str
    wall_s: float
    facts: dict[str, str | int | float | bool | None]
