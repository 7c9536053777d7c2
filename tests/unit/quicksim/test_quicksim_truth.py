"""quicksim against real PhoSim output of the same catalog: positions, fluxes and PSF widths.

The truth is in tests/data/phosim_truth: what PhoSim 3.4 gave, star by star, without sky and cosmic rays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

if TYPE_CHECKING:
    from quicksim_runs import Release, Run

TRUTH = Path(__file__).parents[2] / "data" / "phosim_truth"
SENSORS = ("R02_S11", "R22_S11", "R33_S21")
APERTURE_PIXELS = 20
HALF = 25


@pytest.fixture(scope="module")
def truth() -> dict:
    return json.loads((TRUTH / "visit_70000001.json").read_text())["sensors"]


@pytest.fixture(scope="module")
def run(full: Release, tmp_path_factory: pytest.TempPathFactory) -> Run:
    options = ["-c", str(TRUTH / "visit_70000001.commands.txt"), "-s", "|".join(SENSORS), "-p", "2", "-e", "0"]
    return full.phosim(tmp_path_factory.mktemp("truth"), TRUTH / "visit_70000001.catalog.txt", *options)


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


def measured(pixels: np.ndarray, stars: list[dict]) -> np.ndarray:
    """Per star: shift in x and y (pixels), flux ratio, FWHM (pixels)."""
    rows = []
    y, x = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    for star in stars:
        column, row = round(star["x"]), round(star["y"])
        inside = HALF < column < pixels.shape[1] - HALF - 1 and HALF < row < pixels.shape[0] - HALF - 1
        if star["photons"] < 5000 or not inside:
            continue
        stamp = pixels[row - HALF : row + HALF + 1, column - HALF : column + HALF + 1].astype(float)
        cx, cy, fwhm = adaptive_moments(stamp)
        flux = stamp[(x - cx) ** 2 + (y - cy) ** 2 < APERTURE_PIXELS**2].sum()
        rows.append((column + cx - star["x"], row + cy - star["y"], flux / star["photons"], fwhm))
    return np.array(rows)


@pytest.mark.parametrize("sensor", SENSORS)
def test_a_sensor_agrees_with_phosim(run: Run, truth: dict, sensor: str) -> None:
    assert run.code == 0, run.stderr
    with fits.open(run.output / f"lsst_e_70000001_f2_{sensor}_E000.fits.gz", memmap=False) as hdus:
        rows = measured(np.array(hdus[0].data), truth[sensor]["stars"])
    assert len(rows) >= 8
    shifts = rows[:, :2] - rows[:, :2].mean(axis=0)
    assert np.sqrt((shifts**2).sum(axis=1).mean()) < 0.8
    assert np.median(rows[:, 2]) == pytest.approx(1, abs=0.05)
    assert np.median(rows[:, 3]) / truth[sensor]["psf_fwhm_pix"] == pytest.approx(1, abs=0.15)


def test_totals_agree_with_phosim(run: Run, truth: dict) -> None:
    """Everything that PhoSim's stars gave on a chip, to 5 %: no star too many, none too few."""
    for sensor in SENSORS:
        with fits.open(run.output / f"lsst_e_70000001_f2_{sensor}_E000.fits.gz", memmap=False) as hdus:
            assert hdus[0].data.sum(dtype=float) == pytest.approx(truth[sensor]["total"], rel=0.05)
