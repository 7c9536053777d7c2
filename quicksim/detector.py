"""What the silicon adds to and takes from an image: cosmic rays, full wells, blooming."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.focal_plane import Device

    Floats = NDArray[np.float64]
    Pixels = NDArray[np.float32]

FULL_WELL_ELECTRONS = 100_000.0
"""PhoSim's `welldepth`."""

RAY_DENSITY = 0.6
"""Cosmic rays per square centimetre in 15 s: the muon rate of a mountain site, about two a minute."""

RAY_EXPOSURE_S = 15.0
SILICON_UM = 100.0
ELECTRONS_PER_UM = 80.0
"""What a fast muon sets free along its way through silicon."""

UM_PER_CM = 10_000.0
STEPS_PER_PIXEL = 4
COLUMNS_AT_ONCE = 256


def add_cosmic_rays(
    pixels: Pixels, device: Device, density: float, exposure_s: float, random: np.random.Generator
) -> None:
    """Draw straight tracks of fast particles through the silicon."""
    rows, columns = pixels.shape
    area_cm2 = rows * columns * (device.pixel_um / UM_PER_CM) ** 2
    for _ in range(random.poisson(density * area_cm2 * exposure_s / RAY_EXPOSURE_S)):
        # Muons from above, thinning out as the square of the cosine of their angle from the sensor's normal.
        cosine = max(random.random() ** (1 / 3), 0.05)
        length_pixels = SILICON_UM / device.pixel_um * np.sqrt(1 / cosine**2 - 1)
        steps = int(length_pixels * STEPS_PER_PIXEL) + 1
        electrons = random.poisson(SILICON_UM / cosine * ELECTRONS_PER_UM / steps, steps)
        direction = random.uniform(0, 2 * np.pi)
        along = np.linspace(0, length_pixels, steps)
        x = (random.uniform(0, columns) + along * np.cos(direction)).astype(np.int64)
        y = (random.uniform(0, rows) + along * np.sin(direction)).astype(np.int64)
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        np.add.at(pixels, (y[inside], x[inside]), electrons[inside].astype(np.float32))


def fill_wells(pixels: Pixels, full_well: float, blooming: bool) -> None:
    """Keep every pixel at or below the full well; what is too much blooms along its column, or is lost."""
    if blooming:
        overflowing = np.nonzero((pixels > full_well).any(axis=0))[0]
        for first in range(0, len(overflowing), COLUMNS_AT_ONCE):
            some = overflowing[first : first + COLUMNS_AT_ONCE]
            pixels[:, some] = _bloomed(pixels[:, some].astype(np.float64), full_well)
    np.minimum(pixels, np.float32(full_well), out=pixels)


def _bloomed(columns: Floats, full_well: float) -> Floats:
    """Columns after half of every excess has run up and half down into the next pixels with room."""
    excess = np.maximum(columns - full_well, 0)
    upward = np.floor(excess / 2)
    filled = np.minimum(columns, full_well)
    _flow(filled, upward, full_well)
    _flow(filled[::-1], (excess - upward)[::-1], full_well)
    return filled


def _flow(filled: Floats, released: Floats, full_well: float) -> None:
    """Carry charge that is set free in each row towards the last one; what gets there is lost."""
    carried = np.zeros(filled.shape[1])
    for row in range(len(filled)):
        carried += released[row]
        taken = np.minimum(carried, full_well - filled[row])
        filled[row] += taken
        carried -= taken
