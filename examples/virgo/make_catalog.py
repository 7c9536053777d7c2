"""Make `virgo.txt`: the core of the Virgo cluster as a PhoSim instance catalog.

    .venv/bin/python examples/virgo/make_catalog.py

Two parts, and the catalog says which line belongs to which:

* real: every galaxy, and every star with a magnitude, that OpenNGC has within 1.9 degrees of the pointing (the package
  `pyongc` carries OpenNGC; CC-BY-SA-4.0, Mattia Verga and contributors);
* drawn: the faint galaxies and stars that OpenNGC does not list, from published number counts and a fixed seed, in a
  circle that holds the two sensors of the demo.

PhoSim looks for header names anywhere in a line, comments included, so no comment written here contains one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CATALOG = Path(__file__).with_name("virgo.txt")

POINTING_RA_DEG, POINTING_DEC_DEG = 186.3196, 12.8525
"""With the rotation below, R22_S11 and R22_S21 hold M84, M86, NGC 4387 and NGC 4402, clear of gaps and edges."""
ROTATION_DEG = 36.0
SENSORS_RA_DEG, SENSORS_DEC_DEG = 186.4169, 12.9215
"""The middle between the two sensors."""

# A dark night: new moon, and the field on the meridian of Cerro Pachon. Angles by astropy 8.0 for 30.2446 S, 70.7494 W,
# 2650 m.
HEADER = (
    ("Opsim_obshistid", "4406"),
    ("Unrefracted_RA_deg", f"{POINTING_RA_DEG:.4f}"),
    ("Unrefracted_Dec_deg", f"{POINTING_DEC_DEG:.4f}"),
    ("Unrefracted_Azimuth", "0.0"),
    ("Unrefracted_Altitude", "47.05"),
    ("Slalib_date", "2026/4/17/0.145"),
    ("Opsim_expmjd", "61147.145"),
    ("Opsim_filter", "2"),
    ("Opsim_rotskypos", f"{ROTATION_DEG:.1f}"),
    ("Opsim_rottelpos", "0.0"),
    ("Opsim_rawseeing", "0.7"),
    ("Opsim_moonra", "18.77"),
    ("Opsim_moondec", "12.19"),
    ("Opsim_moonalt", "-68.69"),
    ("Opsim_sunalt", "-63.75"),
    ("Opsim_dist2moon", "152.1"),
    ("Opsim_moonphase", "0.3"),
    ("SIM_SEED", "4406"),
    ("SIM_VISTIME", "33.0"),
    ("SIM_NSNAP", "2"),
    ("SIM_MINSOURCE", "1"),
    ("SIM_CAMCONFIG", "1"),
    ("SIM_TELCONFIG", "0"),
)

FIELD_RADIUS_ARCMIN = 114.0
"""Of the real part: the whole focal plane."""
DRAWN_RADIUS_DEG = 0.28
DRAWN_SEED = 4406
FLAT_SPECTRUM = "../sky/sed_flat.txt"

# ---------------------------------------------------------------- magnitudes
AB_OF_VEGA_B, AB_OF_VEGA_V = -0.09, 0.02
"""AB minus Vega magnitudes of B and V: Blanton and Roweis 2007, AJ 133, 734, table 1."""
EARLY_COLOUR, LATE_COLOUR = 0.90, 0.55
"""B - V where OpenNGC has no V: means of types E to S0 and of spirals (Roberts and Haynes 1994, ARA&A 32, 115)."""


def magnitude_at_500_nm(b: float, v: float) -> float:
    """AB magnitude at 500 nm, which PhoSim asks for: midway between B (440 nm) and V (550 nm)."""
    return (b + AB_OF_VEGA_B + v + AB_OF_VEGA_V) / 2


# ---------------------------------------------------------------- sizes
SERSIC_INDEX = {"E": 4.0, "S0": 2.5, "S": 1.0}
"""By type: de Vaucouleurs' profile for ellipticals, an exponential disc for spirals, between them for lenticulars."""
ISOPHOTE_B = 25.0
"""OpenNGC's axes are those of the isophote of this many B magnitudes per square arcsecond (as in RC3)."""
LARGEST_SHARE = 0.4
"""Of the isophotal radius, for the half-light radius: about that of M86 in RC3."""


