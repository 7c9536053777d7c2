"""The six filters: how many electrons a magnitude gives, how bright the sky is, and how both fade towards the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCE_MAGNITUDE = 20.0
REFERENCE_EXPOSURE_S = 15.0
ARCSEC_PER_PIXEL = 0.2


@dataclass(frozen=True)
class Band:
    """One filter."""

    name: str
    blue_nm: float
    red_nm: float
    star_electrons: float
    """Detected electrons of a flat spectrum of AB magnitude 20 in 15 s on the axis."""
    sky_electrons_s: float
    """Detected electrons per second and pixel of the dark sky at the zenith."""
    moon_colour: float
    """Moonlight over dark sky, relative to that ratio in V."""
    extinction: float
    """Magnitudes that each airmass beyond the first takes."""

    @property
    def central_nm(self) -> float:
        """The middle of the filter."""
        return (self.blue_nm + self.red_nm) / 2


# Electrons of a star: r and i are PhoSim 3.4's (39,100 and 34,800, measured on its output). The others are the LSST
# zero points of technote SMTN-002 (magnitude of one electron per second: u 26.52, g 28.51, z 27.78, y 26.82), raised by
# the 0.21 mag by which PhoSim is above that note in r and i.
# Sky: r is PhoSim's (mean of 322 electrons in 15 s, dark, at the zenith); the other bands follow from the dark-sky
# magnitudes of the same note (u 23.05, g 22.25, r 21.20, i 20.46, z 19.61, y 18.60), shifted alike.
# Extinction per airmass: the same note.
# Moonlight: full-moon and dark skies of Walker (1987, NOAO Newsletter 10) in UBVRI, read at the bands' wavelengths.
BANDS = (
    Band("u", 324.0, 395.0, 7_390.0, 0.72, 23.0, 0.50),
    Band("g", 405.0, 552.0, 46_100.0, 9.4, 2.5, 0.21),
    Band("r", 552.0, 691.0, 39_100.0, 21.5, 0.45, 0.13),
    Band("i", 691.0, 818.0, 34_800.0, 35.6, 0.21, 0.10),
    Band("z", 818.0, 922.0, 23_500.0, 54.4, 0.10, 0.07),
    Band("y", 922.0, 1060.0, 9_700.0, 57.0, 0.05, 0.17),
)

FIELD_ANGLES_DEG = (0.0, 0.33, 0.85, 1.18, 1.41, 1.65, 1.78, 1.84, 1.95, 2.1)
FIELD_THROUGHPUTS = (1.0, 0.998, 0.989, 0.977, 0.962, 0.940, 0.860, 0.735, 0.50, 0.25)
"""Light that arrives, over that on the axis. Fitted on real PhoSim output up to 1.84 degrees, continued beyond."""


def field_throughput(angle_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of the light that arrives at an angle from the axis: vignetting, obstruction, projection."""
    return np.asarray(np.interp(angle_deg, FIELD_ANGLES_DEG, FIELD_THROUGHPUTS))


def surface_electrons_s(band: Band, magnitude_per_arcsec2: float) -> float:
    """Electrons per second and pixel of a flat-spectrum surface on the axis."""
    star_s = band.star_electrons / REFERENCE_EXPOSURE_S
    return float(star_s * 10 ** (-0.4 * (magnitude_per_arcsec2 - REFERENCE_MAGNITUDE)) * ARCSEC_PER_PIXEL**2)
