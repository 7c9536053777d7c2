"""Which images a picture is made of, and how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from submitter.client import Client
from submitter.picture import Stretch
from submitter.troubles import IodError, Trouble
from submitter.viewing import ALL, Look, wanted_units
from tests.unit.submitter.fetch_world import NAME, USER, job_at, lay_out, remember
from tests.unit.test_picture import write_image

UNITS = (
    "v4406-R22_S11-E000",
    "v4406-R22_S11-E001",
    "v4406-R22_S12-E000",
    "v4407-R22_S11-E000",
    "v4406-R00_S22_C0-E000",
)


@pytest.mark.parametrize(
    ("part", "visit", "numbers"),
    [
        (ALL, None, (0, 1, 2, 3, 4)),
        (ALL, "4407", (3,)),
        (ALL, "v4407", (3,)),
        ("R22", None, (0, 1, 2, 3)),
        ("R22", "4406", (0, 1, 2)),
        ("R22_S11", None, (0, 1, 3)),
        ("v4406-R22_S11", None, (0, 1)),
        ("v4406-R22_S11-E001", None, (1,)),
        ("R22_S11-E000", "4407", (3,)),
        ("R00_S22", None, (4,)),
        ("R00_S22_C0", None, (4,)),
    ],
)
def test_what_is_meant(part: str, visit: str | None, numbers: tuple[int, ...]) -> None:
    wanted = wanted_units(Look(part=part, visit=visit))
    assert tuple(number for number, unit in enumerate(UNITS) if wanted(unit)) == numbers


@pytest.mark.parametrize("part", ["", "R2", "R22_S1", "../R22", "v4406", "R22_S11-E0"])
def test_what_means_nothing(part: str) -> None:
    with pytest.raises(IodError, match="is no unit") as caught:
        wanted_units(Look(part=part))
    assert caught.value.row is Trouble.USAGE


def test_a_unit_of_another_visit() -> None:
    with pytest.raises(IodError, match="not of visit 4407"):
        wanted_units(Look(part="v4406-R22", visit="4407"))


def test_a_raft_with_a_sensor_that_is_lost(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    images = [write_image(tmp_path / "sources", f"R22_S0{number}", star=(200, 200)) for number in range(3)]
    lay_out(str(tmp_path / "store"), tmp_path / "random", n_sensors=3, images=images)
    (tmp_path / "store" / USER / NAME / "v4406/lsst_e_4406_f2_R22_S01_E000.fits.gz").write_bytes(b"")
    with Client(remember(tmp_path / "home", job_at(str(tmp_path / "store")))) as client:
        view = client.view(NAME, Look(part="R22", width_px=400), tmp_path / "raft.png")
        assert (len(view.images), view.missing) == (2, ["lsst_e_4406_f2_R22_S01_E000.fits.gz"])
        assert view.images[0] == "lsst_e_4406_f2_R22_S00_E000.fits.gz"
        with Image.open(view.path) as picture:
            assert picture.format == "PNG"
            assert np.asarray(picture).max() == 255
        with pytest.raises(IodError, match="no image of 'R21'"):
            client.view(NAME, Look(part="R21"), tmp_path / "none.png")


@pytest.mark.parametrize("stretch", list(Stretch), ids=lambda one: one.word)
def test_stretches_go_from_black_to_white_and_grow(stretch: Stretch) -> None:
    above = np.linspace(0.0, 80.0, 50, dtype=np.float32)
    light = stretch.light(above, 80.0)
    assert light[0] == 0.0
    assert light[-1] == pytest.approx(1.0)
    assert (np.diff(light) > 0).all()


def test_stretches_differ_in_what_is_faint() -> None:
    order = (Stretch.LOG, Stretch.ASINH, Stretch.SQRT, Stretch.LINEAR)
    faint = [float(stretch.light(np.array([5.0], np.float32), 100.0)[0]) for stretch in order]
    assert faint == sorted(faint, reverse=True)
    assert len(set(faint)) == len(order)
