"""Count what a visit's catalog puts near each sensor: objects, magnitudes, spectra, the brightest. Pure: lines in.

One streaming pass over object lines that were found valid, in bounded memory, in plain Python: a catalog of 1 MB takes
some 20 ms, one of 95 MB about two seconds. That is little beside reading it in, so it runs before anything is
started, and what it shows can stop a unit before CPU is spent; numpy would cost more to import than it saves there.
"""

from __future__ import annotations

import math
from array import array
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

import msgspec

from transformation.model.focal_plane import PIXELS_PER_DEGREE, Pointing, Sensor, projector

SMALLEST_MARGIN_PIXELS = 30.0
MARGIN_AT_20_PIXELS = 20.0
LARGEST_MARGIN_PIXELS = 4000.0
MARGIN_RADII = 8.0
"""How far outside of a sensor an object still counts: the rule of quicksim's `trim`, which grows with brightness and
half-light radius. PhoSim's own margin is not known to us; its counts may differ by what lies between the two."""
ARCSEC_PER_PIXEL = 3600.0 / PIXELS_PER_DEGREE

BINS_PER_MAGNITUDE = 4
CLASSES_PER_DOUBLING = 2
SMALLEST_SIZE_ARCSEC = 0.1
"""Objects are counted by quarters of a magnitude, and by half-light radius in steps of 1.4."""
BRIGHTEST_KEPT = 8
"""Of each sensor."""
MOST_SEDS = 50_000
"""Different spectra that are remembered; a catalog has a few thousand."""

_SPATIAL_WORD = 12
_HALF_LIGHT = {b"sersic2d": 1.0, b"sersic": 1.0, b"gauss": 1.17741}
"""Extended models, and the half-light radius in units of their first parameter (arcsec)."""
_CELL_PIXELS = 512
_CELL_MARGIN_PIXELS = 256.0
"""Objects with a smaller margin are looked up in a grid of cells; the few others are compared with every sensor."""

Kind = tuple[int, int]
"""Magnitude bin and size class; class 0 is a point."""


def magnitude_of(kind: Kind) -> float:
    """The middle of the magnitude bin."""
    return (kind[0] + 0.5) / BINS_PER_MAGNITUDE


def half_light_arcsec(kind: Kind) -> float:
    """The middle of the size class; 0 for points."""
    return 0.0 if kind[1] == 0 else SMALLEST_SIZE_ARCSEC * math.exp2((kind[1] - 0.5) / CLASSES_PER_DOUBLING)


def kind_of(magnitude: float, size_arcsec: float) -> Kind:
    """Where an object is counted."""
    size_class = 0
    if size_arcsec > 0:
        doublings = math.log2(max(size_arcsec / SMALLEST_SIZE_ARCSEC, 1.0))
        size_class = 1 + int(doublings * CLASSES_PER_DOUBLING)
    return math.floor(magnitude * BINS_PER_MAGNITUDE), size_class


def margin_pixels(magnitude: float, size_arcsec: float) -> float:
    """How far outside of a sensor an object still counts."""
    # Whoever is brighter than magnitude 8 has the largest margin; the bound keeps the power finite.
    glare: float = MARGIN_AT_20_PIXELS * 10.0 ** (0.2 * (20.0 - max(magnitude, 8.0)))
    return min(SMALLEST_MARGIN_PIXELS + glare + MARGIN_RADII * size_arcsec / ARCSEC_PER_PIXEL, LARGEST_MARGIN_PIXELS)


class BrightObject(msgspec.Struct, frozen=True, kw_only=True):
    """One of the brightest of a sensor."""

    id: str
    magnitude: float
    size_arcsec: float
    """Half-light radius; 0 for a point."""
    number: int
    """Among the objects of the visit, from 1."""


class SensorCensus(msgspec.Struct, kw_only=True):
    """What a catalog puts near one sensor."""

    kinds: dict[Kind, int] = msgspec.field(default_factory=dict)
    """Objects by magnitude bin and size class: photons follow from these."""
    seds: dict[int, int] = msgspec.field(default_factory=dict)
    """Objects by spectrum, a place in `Census.seds`; -1 is any that is not listed there."""
    brightest: list[BrightObject] = msgspec.field(default_factory=list)
    """The brightest first."""
    bright_limit: float = math.inf
    """Magnitude that the next of these has to beat."""

    @property
    def n_objects(self) -> int:
        """All of them."""
        return sum(self.kinds.values())

    def keep_bright(self, candidate: BrightObject) -> None:
        """Take an object among the brightest."""
        insort(self.brightest, candidate, key=attrgetter("magnitude"))
        del self.brightest[BRIGHTEST_KEPT:]
        if len(self.brightest) == BRIGHTEST_KEPT:
            self.bright_limit = self.brightest[-1].magnitude


class Sed(msgspec.Struct, frozen=True, kw_only=True):
    """A spectrum that objects near the sensors name."""

    name: str
    first: int
    """Number of the first such object among the objects of the visit, from 1."""
    n_objects: int
    """Each counted once, however many sensors it is near."""


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """One visit's objects as its sensors see them."""

    sensors: Mapping[str, SensorCensus]
    seds: tuple[Sed, ...]
    n_unlisted_seds: int
    """Objects whose spectrum came after `MOST_SEDS` others and was not remembered."""


