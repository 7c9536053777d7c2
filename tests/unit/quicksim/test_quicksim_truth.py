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

from benchmarks.accuracy import measured

if TYPE_CHECKING:
    from quicksim_runs import Release, Run

TRUTH = Path(__file__).parents[2] / "data" / "phosim_truth"
SENSORS = ("R02_S11", "R22_S11", "R33_S21")


@pytest.fixture(scope="module")
def truth() -> dict:
    return json.loads((TRUTH / "visit_70000001.json").read_text())["sensors"]


@pytest.fixture(scope="module")
def run(full: Release, tmp_path_factory: pytest.TempPathFactory) -> Run:
    options = ["-c", str(TRUTH / "visit_70000001.commands.txt"), "-s", "|".join(SENSORS), "-p", "2", "-e", "0"]
    return full.phosim(tmp_path_factory.mktemp("truth"), TRUTH / "visit_70000001.catalog.txt", *options)


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
