"""One image: which sensor and exposure of which visit, its file names and its header."""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quicksim import VERSION
from quicksim.bands import BANDS, Band
from quicksim.fits_cards import format_card
from quicksim.focal_plane import Device, find_device
from quicksim.pars import Settings, StageError

if TYPE_CHECKING:
    from quicksim.fits_cards import Card, CardValue

PHOSIM_EPOCH_MJD = 49552.3


@dataclass(frozen=True)
class Exposure:
    """What a stage knows of the image that it makes."""

    visit: int
    prefix: str
    device: Device
    number: int
    filter: int
    exposure_s: float
    time_offset_s: float
    seed: int
    airmass: float

    @classmethod
    def of(cls, settings: Settings) -> Exposure:
        """The image that the settings ask for."""
        folder = Path(settings.text("instrdir"))
        device = find_device(folder, settings.text("chipid"))
        number = settings.integer("exposureid", 0)
        vistime_s = settings.number("vistime")
        exposures = device.exposures(settings.integer("nsnap", 1), vistime_s)
        if not 0 <= number < max(exposures, 1):
            raise StageError(f"exposure {number} of {device.name} is not one of {exposures}")
        exposure_s = _exposure_s(device, exposures, vistime_s)
        filter_number = settings.integer("filter")
        if not 0 <= filter_number < len(BANDS):
            raise StageError(f"filter {filter_number} is not one of 0 to {len(BANDS) - 1}")
        return cls(
            visit=settings.integer("obshistid"),
            prefix=folder.name,
            device=device,
            number=number,
            filter=filter_number,
            exposure_s=exposure_s,
            time_offset_s=number * (exposure_s + device.frame_s) + (exposure_s - vistime_s) / 2,
            seed=_seed(settings) + number,
            airmass=_airmass(settings.number("altitude", 90.0)),
        )

    @property
    def band(self) -> Band:
        """The filter's numbers."""
        return BANDS[self.filter]

    @property
    def image_name(self) -> str:
        """The e-image without its extension."""
        return f"{self.prefix}_e_{self.visit}_f{self.filter}_{self.device.name}_E{self.number:03d}"

    def amplifier_file(self, amplifier: str) -> Path:
        """The file of an amplifier, by its full name such as R22_S11_C00."""
        return Path(f"{self.prefix}_a_{self.visit}_f{self.filter}_{amplifier}_E{self.number:03d}.fits.gz")

    def random(self, purpose: str) -> np.random.Generator:
        """Random numbers that depend on seed, sensor and purpose only, whatever else was drawn before."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.device.name} {purpose}".encode())])

    def cards(self, settings: Settings) -> list[str]:
        """The header of the e-image, after the cards of its structure.

        CREATOR names the true maker: of the header keys that PhoSim's readers need (EXPTIME, FILTNM, OBSID, FILTER,
        CHIPID, MJD-OBS, PAIRID) it is none, and nobody should take a quick look for PhoSim's work.
        """
        cards: list[Card] = [
            ("CREATOR", "QUICKSIM"),
            ("VERSION", VERSION),
            ("BRANCH", f"quicksim-{VERSION}"),
            *([] if settings.text("date", "1") == "0" else [_date_card()]),
            ("OBSID", self.visit),
            ("DATASET", str(self.visit)),
            ("TELESCOP", "LSST"),
            ("INSTRUME", self.prefix),
            ("CHIPID", self.device.name),
            ("PAIRID", self.number),
            ("FILTNM", self.filter),
            ("FILTER", self.band.name),
            ("EXPTIME", self.exposure_s),
            ("TIMEOFF", self.time_offset_s),
            ("MJD-OBS", settings.number("tai", PHOSIM_EPOCH_MJD)),
            ("SEED", self.seed),
            ("RA_DEG", settings.number("pointingra")),
            ("DEC_DEG", settings.number("pointingdec")),
            ("ROTANG", settings.number("rotationangle")),
            ("SPIDANG", settings.number("spiderangle", 0.0)),
            ("AZIMUTH", settings.number("azimuth", 0.0)),
            ("ALTITUDE", settings.number("altitude", 90.0)),
            ("ZENITH", 90.0 - settings.number("altitude", 90.0)),
            ("AIRMASS", self.airmass),
            ("PIXX", self.device.columns),
            ("PIXY", self.device.rows),
            ("PIXSIZE", self.device.pixel_um),
            ("OUTFILE", f"{self.image_name}.fits.gz"),
            *_command_cards(settings),
        ]
        return [format_card(key, value) for key, value in cards]


def _exposure_s(device: Device, exposures: int, vistime_s: float) -> float:
    """Seconds with the shutter open: of a CCD, what is left of the visit after the read-outs between its snaps."""
    if device.kind != "CCD":
        return device.frame_s
    return max(0.0, (vistime_s - (exposures - 1) * device.frame_s) / max(exposures, 1))


def _seed(settings: Settings) -> int:
    """The catalog's seed; -1 asks for one from the clock."""
    seed = settings.integer("obsseed", 1000)
    return seed if seed >= 0 else time.time_ns() % 2**31


def _airmass(altitude_deg: float) -> float:
    """Of a flat atmosphere, with the horizon kept away."""
    return 1 / math.sin(math.radians(min(max(altitude_deg, 5.0), 90.0)))


def _date_card() -> tuple[str, CardValue]:
    return "DATE", time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


def _command_cards(settings: Settings) -> list[tuple[str, CardValue]]:
    """The lines of the physics command file, PHOV0 on: they prove which physics was used."""
    return [(f"PHOV{number}", line) for number, line in enumerate(settings.commands())]
