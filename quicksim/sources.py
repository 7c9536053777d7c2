"""The objects of an image, from the `object` lines of an instance catalog to arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SPATIAL_WORD = 12
SHAPES = {"gauss": 1, "sersic2d": 4, "sersic": 6}
"""Extended spatial models and how many parameters they have."""

OTHER_PARAMETERS = {"movingpoint": 2, "pinhole": 4}
STAMP_PARAMETERS = 2
DUST_PARAMETERS = 2
HALF_LIGHT_OF_SIGMA = 1.17741
GAUSSIAN_INDEX = 0.5
"""A Gaussian is a Sersic profile of this index, with this half-light radius per sigma."""


class Source(NamedTuple):
    """One object line: angles in degrees, sizes in arcseconds, extinctions in magnitudes in V."""

    id: str
    ra_deg: float
    dec_deg: float
    magnitude: float
    sed: str
    redshift: float
    shear_1: float
    shear_2: float
    convergence: float
    major_arcsec: float
    minor_arcsec: float
    position_angle_deg: float
    sersic_index: float
    dust_at_source: float
    dust_on_earth: float


@dataclass(frozen=True)
class SourceTable:
    """Objects as columns, and how many lines were no objects."""

    rows: list[Source]
    bad_lines: int

    def column(self, name: str) -> Floats:
        """One numeric column."""
        place = Source._fields.index(name)
        return np.array([row[place] for row in self.rows], dtype=np.float64)


def read_sources(lines: Iterable[str]) -> SourceTable:
    """Parse object lines; one that is no object is left out and counted, as PhoSim goes on without its light."""
    rows, bad_lines = [], 0
    for line in lines:
        try:
            rows.append(parse_source(line))
        except (ValueError, IndexError):
            bad_lines += 1
    return SourceTable(rows, bad_lines)


def parse_source(line: str) -> Source:
    """One object line; ValueError or IndexError if it is not one."""
    words = line.split()
    ra, dec, magnitude = (_finite(text) for text in words[2:5])
    redshift, shear_1, shear_2, convergence, d_ra, d_dec = (_finite(text) for text in words[6:SPATIAL_WORD])
    major, minor, angle, index, behind = _shape(words)
    dust_at_source, behind = _dust(words, behind)
    dust_on_earth, _ = _dust(words, behind)
    shape = (major, minor, angle, index)
    lens = (shear_1, shear_2, convergence)
    return Source(
        words[1], ra + d_ra, dec + d_dec, magnitude, words[5], redshift, *lens, *shape, dust_at_source, dust_on_earth
    )


def _finite(text: str) -> float:
    number = float(text)
    if not np.isfinite(number):
        raise ValueError(text)
    return number


def _shape(words: list[str]) -> tuple[float, float, float, float, int]:
    """Half-light axes, position angle and Sersic index, and the place of the next word. All sizes 0: a point."""
    kind = words[SPATIAL_WORD]
    first = SPATIAL_WORD + 1
    if kind not in SHAPES:
        others = STAMP_PARAMETERS if "fit" in kind else 0
        return 0.0, 0.0, 0.0, GAUSSIAN_INDEX, first + OTHER_PARAMETERS.get(kind, others)
    behind = first + SHAPES[kind]
    numbers = [_finite(text) for text in words[first:behind]]
    if kind == "gauss":
        half_light = numbers[0] * HALF_LIGHT_OF_SIGMA
        return half_light, half_light, 0.0, GAUSSIAN_INDEX, behind
    if kind == "sersic":
        # Three axes and two angles of a body in space: it is seen as if along its third axis.
        major, minor, _, angle, _, index = numbers
    else:
        major, minor, angle, index = numbers
    if min(major, minor) < 0 or not 0 < index <= 10:
        raise ValueError(words[SPATIAL_WORD])
    return major, minor, angle, index, behind


def _dust(words: list[str], place: int) -> tuple[float, int]:
    """Extinction of a dust model, and the place of the next word."""
    if place >= len(words) or words[place].lower() == "none":
        return 0.0, place + 1
    return _finite(words[place + 1]), place + 1 + DUST_PARAMETERS
