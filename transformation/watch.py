"""Watches the simulators at work: how far each unit is, how long the job will take, and that something moves at all.

The work folder gets a fresh time stamp, by `progress.json`, when and only when some simulator has used CPU time: the
PanDA pilot ends a job whose folder is quiet for two hours, and is right to do so (panda-pilot 3, looping jobs).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from transformation.journal import Journal, to_json, utc_now
from transformation.ledger import Ledger
from transformation.model.report import ProgressReport
from transformation.model.work import Batch, Unit
from transformation.process import Processes
from transformation.progress import Meter, Weights, weights_of
from transformation.set_up import ReadyVisit
from transformation.workdir import WorkDir, write_whole

_TICK_S = 1.0
_NOTE_S = 600.0
"""Between two notes in the journal."""
_LEAST_STEP = 0.002
"""A smaller change is not worth telling."""


class Watch:
    """Of all units of a job."""

    def __init__(
        self, workdir: WorkDir, ledger: Ledger, journal: Journal, processes: Processes, *, hands: int,
        lengths_s: Mapping[str, float],
    ) -> None:  # fmt: skip
        """`lengths_s`: the CPU-seconds expected of each unit that is to be made."""
        self._workdir = workdir
        self._ledger = ledger
        self._journal = journal
        self._processes = processes
        self._hands = hands
        self._lengths_s = lengths_s
        self._lock = threading.Lock()
        self._meters: dict[str, tuple[Meter, int]] = {}
        self._next_tick = self._next_note = time.monotonic() + _TICK_S
        self._pulse = processes.pulse

    @contextmanager
    def over(self, ready: ReadyVisit, batch: Batch, number: int) -> Iterator[Meter]:
        """A meter for one attempt at a batch, looked at until the block ends."""
        meter = Meter(n_exposures=len(batch.units), weigh=partial(_weigh, ready, batch, number))
        with self._lock:
            self._meters |= {unit.id: (meter, place) for place, unit in enumerate(batch.units)}
        try:
            yield meter
        finally:
            with self._lock:
                for unit in batch.units:
                    del self._meters[unit.id]

    def tick(self) -> None:
        """Tell how far the units are, about once a second."""
        now = time.monotonic()
        if now < self._next_tick:
            return
        self._next_tick = now + _TICK_S
        with self._lock:
            shown = {unit: meter.progress(place) for unit, (meter, place) in self._meters.items()}
        self._ledger.progress(shown, least_step=_LEAST_STEP)
        self._ledger.whole = self._whole(shown)
        if self._processes.pulse != self._pulse:
            self._pulse = self._processes.pulse
            self._stamp()
            if now >= self._next_note:
                self._next_note = now + _NOTE_S
                self._journal.write("progress", progress=self._ledger.whole.progress, eta_s=self._ledger.whole.eta_s)

    def _stamp(self) -> None:
        with suppress(OSError):  # a full disk must not end a job that goes on well
            write_whole(self._workdir.progress, to_json(self._ledger.whole) + b"\n")

    def _whole(self, shown: Mapping[str, tuple[float, float | None]]) -> ProgressReport:
        """The job's part done, by the CPU-seconds expected of its units, and the wall seconds left."""
        total = sum(self._lengths_s.values())
        stretch = self._ledger.stretch(self._lengths_s)
        done, left_s, longest_s = 0.0, 0.0, 0.0
        for unit, length_s in self._lengths_s.items():
            if self._ledger.is_over(unit):
                done += length_s
                continue
            fraction, unit_left_s = shown.get(unit, (0.0, None))
            expected_s = (1.0 - fraction) * length_s * stretch if unit_left_s is None else unit_left_s
            done += fraction * length_s
            left_s += expected_s
            longest_s = max(longest_s, expected_s)
        return ProgressReport(
            progress=round(done / total, 4) if total else None,
            eta_s=round(max(longest_s, left_s / self._hands), 1),
            renewed=utc_now(),
        )


def _weigh(ready: ReadyVisit, batch: Batch, number: int, exposure: int) -> Weights:
    trimmed = ready.jobs.trimmed_in_run(batch.sensor, ready.folder.attempt(batch, number))
    unit: Unit = batch.units[min(exposure, len(batch.units) - 1)]
    with trimmed.open(encoding="utf-8", errors="replace") as lines:
        return weights_of(lines, has_sky=ready.staged.facts.has_sky, exposure_s=unit.exposure_s)
