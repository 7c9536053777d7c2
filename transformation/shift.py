"""Looks after the units at work until all are over or the worker has nothing more to give: slot, disk, good sense."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from transformation.journal import Journal
from transformation.limits import EndedBy
from transformation.model.failures import Failure, JobError
from transformation.process import Processes
from transformation.reporting import Reporter
from transformation.run_units import UnitLoop, VisitWork
from transformation.slot import Clocks, Slot, clock_jump_s
from transformation.status import span
from transformation.watch import Watch

_TICK_S = 0.05
_LOOK_S = 1.0
_PATIENCE_S = 60.0
"""For hands that have nothing left to do."""
_PATIENCE_IN_HASTE_S = 1.0
_SHORT_OF = {EndedBy.DISK: Failure.DISK_FULL, EndedBy.SCRATCH: Failure.SCRATCH_SHORT}


class Shift(msgspec.Struct, kw_only=True):
    """Everything that is looked at while units are made."""

    loop: UnitLoop
    watch: Watch
    reporter: Reporter
    journal: Journal
    processes: Processes
    slot: Slot | None
    clocks: Callable[[], Clocks]
    _next_look: float = 0.0
    _held: bool = False
    _n_running: int = 0

    def work(self, visits: Sequence[VisitWork]) -> None:
        """Until nothing is under way any more. Raises `JobError` for what ends the job before its units are done:
        DEADLINE, BAD_WORKER, DISK_FULL or SCRATCH_SHORT."""
        patience_s = _PATIENCE_S
        before = self.clocks()
        try:
            self._hold_if_short()
            self.loop.begin(visits)
            while not self.loop.idle:
                time.sleep(_TICK_S)
                self.watch.tick()
                self.reporter.tick()
                self._check_worker()
                if time.monotonic() >= self._next_look:
                    self._next_look = time.monotonic() + _LOOK_S
                    before = self._look(before)
                elif self._held and self.processes.supervisor.n_running < self._n_running:
                    # A process that has ended has made room: who waits for it is not to wait for the next look.
                    self._hold_if_short()
            self._check_worker()
            self._account_for_left()
        except BaseException:
            self.loop.stop()
            patience_s = _PATIENCE_IN_HASTE_S
            raise
        finally:
            self.loop.end(patience_s)

    def _check_worker(self) -> None:
        if (bad := self.loop.bad_worker()) is not None:
            raise JobError(bad.failure, bad.detail)

    def _look(self, before: Clocks) -> Clocks:
        now = self.clocks()
        if jump_s := clock_jump_s(before, now):
            self.journal.write("clock_jump", seconds=round(jump_s, 1))
        if self.slot is not None and self.slot.left_s(now.boot_s) <= 0.0:
            raise JobError(Failure.DEADLINE, f"the slot ends now ({self.slot.said_by}); what is committed stays")
        self._hold_if_short()
        return now

    def _hold_if_short(self) -> None:
        """Begin nothing that the disk or the memory has no room for; give up if nothing can make room any more."""
        self._n_running = self.processes.supervisor.n_running
        short_of = self.processes.supervisor.reason_to_wait()
        self._held = short_of is not None
        self.loop.hold(self._held)
        if short_of in _SHORT_OF and self.loop.is_stuck:
            raise JobError(_SHORT_OF[short_of], f"no further unit fits: {self.processes.supervisor.scratch_in_words()}")

    def _account_for_left(self) -> None:
        left = self.loop.left
        if left and self.slot is not None:
            shortest_s, remains_s = min(left.values()), self.slot.left_s(self.clocks().boot_s)
            raise JobError(
                Failure.DEADLINE,
                f"{len(left)} units were not begun: the shortest is expected to take {span(shortest_s)}, the slot lasts"
                f" {span(remains_s)} more ({self.slot.said_by})",
            )
