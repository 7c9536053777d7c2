"""Stage `e2adc`: from the electrons of an e-image to the numbers that each amplifier gives."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quicksim.detector import FULL_WELL_ELECTRONS
from quicksim.exposure import Exposure
from quicksim.fits import Image, read_float_image, write_unsigned_image
from quicksim.fits_cards import format_card
from quicksim.focal_plane import Amplifier, read_segmentation
from quicksim.pars import Settings, StageError
from quicksim.stage import run_stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.fits_cards import Card

    Pixels = NDArray[np.float32]

LARGEST_ADU = 65_535


@dataclass(frozen=True)
class Readout:
    """The electronics of one amplifier during this visit, as `instrument` drew them."""

    gain: float
    bias: float
    read_noise: float
    dark_current: float
    hot_pixel_rate: float
    hot_column_rate: float

    @classmethod
    def of(cls, settings: Settings, number: int) -> Readout:
        """The lines of amplifier `number`."""
        keys = ("gain", "bias", "readnoise", "darkcurrent", "hotpixelrate", "hotcolumnrate")
        try:
            return cls(*(float(settings.table(key)[number]) for key in keys))
        except (KeyError, ValueError):
            raise StageError(f"the input does not describe amplifier {number}") from None


def light_of(image: Pixels, amplifier: Amplifier) -> Pixels:
    """An amplifier's pixels in the order of its image.

    The rows of an amplifier image run along x of the sensor, its columns along y; a direction of -1 is read backwards.
    """
    part = image[amplifier.y_first : amplifier.y_last + 1, amplifier.x_first : amplifier.x_last + 1].T
    return part[:: amplifier.parallel_read, :: amplifier.serial_read]


def read_out(light: Pixels, amplifier: Amplifier, readout: Readout, exposure: Exposure) -> NDArray[np.uint16]:
    """The amplifier image: light, dark current and hot pixels, then bias and read noise, scans included."""
    random = exposure.random(amplifier.name)
    electrons = light + random.poisson(readout.dark_current * exposure.exposure_s, light.shape).astype(np.float32)
    _heat_pixels(electrons, amplifier.name, readout)
    # Serial overscan comes before the data and serial prescan after it, as PhoSim's BIASSEC and DATASEC have it.
    framed = np.pad(
        electrons,
        (
            (amplifier.serial_overscan, amplifier.serial_prescan),
            (amplifier.parallel_prescan, amplifier.parallel_overscan),
        ),
    )
    framed += readout.read_noise * random.standard_normal(framed.shape, dtype=np.float32)
    adu = np.rint(framed / np.float32(readout.gain) + np.float32(readout.bias))
    return np.asarray(np.clip(adu, 0, LARGEST_ADU), dtype=np.uint16)


def _heat_pixels(electrons: Pixels, amplifier: str, readout: Readout) -> None:
    """Fill hot pixels and columns: the same ones in every visit."""
    random = np.random.default_rng(zlib.crc32(f"hot pixels of {amplifier}".encode()))
    rows, columns = electrons.shape
    for _ in range(random.poisson(readout.hot_pixel_rate * electrons.size)):
        electrons[random.integers(rows), random.integers(columns)] = FULL_WELL_ELECTRONS
    for _ in range(random.poisson(readout.hot_column_rate * electrons.size)):
        electrons[random.integers(rows), :] = FULL_WELL_ELECTRONS


def amplifier_cards(amplifier: Amplifier, readout: Readout, shape: tuple[int, ...]) -> list[str]:
    """What an amplifier's header has besides the cards of its e-image."""
    rows, columns = shape
    left, right = amplifier.parallel_prescan + 1, columns - amplifier.parallel_overscan
    bottom, top = amplifier.serial_overscan + 1, rows - amplifier.serial_prescan
    data = f"[{left}:{right},{bottom}:{top}]"
    device, _, name = amplifier.name.rpartition("_")
    cards: list[Card] = [
        ("CCDID", device),
        ("AMPID", name),
        ("GAIN", readout.gain),
        ("RDNOISE", readout.read_noise / readout.gain),
        ("SATURATE", min(float(LARGEST_ADU), readout.bias + FULL_WELL_ELECTRONS / readout.gain)),
        ("BIASSEC", f"[1:{columns},1:{amplifier.serial_overscan}]"),
        ("DATASEC", data),
        ("TRIMSEC", data),
    ]
    return [format_card(key, value) for key, value in cards]


def digitise(settings: Settings) -> None:
    """Write all amplifier images of one e-image."""
    exposure = Exposure.of(settings)
    device = exposure.device
    amplifiers = read_segmentation(Path(settings.text("instrdir")))[device.name]
    readouts = [Readout.of(settings, number) for number in range(len(amplifiers))]
    image = read_float_image(Path(f"{exposure.image_name}.fits.gz"))
    if image.pixels.shape != (device.rows, device.columns):
        raise StageError(f"{exposure.image_name}.fits.gz is not {device.columns} x {device.rows} pixels")

    def write_one(number: int) -> None:
        _write_amplifier(image, amplifiers[number], readouts[number], exposure)

    with ThreadPoolExecutor(max(1, settings.integer("thread", 1))) as threads:
        for number, _ in enumerate(threads.map(write_one, range(len(amplifiers)))):
            print(f"Reading out chip {device.name} with amplifier chain {amplifiers[number].name}")


def _write_amplifier(image: Image, amplifier: Amplifier, readout: Readout, exposure: Exposure) -> None:
    adu = read_out(light_of(image.pixels, amplifier), amplifier, readout, exposure)
    cards = [*image.cards, *amplifier_cards(amplifier, readout, adu.shape)]
    write_unsigned_image(exposure.amplifier_file(amplifier.name), cards, adu)


def main() -> int:
    """Run the stage."""
    return run_stage("Electron to ADC Image Converter", digitise)
