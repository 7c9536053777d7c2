"""Registers committed units beside everything else, many in one call; a catalog that hangs holds nobody up.

Units wait here until enough are together, or the first has waited long enough, or the job ends. What is not registered
when nobody waits any more is not lost: the records stand in the manifests, and a later attempt or `lsst-trf register`
replays them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from transformation.model.failures import Failed, Failure
from transformation.ports import Catalog
from transformation.register import Look, Registration, look_nowhere, register_units
from transformation.standing import Sealed

_UNITS_AT_ONCE = 18
"""A raft in two exposures: 306 images in one call."""
_AFTER_FAILURE_S = 60.0
"""How long a catalog that failed is left alone, unless the job ends."""


class Registrar:
    """One thread that registers; safe for threads.

    A unit waits at most `gather_s` for others. `tell` hears of every call, in that thread.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        gather_s: float,
        tell: Callable[[Registration], None],
        look: Look = look_nowhere,
    ) -> None:
        self._catalog = catalog
        self._gather_s = gather_s
        self._tell = tell
        self._look = look
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._waiting: dict[str, tuple[Sealed, float]] = {}
        """By unit id, with the time since when."""
        self._ending = self._closed = False
        self._not_before_s = 0.0
        self._calls = 0
        self._tried_at_end = False
        self._pending: Failed | None = None
        self._refused: Failed | None = None
        self._bug: Exception | None = None

    def add(self, unit: Sealed) -> None:
        """Take a committed unit; returns at once."""
        with self._changed:
            self._waiting[unit.manifest.unit] = unit, time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="registrar", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def finish(self, patience_s: float) -> Failed | None:
        """Register all that waits; why something is not registered, None if all is.

        Gives up when the catalog fails once more or nothing has happened for the patience. Raises what the thread
        raised, which is a bug.
        """
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            while not self._over():
                if not self._changed.wait_for(partial(self._moved, self._calls), patience_s):
                    break
            self._closed = True
            if self._bug is not None:
                raise self._bug
            if not self._waiting:
                return self._refused
            if self._tried_at_end and self._pending is not None:
                return self._pending
            detail = f"{self._catalog.place} has not answered in {patience_s:.0f} s; {len(self._waiting)} units wait"
            return Failed(failure=Failure.REGISTRATION_PENDING, detail=detail)

    def _over(self) -> bool:
        return not self._waiting or self._tried_at_end or self._bug is not None

    def _moved(self, calls: int) -> bool:
        return self._over() or self._calls != calls

    def _serve(self) -> None:
        try:
            while True:
                units, at_end = self._next_batch()
                self._settle(register_units(self._catalog, units, self._look), at_end=at_end)
        except Exception as error:  # noqa: BLE001 - `finish` raises it again
            with self._changed:
                self._bug = error
                self._changed.notify_all()

    def _next_batch(self) -> tuple[list[Sealed], bool]:
        """The units that are due, once some are."""
        with self._changed:
            while (wait_s := self._due_in_s()) is None or wait_s > 0:
                self._changed.wait(wait_s)
            units = [unit for unit, _ in self._waiting.values()]
            return units[:_UNITS_AT_ONCE], self._ending

    def _due_in_s(self) -> float | None:
        """Seconds until a call is due; None if none is in sight."""
        if not self._waiting or self._closed or self._tried_at_end:
            return None
        if self._ending:
            return 0.0
        now = time.monotonic()
        oldest_s = min(since for _, since in self._waiting.values())
        gathered_s = now if len(self._waiting) >= _UNITS_AT_ONCE else oldest_s + self._gather_s
        return max(gathered_s, self._not_before_s) - now

    def _settle(self, registration: Registration, *, at_end: bool) -> None:
        with self._changed:
            if self._closed:
                return
            self._tell(registration)
            elsewhere = (unit for unit, _ in registration.elsewhere)
            for unit in (*registration.done, *elsewhere, *registration.refused):
                self._waiting.pop(unit.manifest.unit, None)
            self._refused = registration.conflict or self._refused
            if registration.pending is not None:
                self._pending = registration.pending
                self._not_before_s = time.monotonic() + _AFTER_FAILURE_S
                self._tried_at_end = at_end
            self._calls += 1
            self._changed.notify_all()
