"""The six filters and the sky in them: how many electrons a magnitude, the night or the lit dome give. Pure numbers."""

from __future__ import annotations

import math

import msgspec

REFERENCE_EXPOSURE_S = 15.0
REFERENCE_MAGNITUDE = 20.0
DARK_ZENITH_V = 21.9
"""Magnitudes in V of a square arcsecond of moonless sky; PhoSim 3.4 writes 21.899 for its star example."""
NO_SKY_V = 40.0
"""From here on the sky is out of reach: users write 1000 to switch it off."""

DETECTED_AT_MAG_20 = (7_300.0, 45_600.0, 39_100.0, 34_800.0, 23_300.0, 9_600.0)
"""Electrons of a flat AB 20 source in 15 s, u g r i z y: r and i measured with PhoSim 3.4 on axis, the others scaled
from them by LSST's published zero points (SMTN-002: 26.52 28.51 28.36 28.17 27.78 26.82)."""

_DARK_SKY_ELECTRONS_S = (0.72, 9.4, 21.5, 35.6, 54.4, 57.0)
"""Electrons per second and pixel of the dark sky at the zenith: r is PhoSim 3.4's (mean of 322 in 15 s), the others
follow from the dark-sky magnitudes of SMTN-002 (23.05 22.25 21.20 20.46 19.61 18.60)."""
_MOON_COLOURS = (23.0, 2.5, 0.45, 0.21, 0.10, 0.05)
"""Moonlight over dark sky, relative to that ratio in V: Walker (1987, NOAO Newsletter 10), read at the bands."""
_SQUARE_ARCSEC_A_PIXEL = 0.04


def object_electrons(filter_number: int, magnitude: float, exposure_s: float) -> float:
    """Detected electrons of a flat spectrum of that AB magnitude, on the axis."""
    # Nobody is brighter than the sun (-27); the bound keeps the power finite.
    flux: float = 10.0 ** (-0.4 * (max(magnitude, -30.0) - REFERENCE_MAGNITUDE))
    return DETECTED_AT_MAG_20[filter_number] * flux * exposure_s / REFERENCE_EXPOSURE_S


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """What lights the sky of a visit."""

    filter: int
    altitude_deg: float = 90.0
    """Of the telescope."""
    zenith_v: float = DARK_ZENITH_V
    moon_altitude_deg: float = -90.0
    moon_distance_deg: float = 180.0
    """From the telescope's pointing."""
    moon_lit_percent: float = 0.0

    def electrons_s(self) -> float:
        """Electrons per second and pixel of dark sky and moonlight, on the axis."""
        if self.zenith_v >= NO_SKY_V:
            return 0.0
        airmass = 1.0 / math.sin(math.radians(max(self.altitude_deg, 5.0)))
        dark: float = 10.0 ** (-0.4 * (self.zenith_v - DARK_ZENITH_V)) * airmass
        dark_v = 34.08 * math.exp(20.7233 - 0.92104 * DARK_ZENITH_V)
        moon = _MOON_COLOURS[self.filter] * self._moon_v() / dark_v
        return _DARK_SKY_ELECTRONS_S[self.filter] * (dark + moon)

    def _moon_v(self) -> float:
        """Scattered moonlight in V, nanolamberts: Krisciunas and Schaefer (1991), 0.172 mag extinction an airmass."""
        if self.moon_altitude_deg <= 0:
            return 0.0
        lit = min(max(self.moon_lit_percent / 100.0, 0.0), 1.0)
        phase_deg = math.degrees(math.acos(2.0 * lit - 1.0))
        illuminance: float = 10.0 ** (-0.4 * (-12.73 + 0.026 * phase_deg + 4e-9 * phase_deg**4 + 16.57))
        angle_deg = max(self.moon_distance_deg, 10.0)
        by_air: float = 10**5.36 * (1.06 + math.cos(math.radians(angle_deg)) ** 2)
        by_dust: float = 10.0 ** (6.15 - angle_deg / 40.0)
        dimming: float = 10.0 ** (-0.4 * 0.172 * _airmass(self.moon_altitude_deg))
        loss: float = 1.0 - 10.0 ** (-0.4 * 0.172 * _airmass(self.altitude_deg))
        return (by_air + by_dust) * illuminance * dimming * loss


def _airmass(altitude_deg: float) -> float:
    """The path of scattered light through the air (same paper)."""
    return float((1.0 - 0.96 * math.cos(math.radians(altitude_deg)) ** 2) ** -0.5)


def dome_electrons_s(filter_number: int, magnitude: float) -> float:
    """Electrons per second and pixel of a lit dome of so many AB magnitudes per square arcsecond."""
    return object_electrons(filter_number, magnitude, 1.0) * _SQUARE_ARCSEC_A_PIXEL
