"""Notice a worker that fails everything at once, so that it does not burn three attempts of every unit. Pure.

A node with a broken disk, library or mount fails each unit within seconds, takes the next, and so on through the whole
queue ("black hole"; gwastro/pycbc#763, glideinWMS/glideinwms#331). One unit that fails proves nothing, nor does one
that succeeds at its second attempt: so several units must have failed in the same quick way, one of them twice, and
none may have succeeded.
"""

from __future__ import annotations

import threading

import msgspec

from transformation.model.failures import Failed, Failure, Remedy

N_UNITS = 3
"""So many different units, ..."""
QUICK_S = 10.0
"""... each of them over so soon: a raytrace of PhoSim reads its tables for half a minute before it does anything."""
_OWN_CURE = frozenset({Failure.OUT_OF_MEMORY, Failure.SCRATCH_LOW, Failure.TERMINATED})
"""Failures that come from running side by side, or from us."""


class BlackHole(msgspec.Struct, kw_only=True):
    """What is known of this worker so far. Safe for threads."""

    _good: bool = False
    _failed: dict[Failure, dict[str, int]] = msgspec.field(default_factory=dict)
    """Quick failures of each unit, by row."""
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def succeeded(self) -> None:
        """A unit was made: the worker works."""
        with self._lock:
            self._good = True

    def failed(self, unit_id: str, failure: Failure, *, wall_s: float) -> None:
        """An attempt at a unit failed after so long."""
        if failure.remedy is Remedy.HERE and failure not in _OWN_CURE and wall_s <= QUICK_S:
            with self._lock:
                units = self._failed.setdefault(failure, {})
                units[unit_id] = units.get(unit_id, 0) + 1

    def verdict(self) -> Failed | None:
        """Why the job should go elsewhere; None as long as nothing is proven."""
        with self._lock:
            if self._good:
                return None
            for failure, units in self._failed.items():
                if len(units) >= N_UNITS and max(units.values()) > 1:
                    detail = f"the first {len(units)} units all ended with {failure.name} within {QUICK_S:.0f} s,"
                    return Failed(failure=Failure.BAD_WORKER, detail=f"{detail} also when tried again")
        return None
