"""The point-spread function: a Moffat profile, whose photons and brightness have simple formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.pars import Settings

    Floats = NDArray[np.float64]

SEEING_WAVELENGTH_NM = 500.0
ATMOSPHERE_BETA = 3.0
"""Wings between those of Kolmogorov turbulence and of a Gaussian, as usual for seeing-limited images."""

GAUSSIAN_BETA = 100.0
"""A Moffat profile of so high a power is a Gaussian for every purpose here."""

INSTRUMENT_FWHM_ARCSEC = 0.10
"""Optics, detector and dome."""

OUTER_SCALE_FACTOR = 0.94
"""Turbulence of a finite outer scale blurs less than the seeing says. Chosen so that seeing 0.67 comes near to what
real PhoSim gave by adaptive moments: 3.39 pixels in r (here 5 % more) and 3.6 to 4.0 in i on another night (here 8 %
less than their middle)."""

PERFECT_FWHM_ARCSEC = 0.05
"""With everything cleared: about what diffraction leaves."""


@dataclass(frozen=True)
class Psf:
    """A round Moffat profile."""

    fwhm_pixels: float
    beta: float

    @classmethod
    def of(cls, settings: Settings, wavelength_nm: float, airmass: float, arcsec_per_pixel: float) -> Psf:
        """The PSF of an exposure: `toypsf`, or the seeing at this wavelength and airmass, with the optics' own."""
        toy_arcsec = settings.number("toypsf", 0.0)
        if toy_arcsec > 0:
            return cls(toy_arcsec / arcsec_per_pixel, GAUSSIAN_BETA)
        if "cleareverything" in settings:
            return cls(PERFECT_FWHM_ARCSEC / arcsec_per_pixel, GAUSSIAN_BETA)
        seeing = 0.0 if "clearturbulence" in settings else settings.number("totalseeing", 0.0)
        # Kolmogorov turbulence: the width falls with the fifth root of the wavelength and grows as airmass^(3/5).
        air_arcsec = OUTER_SCALE_FACTOR * seeing * airmass**0.6 * (wavelength_nm / SEEING_WAVELENGTH_NM) ** -0.2
        return cls(float(np.hypot(air_arcsec, INSTRUMENT_FWHM_ARCSEC)) / arcsec_per_pixel, ATMOSPHERE_BETA)

    @property
    def scale_pixels(self) -> float:
        """The Moffat profile's scale radius."""
        return float(self.fwhm_pixels / (2 * np.sqrt(2 ** (1 / self.beta) - 1)))

    def photon_radii(self, uniform: Floats) -> Floats:
        """Distances from the centre (pixels) of photons, from as many random numbers between 0 and 1."""
        return np.asarray(self.scale_pixels * np.sqrt((1 - uniform) ** (1 / (1 - self.beta)) - 1))

    def brightness(self, radius_squared: Floats) -> Floats:
        """Light per square pixel at a distance (pixels squared), of a source of total 1."""
        peak = (self.beta - 1) / (np.pi * self.scale_pixels**2)
        return np.asarray(peak * (1 + radius_squared / self.scale_pixels**2) ** -self.beta)

    def radius_of_brightness(self, brightness: float) -> float:
        """The distance (pixels) at which a source of total 1 is that faint."""
        peak = (self.beta - 1) / (np.pi * self.scale_pixels**2)
        return float(self.scale_pixels * np.sqrt(max((peak / brightness) ** (1 / self.beta) - 1, 0.0)))
