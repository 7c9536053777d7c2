"""quicksim against real PhoSim output of the same stars: positions, fluxes and PSF widths, sensor by sensor.

The truth, `tests/data/phosim_truth`, is what PhoSim 3.4 gave for one visit in r, without sky and cosmic rays.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from benchmarks.job import QUICKSIM, ROOT

TRUTH = ROOT / "tests/data/phosim_truth"
APERTURE_PIXELS = 20
HALF = 25
LEAST_PHOTONS = 5000


def adaptive_moments(stamp: np.ndarray) -> tuple[float, float, float]:
    """Centre and FWHM with a Gaussian weight that is fitted to the star itself."""
    y, x = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    top = np.unravel_index(np.argmax(stamp), stamp.shape)
    cx, cy, sigma = top[1] - HALF, top[0] - HALF, 2.0
    for _ in range(40):
        weighted = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2)) * stamp
        total = weighted.sum()
        cx, cy = (weighted * x).sum() / total, (weighted * y).sum() / total
        sigma = np.sqrt((weighted * ((x - cx) ** 2 + (y - cy) ** 2)).sum() / total)
    return cx, cy, 2.3548 * sigma


def measured(pixels: np.ndarray, stars: list[dict[str, Any]]) -> np.ndarray:
    """Per star: shift in x and y (pixels), flux ratio, FWHM (pixels)."""
    rows = []
    y, x = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    for star in stars:
        column, row = round(star["x"]), round(star["y"])
        inside = HALF < column < pixels.shape[1] - HALF - 1 and HALF < row < pixels.shape[0] - HALF - 1
        if star["photons"] < LEAST_PHOTONS or not inside:
            continue
        stamp = pixels[row - HALF : row + HALF + 1, column - HALF : column + HALF + 1].astype(float)
        cx, cy, fwhm = adaptive_moments(stamp)
        flux = stamp[(x - cx) ** 2 + (y - cy) ** 2 < APERTURE_PIXELS**2].sum()
        rows.append((column + cx - star["x"], row + cy - star["y"], flux / star["photons"], fwhm))
    return np.array(rows)


def measure(folder: Path) -> dict[str, float]:
    """Worst residual and ratios over the sensors, and for each sensor its offset from PhoSim's, in pixels."""
    stars = json.loads((TRUTH / "visit_70000001.json").read_text())["sensors"]
    sensors = [name for name in stars if sum(star["photons"] >= LEAST_PHOTONS for star in stars[name]["stars"]) > 3]
    images = _simulate(folder, sensors)
    found: dict[str, float] = {}
    for sensor in sensors:
        with fits.open(images / f"lsst_e_70000001_f2_{sensor}_E000.fits.gz", memmap=False) as hdus:
            rows = measured(np.array(hdus[0].data), stars[sensor]["stars"])
        shifts = rows[:, :2] - rows[:, :2].mean(axis=0)
        found |= {
            f"{sensor}_offset_x": float(rows[:, 0].mean()),
            f"{sensor}_offset_y": float(rows[:, 1].mean()),
            f"{sensor}_rms": float(np.sqrt((shifts**2).sum(axis=1).mean())),
            f"{sensor}_flux": float(np.median(rows[:, 2])),
            f"{sensor}_fwhm": float(np.median(rows[:, 3]) / stars[sensor]["psf_fwhm_pix"]),
        }
    return found


def _simulate(folder: Path, sensors: list[str]) -> Path:
    work, output = folder / "work", folder / "output"
    for fresh in (work, output):
        fresh.mkdir(parents=True)
    subprocess.run(
        [
            sys.executable, QUICKSIM / "phosim.py", TRUTH / "visit_70000001.catalog.txt", "-w", work, "-o", output,
            "-c", TRUTH / "visit_70000001.commands.txt", "-s", "|".join(sensors), "-p", "2", "-e", "0",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return output
