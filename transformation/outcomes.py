"""What goes into the commit of a unit besides its files, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from transformation.model.failures import Failed, Failure
from transformation.model.manifest import Measured, UnitManifest
from transformation.model.work import Unit
from transformation.standing import Sealed


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest says besides the files: which request is answered, by which attempt, at what cost."""

    digest: str
    """sha256 of the request, 64 hex digits."""
    attempt: int
    request: Mapping[str, object] = msgspec.field(default_factory=dict)
    metadata: Mapping[str, str | int] = msgspec.field(default_factory=dict)
    """release, PanDA ids; job and user are added from the place."""
    notes: tuple[str, ...] = ()
    measured: Measured = msgspec.field(default_factory=Measured)


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One upload of one file."""

    name: str
    """Final name of the file."""
    url: str
    size_bytes: int
    wall_s: float
    failed: Failed | None = None
    """What went wrong; None if the storage holds what was sent."""

    @property
    def problem(self) -> str:
        """The same in one sentence; empty if nothing."""
        return self.failed.detail if self.failed else ""


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """The files of this attempt are the unit's."""

    sealed: Sealed

    @property
    def manifest(self) -> UnitManifest:
        """What stands."""
        return self.sealed.manifest


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """Another attempt at the same request was faster: its files are the unit's, ours are gone."""

    sealed: Sealed

    @property
    def manifest(self) -> UnitManifest:
        """What stands."""
        return self.sealed.manifest


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """The unit belongs to another destination: nothing of ours is left here."""

    address: str


Outcome = Committed | Adopted | Elsewhere | Failed


def conflict(unit: Unit, *, found: str, wanted: str) -> Failed:
    """Images of another request stand under this job's name."""
    detail = f"{unit.id}: the images there answer request {found}, this job is request {wanted}"
    return Failed(failure=Failure.REQUEST_CONFLICT, detail=detail)