def half_light_share(b: float, area_arcsec2: float, index: float) -> float:
    """Half-light radius over isophotal radius of a Sersic profile that is as bright as ISOPHOTE_B at the isophote.

    `area_arcsec2` is that within the isophote. Two sizes may do; the smaller one, with the bright centre, is meant.
    Where none up to LARGEST_SHARE does, the axes take in a faint halo, and that share it is.
    """
    steepness = 2 * index - 1 / 3 + 4 / (405 * index)  # Ciotti and Bertin 1999
    shares = np.geomspace(0.05, LARGEST_SHARE, 400)
    fraction_per_area = (
        steepness ** (2 * index)
        * np.exp(-steepness * shares ** (-1 / index))
        / (2 * index * math.gamma(2 * index) * shares**2 * area_arcsec2)
    )
    brightness = b - 2.5 * np.log10(fraction_per_area)
    reached = np.flatnonzero(brightness <= ISOPHOTE_B)
    return float(shares[reached[0]]) if len(reached) else LARGEST_SHARE


@dataclass(frozen=True)
class Galaxy:
    """A galaxy as OpenNGC has it."""

    label: str
    ra_deg: float
    dec_deg: float
    b: float
    v: float | None
    major_arcmin: float
    minor_arcmin: float
    position_angle_deg: float
    hubble: str

    @property
    def index(self) -> float:
        """Sersic index by type."""
        return SERSIC_INDEX["S0" if self.hubble.startswith(("S0", "E-S0")) else "E" if self.hubble[:1] == "E" else "S"]

    @property
    def magnitude(self) -> float:
        """AB at 500 nm."""
        colour = LATE_COLOUR if self.index == SERSIC_INDEX["S"] else EARLY_COLOUR
        return magnitude_at_500_nm(self.b, self.b - colour if self.v is None else self.v)

    def shape(self) -> str:
        """PhoSim's `sersic2d`: half-light semi-axes in arcsec, position angle from north to east, index."""
        major_arcsec, minor_arcsec = 30 * self.major_arcmin, 30 * self.minor_arcmin
        share = half_light_share(self.b, math.pi * major_arcsec * minor_arcsec, self.index)
        return (
            f"sersic2d {share * major_arcsec:.2f} {share * minor_arcsec:.2f} {self.position_angle_deg:g} {self.index:g}"
        )


# ---------------------------------------------------------------- the real part
def real_lines() -> Iterator[str]:
    """Galaxies and stars of OpenNGC, brightest first, each with its name in front."""
    from pyongc import ongc

    centre = f"{_hours(POINTING_RA_DEG)} {_degrees(POINTING_DEC_DEG)}"
    found = [one for one, _ in ongc.nearby(centre, separation=FIELD_RADIUS_ARCMIN) if one.magnitudes[0] is not None]
    for number, one in enumerate(sorted(found, key=lambda one: (one.magnitudes[0], one.name)), start=1):
        messier, *_ = one.identifiers
        label = f"{one.name} {messier}" if messier else one.name
        ra_deg, dec_deg = np.degrees(one.rad_coords)
        b, v = one.magnitudes[:2]
        if one.type == "Star" and v is not None:
            yield f"# {label}"
            yield object_line(number, ra_deg, dec_deg, magnitude_at_500_nm(b, v), "point")
        elif one.type == "Galaxy" and one.dimensions[0]:
            major, minor, angle = one.dimensions
            galaxy = Galaxy(label, ra_deg, dec_deg, b, v, major, minor or major, angle or 0, one.hubble)
            yield f"# {label}"
            yield object_line(number, ra_deg, dec_deg, galaxy.magnitude, galaxy.shape())


def _hours(degrees: float) -> str:
    return _sexagesimal(degrees / 15)


def _degrees(degrees: float) -> str:
    return ("-" if degrees < 0 else "+") + _sexagesimal(abs(degrees))


def _sexagesimal(value: float) -> str:
    seconds = round(value * 3600)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


# ---------------------------------------------------------------- the drawn part
def galaxies_per_arcmin2(magnitude: float) -> float:
    """Galaxies brighter than this: LSST Science Book (2009), equation 3.7, for 20.5 < i < 25.5."""
    return float(46 * 10 ** (0.31 * (magnitude - 25)))


