"""How far a raytrace is, from the classes of light that it has done, weighted by the photons expected of each.

Bright objects come last and take nearly all photons: two thirds of the lines may be a thousandth of the work. So the
weight of an object is its photons (2.5 times as many a magnitude), and sky, moon and dome together are one weight.
Within a class, CPU time fills the gap, at the speed of the classes before it.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate

import msgspec

from transformation.simulator.band_table import Band, BandTable, Heading

_OBJECT_S = 0.78
"""CPU-seconds of a star of magnitude 20 in 15 s: 507,967 photons at 650,000 a second (PhoSim 3.4)."""
_SKY_S = 640.0
"""CPU-seconds of the dark sky in 15 s with quickbackground (PhoSim 3.4)."""
_MOST_WITHIN_A_CLASS = 0.9
"""Of what remains, before a line proves it done."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What the classes of one exposure weigh, in CPU-seconds of PhoSim 3.4: only ratios count."""

    surface: float
    """Sky, moon and dome."""
    objects: array[float]
    """Sums from the faintest object up to each brighter one."""
    magnitudes: array[float] = msgspec.field(default_factory=lambda: array("d"))
    """Of the objects, the faintest first."""

    @property
    def total(self) -> float:
        """Of all classes."""
        return self.surface + (self.objects[-1] if self.objects else 0.0)

    def up_to(self, n_objects: int) -> float:
        """Of the surface and the faintest so many objects."""
        at = min(n_objects, len(self.objects))
        return self.surface + (self.objects[at - 1] if at else 0.0)

    def n_fainter(self, magnitude: float) -> int:
        """How many objects are fainter than that."""
        return bisect_left(self.magnitudes, -magnitude, key=lambda one: -one)


def weights_of(trimmed: Iterable[str], *, has_sky: bool, exposure_s: float) -> Weights:
    """From the lines of a sensor's trimmed catalog."""
    share = exposure_s / 15.0
    faintest_first = sorted(
        (float(line.split(None, 5)[4]) for line in trimmed if line.startswith("object ")), reverse=True
    )
    each = (_OBJECT_S * share * 10.0 ** (-0.4 * (magnitude - 20.0)) for magnitude in faintest_first)
    return Weights(
        surface=_SKY_S * share if has_sky else 0.0,
        objects=array("d", accumulate(each)),
        magnitudes=array("d", faintest_first),
    )


class _Exposure(msgspec.Struct, kw_only=True):
    """One table of classes."""

    weights: Weights
    n_objects: int = 0
    """Done, the faintest first."""
    done: float = 0.0
    """Weight of the classes done."""
    before: float = 0.0
    """Weight of what was done before this run: it goes on after a checkpoint."""
    seconds: float = 0.0
    """That the classes of this run took, as raytrace says."""
    cpu_s_at_line: float | None = None
    """CPU time of the process at its first sign after the last line."""
    fraction: float = 0.0

    def finish(self, band: Band) -> None:
        self.seconds += band.seconds
        self.cpu_s_at_line = None
        if band.magnitude is not None:
            if self.done == 0.0:
                self._resume_at(band.magnitude)
            self.n_objects += band.n_sources
            self.done = self.weights.up_to(self.n_objects)
            self._show(0.0)

    def _resume_at(self, magnitude: float) -> None:
        """Classes come from faint to bright, so whatever is surely fainter than the first one is done already."""
        self.n_objects = self.weights.n_fainter(magnitude + 1.0)
        if self.n_objects:
            self.before = self.weights.up_to(self.n_objects)

    def work(self, cpu_s: float) -> None:
        if self.cpu_s_at_line is None:
            self.cpu_s_at_line = cpu_s
        self._show((cpu_s - self.cpu_s_at_line) / self.rate)

    def _show(self, within: float) -> None:
        total = self.weights.total
        if total > 0.0:
            within = min(within, _MOST_WITHIN_A_CLASS * (total - self.done))
            self.fraction = max(self.fraction, min(1.0, (self.done + within) / total))

    @property
    def rate(self) -> float:
        """Seconds that a unit of weight takes; 1 until it is known."""
        made = self.done - self.before
        return self.seconds / made if made > 0.0 and self.seconds > 0.0 else 1.0

    @property
    def left_s(self) -> float:
        return (1.0 - self.fraction) * self.weights.total * self.rate


class Meter(msgspec.Struct, kw_only=True):
    """Observes one run of a simulator, which makes one exposure or several, one after the other. Safe for threads."""

    n_exposures: int
    weigh: Callable[[int], Weights]
    """Weights of an exposure, asked for when its table begins. Raises `OSError` or `ValueError` if they are unknown."""
    _table: BandTable = msgspec.field(default_factory=BandTable)
    _exposures: list[_Exposure] = msgspec.field(default_factory=list)
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def printed(self, text: bytes) -> None:
        """A piece of raytrace's output."""
        with self._lock:
            for item in self._table.feed(text):
                match item:
                    case Heading():
                        self._begin()
                    case Band() if self._exposures:
                        self._exposures[-1].finish(item)
                    case _:
                        pass

    def used(self, cpu_s: float) -> None:
        """CPU seconds so far."""
        with self._lock:
            if self._exposures:
                self._exposures[-1].work(cpu_s)

    def progress(self, number: int) -> tuple[float, float | None]:
        """Part done of the exposure of that place in the run, 0 to 1 and never falling, and the CPU-seconds left."""
        with self._lock:
            if number >= len(self._exposures):
                return 0.0, None
            if number < len(self._exposures) - 1:
                return 1.0, 0.0
            one = self._exposures[number]
            return one.fraction, one.left_s

    def _begin(self) -> None:
        if len(self._exposures) == self.n_exposures:
            return  # another segment of the same exposure
        if self._exposures:
            self._exposures[-1].fraction = 1.0
        try:
            weights = self.weigh(len(self._exposures))
        except (OSError, ValueError, IndexError):  # no catalog to weigh by: nothing is shown
            weights = Weights(surface=0.0, objects=array("d"))
        self._exposures.append(_Exposure(weights=weights))
