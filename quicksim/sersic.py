"""Sersic profiles: shapes of galaxies in pixels, and their photons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.projection import Projection
    from quicksim.sources import Source

    Floats = NDArray[np.float64]


def shape_matrix(source: Source, projection: Projection) -> Floats:
    """The 2 x 2 matrix from a round profile of half-light radius 1 to the object's in pixels, lensing included."""
    angle = np.radians(source.position_angle_deg)
    # Position angles go from north to east.
    axes = np.array([[np.sin(angle), -np.cos(angle)], [np.cos(angle), np.sin(angle)]])
    lens = np.array(
        [
            [1 - source.convergence - source.shear_1, -source.shear_2],
            [-source.shear_2, 1 - source.convergence + source.shear_1],
        ]
    )
    sizes = np.diag([source.major_arcsec, source.minor_arcsec]) / projection.arcsec_per_pixel
    return np.asarray(projection.rotation() @ np.linalg.inv(lens) @ axes @ sizes)


def half_light_constant(index: Floats) -> Floats:
    """The b of exp(-b r^(1/n)) for a half-light radius of 1 (Ciotti and Bertin 1999; MacArthur 2003 below 0.36)."""
    large = np.maximum(index, 0.36)
    series = 2 * large - 1 / 3 + 4 / (405 * large) + 46 / (25515 * large**2)
    small = 0.01945 - 0.8902 * index + 10.95 * index**2 - 19.67 * index**3 + 13.43 * index**4
    return np.where(index > 0.36, series, small)


def photon_radii(index: Floats, draw: np.random.Generator) -> Floats:
    """Distances from the centre, in half-light radii, of one photon for each Sersic index given.

    With t = b r^(1/n) the light within r is the incomplete gamma function of 2n at t: so t is gamma-distributed.
    """
    return np.asarray((draw.standard_gamma(2 * index) / half_light_constant(index)) ** index)
