"""The sky: dark sky, moonlight and dome light, as electrons in every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quicksim.atmosphere import DARK_ZENITH_V
from quicksim.bands import field_throughput, surface_electrons_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.bands import Band
    from quicksim.pars import Settings
    from quicksim.projection import Projection

    Floats = NDArray[np.float64]
    Pixels = NDArray[np.float32]

NO_SKY_V = 100.0
"""From this zenith_v on there is no sky at all, moon or not: PhoSim's users write 1000 to switch it off."""

BUNCH_ELECTRONS_PER_BACKGAMMA = 8.0
"""How many electrons of one sky photon bunch end up in a pixel: PhoSim's `quickbackground` (backalpha 0, backbeta 4,
backgamma 10) gave a mean of 322 electrons with a scatter of 160, and 160^2 / 322 = 80."""

ROWS_PER_PIECE = 32
NODES = 33
SMALLEST_MEAN_FOR_NORMAL = 50.0
"""From this many electrons on, a rounded normal number stands for a Poisson one, at a tenth of the time."""

SMALLEST_SHAPE_FOR_NORMAL = 0.5


@dataclass(frozen=True)
class Moon:
    """Where the moon is, in degrees, and how much of it is lit (0 to 100)."""

    altitude_deg: float
    distance_deg: float
    lit_percent: float

    @classmethod
    def of(cls, settings: Settings) -> Moon:
        """The moon of a visit."""
        return cls(
            altitude_deg=settings.number("moonalt", -90.0),
            distance_deg=settings.number("moondist", 180.0),
            lit_percent=settings.number("phaseang", 0.0),
        )

    def v_nanolamberts(self, zenith_distance_deg: float) -> float:
        """Scattered moonlight in V: Krisciunas and Schaefer (1991), with 0.172 mag of extinction per airmass."""
        if self.altitude_deg <= 0:
            return 0.0
        # The lit part of the disc gives the phase angle: 0 degrees is full.
        phase_deg = np.degrees(np.arccos(np.clip(2 * self.lit_percent / 100 - 1, -1, 1)))
        moon_magnitude = -12.73 + 0.026 * phase_deg + 4e-9 * phase_deg**4
        illuminance = 10 ** (-0.4 * (moon_magnitude + 16.57))
        angle = max(self.distance_deg, 10.0)
        scattered = 10**5.36 * (1.06 + np.cos(np.radians(angle)) ** 2) + 10 ** (6.15 - angle / 40)
        moon_airmass = _scattering_airmass(90 - self.altitude_deg)
        sky_airmass = _scattering_airmass(zenith_distance_deg)
        dimming = 10 ** (-0.4 * 0.172 * moon_airmass)
        return float(scattered * illuminance * dimming * (1 - 10 ** (-0.4 * 0.172 * sky_airmass)))


def _scattering_airmass(zenith_distance_deg: float) -> float:
    return float((1 - 0.96 * np.sin(np.radians(zenith_distance_deg)) ** 2) ** -0.5)


def _nanolamberts(v_per_arcsec2: float) -> float:
    return float(34.08 * np.exp(20.7233 - 0.92104 * v_per_arcsec2))


def dark_sky_electrons_s(settings: Settings, band: Band, airmass: float) -> float:
    """Electrons per second and pixel of the moonless sky on the axis; it brightens towards the horizon."""
    zenith_v = settings.number("zenith_v", DARK_ZENITH_V)
    if zenith_v >= NO_SKY_V:
        return 0.0
    return float(band.sky_electrons_s * 10 ** (-0.4 * (zenith_v - DARK_ZENITH_V)) * airmass)


def moon_electrons_s(settings: Settings, band: Band, zenith_distance_deg: float) -> float:
    """Electrons per second and pixel of moonlight on the axis."""
    if settings.number("zenith_v", DARK_ZENITH_V) >= NO_SKY_V:
        return 0.0
    over_dark = Moon.of(settings).v_nanolamberts(zenith_distance_deg) / _nanolamberts(DARK_ZENITH_V)
    return band.sky_electrons_s * band.moon_colour * over_dark


def dome_electrons_s(settings: Settings, band: Band) -> float:
    """Electrons per second and pixel of the lit dome on the axis: `domelight` is AB magnitudes per square arcsecond."""
    return surface_electrons_s(band, settings.number("domelight", 18.0))


def bunch_electrons(settings: Settings) -> float:
    """Electrons that come into a pixel at once; 1 is a sky of single photons.

    Bunches show where they are not spread: with backalpha 0. That is how PhoSim's `quickbackground` saves time.
    """
    if settings.number("backalpha", 0.1) > 0:
        return 1.0
    return max(1.0, BUNCH_ELECTRONS_PER_BACKGAMMA * settings.number("backgamma", 1.0))


def add_sky(pixels: Pixels, mean: float, bunch: float, projection: Projection, draw: np.random.Generator) -> float:
    """Add a sky of this mean on the axis (electrons per pixel) to an image; returns the electrons added."""
    total = 0.0
    for row in range(0, pixels.shape[0], ROWS_PER_PIECE):
        piece = pixels[row : row + ROWS_PER_PIECE]
        expected = mean * _throughput_along(row + piece.shape[0] / 2, projection)
        drawn = _draw_electrons(expected, bunch, piece.shape, draw)
        piece += drawn
        total += float(drawn.sum(dtype=np.float64))
    return total


def _throughput_along(row: float, projection: Projection) -> Pixels:
    """The part of the light that arrives in each pixel of a row."""
    nodes = np.linspace(0, projection.columns, NODES)
    at_nodes = field_throughput(projection.field_angle(nodes, np.full(NODES, row)))
    return np.interp(np.arange(projection.columns), nodes, at_nodes).astype(np.float32)


def _draw_electrons(
    expected: Pixels, bunch: float, shape: tuple[int, ...], draw: np.random.Generator
) -> NDArray[np.floating]:
    """Whole electrons around the expected number of each column, in bunches."""
    if bunch > 1:
        return _draw_bunched(expected, bunch, shape, draw)
    if expected.min() < SMALLEST_MEAN_FOR_NORMAL:
        return draw.poisson(expected, shape).astype(np.float32)
    electrons = draw.standard_normal(shape, dtype=np.float32)
    electrons *= np.sqrt(expected)
    electrons += expected
    return np.rint(electrons, out=electrons)


def _draw_bunched(
    expected: Pixels, bunch: float, shape: tuple[int, ...], draw: np.random.Generator
) -> NDArray[np.floating]:
    """Gamma-distributed numbers with a variance of `bunch` times the mean."""
    bunches = expected / np.float32(bunch)
    if bunches.min() < SMALLEST_SHAPE_FOR_NORMAL:
        return np.rint(draw.gamma(np.maximum(bunches, 1e-6), bunch, shape)).astype(np.float32)
    # Wilson and Hilferty (1931): the cube root of a gamma-distributed number is nearly normal.
    electrons = draw.standard_normal(shape, dtype=np.float32)
    electrons *= 1 / (3 * np.sqrt(bunches))
    electrons += 1 - 1 / (9 * bunches)
    np.maximum(electrons, 0, out=electrons)
    electrons *= electrons * electrons
    electrons *= expected
    return np.rint(electrons, out=electrons)