def take_census(lines: Iterable[bytes], pointing: Pointing, sensors: Sequence[Sensor]) -> Census:
    """Count the objects near each of the sensors; `lines` are valid object lines, nothing else."""
    found = {sensor.name: SensorCensus() for sensor in sensors}
    spectra = _Spectra()
    grid = _Grid([_Place.of(sensor, found[sensor.name]) for sensor in sensors])
    place = projector(pointing)
    low_deg, high_deg = pointing.dec_deg - grid.reach_deg, pointing.dec_deg + grid.reach_deg
    for number, line in enumerate(lines, start=1):
        words = line.split(None, _SPATIAL_WORD + 2)
        dec_deg = float(words[3])
        if not low_deg <= dec_deg <= high_deg:
            continue
        at = place(float(words[2]), dec_deg)
        if at is None:
            continue
        magnitude = float(words[4])
        spatial = words[_SPATIAL_WORD]
        size_arcsec = _HALF_LIGHT[spatial] * float(words[_SPATIAL_WORD + 1]) if spatial in _HALF_LIGHT else 0.0
        near = grid.near(*at, margin_pixels(magnitude, size_arcsec))
        if not near:
            continue
        kind, sed = kind_of(magnitude, size_arcsec), spectra.number(words[5], number)
        for census in near:
            kinds, seds = census.kinds, census.seds
            kinds[kind] = kinds.get(kind, 0) + 1
            seds[sed] = seds.get(sed, 0) + 1
            if magnitude < census.bright_limit:
                bright_id = words[1].decode("ascii")
                census.keep_bright(
                    BrightObject(id=bright_id, magnitude=magnitude, size_arcsec=size_arcsec, number=number)
                )
    return Census(sensors=found, seds=tuple(spectra.seds()), n_unlisted_seds=spectra.n_unlisted)


class _Spectra(msgspec.Struct):
    """Numbers for the names of spectra."""

    numbers: dict[bytes, int] = msgspec.field(default_factory=dict)
    firsts: array[int] = msgspec.field(default_factory=lambda: array("q"))
    counts: array[int] = msgspec.field(default_factory=lambda: array("q"))
    n_unlisted: int = 0

    def number(self, name: bytes, object_number: int) -> int:
        """Count an object; the place of its spectrum in the list, -1 if the list is full."""
        known = self.numbers.get(name, -1)
        if known >= 0:
            self.counts[known] += 1
        elif len(self.numbers) < MOST_SEDS:
            known = self.numbers[name] = len(self.numbers)
            self.firsts.append(object_number)
            self.counts.append(1)
        else:
            self.n_unlisted += 1
        return known

    def seds(self) -> Iterator[Sed]:
        """All that are listed, in order of appearance."""
        for name, first, count in zip(self.numbers, self.firsts, self.counts, strict=True):
            yield Sed(name=name.decode("ascii"), first=first, n_objects=count)


class _Place(msgspec.Struct, frozen=True):
    """A sensor's rectangle in the focal plane (pixels from the centre), and where its objects are counted."""

    left: float
    right: float
    bottom: float
    top: float
    census: SensorCensus

    @classmethod
    def of(cls, sensor: Sensor, census: SensorCensus) -> _Place:
        x, y = sensor.x_um / 10.0, sensor.y_um / 10.0
        return cls(x - sensor.nx / 2, x + sensor.nx / 2, y - sensor.ny / 2, y + sensor.ny / 2, census)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Cells of the grid from which objects may reach the sensor."""
        columns, rows = (
            range(
                int((low - _CELL_MARGIN_PIXELS) // _CELL_PIXELS), int((high + _CELL_MARGIN_PIXELS) // _CELL_PIXELS) + 1
            )
            for low, high in ((self.left, self.right), (self.bottom, self.top))
        )
        return ((column, row) for column in columns for row in rows)


class _Grid:
    """Finds the sensors near a place."""

    def __init__(self, places: Sequence[_Place]) -> None:
        self._places = places
        self._cells: dict[tuple[int, int], list[_Place]] = {}
        for place in places:
            for cell in place.cells():
                self._cells.setdefault(cell, []).append(place)

    @property
    def reach_deg(self) -> float:
        """No object farther from the pointing than this can count: the tangent plane only makes distances larger."""
        corners = (
            math.hypot(x, y) for one in self._places for x in (one.left, one.right) for y in (one.bottom, one.top)
        )
        return (max(corners, default=0.0) + math.hypot(1, 1) * LARGEST_MARGIN_PIXELS) / PIXELS_PER_DEGREE

    def near(self, x: float, y: float, margin: float) -> list[SensorCensus]:
        """Where an object at that place, with that margin in pixels, counts."""
        places: Sequence[_Place] = self._places
        if margin < _CELL_MARGIN_PIXELS:
            places = self._cells.get((int(x // _CELL_PIXELS), int(y // _CELL_PIXELS)), ())
        return [
            place.census
            for place in places
            if place.left - margin < x < place.right + margin and place.bottom - margin < y < place.top + margin
        ]
