"""What is done differently after a failed attempt, and when no further one is made. Pure.

A failure is answered only by a correction that is meant for it; each is capped, and recorded in the report with the
attempt that it led to. Where the table has no HERE, nothing is tried again: nobody knows that it would help.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from transformation.model.failures import Failed, Failure, Remedy

MEMORY_HEADROOM = 1.25
"""Over what a process had taken when it was ended for it."""
_MOST_TRIES = {Failure.OUTPUT_GROWS: 2}
"""What the same seed will most likely do again is tried once more, in case it was the node."""


class Correction(StrEnum):
    """What is different about an attempt."""

    AGAIN = "again"
    """Nothing but a fresh folder: most of what goes wrong on a node passes."""
    ALONE = "alone"
    """With no other simulator process beside it."""


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a failed attempt."""

    alone: bool
    """No other simulator process ran, by decision or when it was ended."""
    disk: bool = False
    """It was the disk that had no more room, not the job's share of it."""
    max_rss_bytes: int = 0


def settle(failed: Failed, attempted: Attempted) -> Failed:
    """The same failure, or, where a unit had everything to itself, that it needs more than there is."""
    if not attempted.alone:
        return failed
    match failed.failure:
        case Failure.OUT_OF_MEMORY:
            needed_mb = attempted.max_rss_bytes * MEMORY_HEADROOM / 1e6
            detail = f"{failed.detail}; nothing else ran: ask for more than {needed_mb:,.0f} MB"
            return Failed(failure=Failure.MEMORY_SHORT, detail=detail)
        case Failure.SCRATCH_LOW:
            detail = f"{failed.detail}; nothing else ran"
            return Failed(failure=Failure.DISK_FULL if attempted.disk else Failure.SCRATCH_SHORT, detail=detail)
        case _:
            return failed


def correct(failure: Failure, *, number: int, most: int, alone: bool) -> Correction | None:
    """How to try again after attempt `number` of at most `most`; None if no further attempt can help here.

    `alone`: the attempt already ran alone.
    """
    if failure.remedy is not Remedy.HERE or number >= min(most, _MOST_TRIES.get(failure, most)):
        return None
    if alone or failure in {Failure.OUT_OF_MEMORY, Failure.SCRATCH_LOW}:
        return Correction.ALONE
    return Correction.AGAIN
