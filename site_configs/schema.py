"""What a site file may say.

Every key has a default in `sites/defaults.toml`; a site file names only what differs. The classes are the one source of
the schema: run-time decoding, the checks and the exported JSON Schema all come from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class Releases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where simulator releases are."""

    roots: list[str] = []
    """Folders searched in order; `IOD_RELEASES` replaces them. `~` and `$PACKAGE` (this checkout) are filled in."""
    default: str | None = None
    """Release used when a job names none."""


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where images go when a job names no destination."""

    bases: list[str] = []
    """Ordered; empty = the job's work folder."""


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where images are registered."""

    kind: Literal["sqlite", "none"] = "sqlite"
    """`none`: images are committed but registered nowhere."""
    path: str | None = None
    """SQLite file; empty = `catalog.sqlite` under the job's output base."""


class Worker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job may use of a worker."""

    cores: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Most cores that a job may use."""
    memory_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Most memory that a job may use."""
    scratch: str | None = None
    """Folder for the simulator's work files; empty = inside the work folder. Environment variables are filled in."""
    max_unit_hours: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """Wall limit of one simulator process when the job sets none."""


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site."""

    schema_version: Literal[1] = 1
    name: str
    """Used in reports; the file is called NAME.toml."""
    description: str = ""
    """For people."""
    releases: Releases = Releases()
    storage: Storage = Storage()
    catalog: Catalog = Catalog()
    worker: Worker = Worker()
