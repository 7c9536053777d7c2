"""From catalog magnitudes to detected electrons: spectra, redshift and dust.

A catalog's MAG is the AB magnitude of the object's spectrum, before dust on the way, at 500 nm of the observer. So the
light in a band is that of a flat spectrum of this magnitude, times the spectrum's mean in the band over its value at
500 nm.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from quicksim.bands import REFERENCE_EXPOSURE_S, REFERENCE_MAGNITUDE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from quicksim.bands import Band
    from quicksim.sources import SourceTable

    Floats = NDArray[np.float64]
    Spectrum = tuple[Floats, Floats]

NORMALISED_AT_NM = 500.0
SAMPLES_OF_A_BAND = 21

DUST_NM = (120.0, 217.5, 250.0, 365.0, 440.0, 551.0, 658.0, 806.0, 900.0, 1220.0)
DUST_CURVE = (3.2, 3.2, 2.4, 1.57, 1.32, 1.0, 0.82, 0.60, 0.48, 0.28)
"""Extinction over that in V: Cardelli, Clayton and Mathis (1989) for R_V = 3.1, read at these wavelengths."""


@dataclass
class SpectrumLibrary:
    """The spectra of a folder, read once each; `missing` counts the objects whose spectrum is not there."""

    folder: Path
    missing: dict[str, int] = field(default_factory=dict)
    _read: dict[str, Spectrum | None] = field(default_factory=dict)

    def get(self, name: str) -> Spectrum | None:
        """Wavelengths (nm) and flux per frequency (any unit); None, and counted, if there is no such spectrum."""
        if name not in self._read:
            self._read[name] = read_spectrum(self.folder / name)
        if self._read[name] is None:
            self.missing[name] = self.missing.get(name, 0) + 1
        return self._read[name]


def read_spectrum(path: Path) -> Spectrum | None:
    """A spectrum file of two columns, nm and flux per nm, plain or gzip; None if it is not one."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        table = np.array(
            [line.split()[:2] for line in content.decode("ascii").splitlines() if line.strip() and line[0] != "#"],
            dtype=np.float64,
        )
        wavelengths_nm, flux_per_nm = table.T
    except (OSError, EOFError, ValueError):
        return None
    return wavelengths_nm, flux_per_nm * wavelengths_nm**2


def electrons(sources: SourceTable, band: Band, exposure_s: float, airmass: float, library: SpectrumLibrary) -> Floats:
    """Detected electrons on the axis that each source gives in an exposure, on average."""
    exposures = exposure_s / REFERENCE_EXPOSURE_S
    magnitudes = sources.column("magnitude") + band.extinction * (airmass - 1)
    flat = band.star_electrons * exposures * 10 ** (-0.4 * (magnitudes - REFERENCE_MAGNITUDE))
    colours = np.array([_colour(library.get(row.sed), band, row.redshift) for row in sources.rows])
    return np.asarray(flat * colours * _dust_transmission(sources, band))


def _colour(spectrum: Spectrum | None, band: Band, redshift: float) -> float:
    """Mean photon rate in the band over that of a flat spectrum of the same magnitude at 500 nm."""
    if spectrum is None:
        return 1.0
    wavelengths_nm, flux = spectrum
    observed_nm = wavelengths_nm * (1 + redshift)
    at_500 = np.interp(NORMALISED_AT_NM, observed_nm, flux)
    if at_500 <= 0:
        return 0.0
    # Steps of equal ratio: a flat spectrum has the same number of photons in each of them.
    samples_nm = np.geomspace(band.blue_nm, band.red_nm, SAMPLES_OF_A_BAND)
    return float(np.interp(samples_nm, observed_nm, flux).mean() / at_500)


def _dust_transmission(sources: SourceTable, band: Band) -> Floats:
    """The light that dust in the source and in our galaxy lets through."""
    on_earth = sources.column("dust_on_earth") * np.interp(band.central_nm, DUST_NM, DUST_CURVE)
    rest_nm = band.central_nm / (1 + sources.column("redshift"))
    at_source = sources.column("dust_at_source") * np.interp(rest_nm, DUST_NM, DUST_CURVE)
    return np.asarray(10 ** (-0.4 * (on_earth + at_source)))
