"""Is there room at the destinations for what a job is going to store? Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from transformation.model.failures import Failed, Failure


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Room at one destination."""

    address: str
    free_bytes: int | None
    """None where nobody can say."""


class RoomFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about it."""

    full: tuple[Failed | None, ...]
    """One per destination: why it is passed over from the start."""
    failed: Failed | None
    """There is no room anywhere."""
    warnings: tuple[str, ...]


def check_room(rooms: Sequence[Room], *, needed_bytes: int, largest_bytes: int) -> RoomFindings:
    """Whether so many bytes in all, and the largest unit, will fit.

    A destination that cannot hold the largest unit is passed over. The job may not start if all of them together are
    too small, all of them being known.
    """
    full = tuple(_full(room, largest_bytes) for room in rooms)
    open_rooms = [room for room, failed in zip(rooms, full, strict=True) if failed is None]
    known = [room.free_bytes for room in open_rooms if room.free_bytes is not None]
    unknown = [room.address for room in open_rooms if room.free_bytes is None]
    failed = None
    if not unknown and sum(known) < needed_bytes:
        held = ", ".join(f"{room.address} has {_mb(room.free_bytes or 0)} free" for room in rooms)
        failed = Failed(failure=Failure.STORAGE_FULL, detail=f"the images will take {_mb(needed_bytes)}; {held}")
    warnings = [f"{address} does not say how much room it has" for address in unknown]
    if failed is None and not unknown and len(rooms) > 1 and known[0] < needed_bytes:
        first = f"{open_rooms[0].address} has {_mb(known[0])} free for {_mb(needed_bytes)}"
        warnings.append(f"{first}: the rest will go to the next destination")
    return RoomFindings(full=full, failed=failed, warnings=tuple(warnings))


def _full(room: Room, largest_bytes: int) -> Failed | None:
    if room.free_bytes is None or room.free_bytes >= largest_bytes:
        return None
    detail = f"{room.address} has {_mb(room.free_bytes)} free, one unit takes {_mb(largest_bytes)}"
    return Failed(failure=Failure.STORAGE_FULL, detail=detail)


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