def stars_per_degree2(magnitude: float) -> float:
    """Stars brighter than this in V, at the galactic pole: Bahcall and Soneira 1980, ApJS 44, 73, appendix B."""
    disc = 925 * 10 ** (0.035 * (magnitude - 15.75)) / (1 + 10 ** (-0.132 * (magnitude - 15.75))) ** 3
    halo = 1050 * 10 ** (0.087 * (magnitude - 17.5)) / (1 + 10 ** (-0.180 * (magnitude - 17.5))) ** 2.5
    return float(disc + halo)


def half_light_arcsec(magnitude: np.ndarray) -> np.ndarray:
    """Median half-light radius: the disc scale length of Miller et al. 2013, MNRAS 429, 2858, equation B1, x 1.678."""
    return 1.678 * np.exp(-1.145 - 0.269 * (magnitude - 23))


def drawn_lines(first_number: int) -> Iterator[str]:
    """Faint galaxies (20.5 to 21.5) and stars (13 to 21); their magnitudes are taken as AB of a flat spectrum."""
    random = np.random.default_rng(DRAWN_SEED)
    area_deg2 = math.pi * DRAWN_RADIUS_DEG**2
    magnitudes = np.linspace(20.5, 21.5, 101)
    galaxies = _draw(random, magnitudes, [3600 * area_deg2 * galaxies_per_arcmin2(one) for one in magnitudes])
    ra_deg, dec_deg = _places(random, len(galaxies))
    # Plain choices: sizes scatter by 30 %, axis ratios go from thin discs to round.
    major = half_light_arcsec(galaxies) * np.exp(0.3 * random.standard_normal(len(galaxies)))
    minor = major * random.uniform(0.3, 1.0, len(galaxies))
    angle = random.uniform(0, 180, len(galaxies))
    for row, magnitude in enumerate(galaxies):
        shape = f"sersic2d {major[row]:.2f} {minor[row]:.2f} {angle[row]:.0f} 1"
        yield object_line(first_number + row, ra_deg[row], dec_deg[row], magnitude, shape)
    magnitudes = np.linspace(13.0, 21.0, 801)
    stars = _draw(random, magnitudes, [area_deg2 * stars_per_degree2(one) for one in magnitudes])
    ra_deg, dec_deg = _places(random, len(stars))
    for row, magnitude in enumerate(stars):
        yield object_line(first_number + len(galaxies) + row, ra_deg[row], dec_deg[row], magnitude, "point")


def _draw(random: np.random.Generator, magnitudes: np.ndarray, brighter: list[float]) -> np.ndarray:
    """Magnitudes that follow cumulative counts."""
    count = round(brighter[-1] - brighter[0])
    return np.asarray(np.interp(random.uniform(brighter[0], brighter[-1], count), brighter, magnitudes))


def _places(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions spread evenly over the circle of the drawn part, degrees."""
    radius_deg = DRAWN_RADIUS_DEG * np.sqrt(random.uniform(0, 1, count))
    angle = random.uniform(0, 2 * np.pi, count)
    dec_deg = SENSORS_DEC_DEG + radius_deg * np.sin(angle)
    return SENSORS_RA_DEG + radius_deg * np.cos(angle) / np.cos(np.radians(dec_deg)), dec_deg


# ---------------------------------------------------------------- the file
def object_line(number: int, ra_deg: float, dec_deg: float, magnitude: float, shape: str) -> str:
    """One line in PhoSim's format: no redshift, no lensing, no dust."""
    return f"object {number} {ra_deg:.5f} {dec_deg:.5f} {magnitude:.2f} {FLAT_SPECTRUM} 0 0 0 0 0 0 {shape} none none"


def catalog_lines() -> Iterator[str]:
    """The whole catalog."""
    yield "# The core of the Virgo cluster: M84, M86 and neighbours. Made by make_catalog.py, which names its sources."
    yield from (f"{name} {value}" for name, value in HEADER)
    yield "# Real part: OpenNGC (CC-BY-SA-4.0) by pyongc. Positions, axes, magnitudes are measured, profiles by type."
    real = list(real_lines())
    yield from real
    yield "# Drawn part: faint galaxies and stars, not real ones; drawn from published number counts in a circle of"
    yield f"# {DRAWN_RADIUS_DEG} degrees around {SENSORS_RA_DEG} {SENSORS_DEC_DEG}."
    yield from drawn_lines(first_number=100_000)


def main() -> None:
    """Write the catalog beside this script."""
    CATALOG.write_text("".join(f"{line}\n" for line in catalog_lines()), encoding="ascii")
    print(f"{CATALOG}: {CATALOG.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
