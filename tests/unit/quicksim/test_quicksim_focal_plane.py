"""The tables of a release and what the stages read out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from quicksim.focal_plane import find_device, read_layout, read_segmentation, selected_devices
from quicksim.pars import StageError
from quicksim.projection import Projection

if TYPE_CHECKING:
    from pathlib import Path

    from quicksim_runs import Release


@pytest.fixture
def lsst(full: Release) -> Path:
    return full.root / "data" / "lsst"


def test_there_are_205_devices_of_three_kinds(lsst: Path) -> None:
    devices = read_layout(lsst)
    groups = [device.group for device in devices.values()]
    assert [groups.count(f"Group{number}") for number in range(3)] == [189, 8, 8]
    assert all((device.columns, device.rows) == (4000, 4072) for device in devices.values() if device.group != "Group1")
    assert {(device.columns, device.rows) for device in devices.values() if device.group == "Group1"} == {(2000, 4072)}
    assert {device.kind for device in devices.values() if device.group == "Group2"} == {"CMOS"}


@pytest.mark.parametrize(
    ("name", "x_um", "y_um"), [("R22_S11", 0, 0), ("R02_S11", -254000, 0), ("R43_S21", 254000 + 42250, 127000)]
)
def test_sensors_are_where_phosim_has_them(lsst: Path, name: str, x_um: float, y_um: float) -> None:
    device = find_device(lsst, name)
    assert (device.x_um, device.y_um) == (x_um, y_um)


def test_wavefront_halves_lie_side_by_side(lsst: Path) -> None:
    left, right = find_device(lsst, "R00_S22_C0"), find_device(lsst, "R00_S22_C1")
    assert right.x_um - left.x_um == 2000 * 10
    assert (left.x_um + right.x_um) / 2 == -254000 + 42250


def test_every_pixel_belongs_to_one_amplifier(lsst: Path) -> None:
    amplifiers = read_segmentation(lsst)
    for device in read_layout(lsst).values():
        covered = np.zeros((device.rows, device.columns), dtype=np.int8)
        for one in amplifiers[device.name]:
            covered[one.y_first : one.y_last + 1, one.x_first : one.x_last + 1] += 1
        assert (covered == 1).all(), device.name


def test_amplifiers_are_named_after_their_device(lsst: Path) -> None:
    amplifiers = read_segmentation(lsst)
    assert [one.name for one in amplifiers["R00_S22_C1"]] == [f"R00_S22_C1{number}" for number in range(8)]
    assert [one.name for one in amplifiers["R22_S11"]][7:9] == ["R22_S11_C07", "R22_S11_C10"]


def test_tiny_sensors_are_a_tenth_as_long(tiny: Release) -> None:
    device = find_device(tiny.root / "data" / "lsst", "R01_S00")
    assert (device.columns, device.rows, device.x_um) == (400, 408, -254000 - 42250)


@pytest.mark.parametrize(("camconfig", "count"), [(1, 189), (2, 8), (4, 8), (7, 205), (0, 205), (5, 197)])
def test_camconfig_is_a_bit_mask(lsst: Path, camconfig: int, count: int) -> None:
    assert len(selected_devices(read_layout(lsst), camconfig)) == count


def test_guiders_take_a_frame_every_tenth_of_a_second(lsst: Path) -> None:
    assert find_device(lsst, "R00_S12").exposures(nsnap=2, vistime_s=33.0) == 330


def test_an_unknown_chip_is_named(lsst: Path) -> None:
    with pytest.raises(StageError, match="R99_S99"):
        find_device(lsst, "R99_S99")


def _sky_of(projection: Projection, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `Projection.pixels`, by Newton's method on its own numbers."""
    ra, dec = np.full_like(x, projection.ra_deg), np.full_like(x, projection.dec_deg)
    step = 1e-4
    for _ in range(8):
        x0, y0 = projection.pixels(ra, dec)
        xa, ya = projection.pixels(ra + step, dec)
        xd, yd = projection.pixels(ra, dec + step)
        jacobian = np.array([[xa - x0, xd - x0], [ya - y0, yd - y0]]).transpose(2, 0, 1) / step
        moved = np.linalg.solve(jacobian, np.array([x - x0, y - y0]).T[..., None])[..., 0]
        ra, dec = ra + moved[:, 0], dec + moved[:, 1]
    return ra, dec


@pytest.mark.parametrize("name", ["R22_S11", "R01_S00", "R43_S22"])
def test_every_place_of_a_sensor_has_its_own_place_on_the_sky(lsst: Path, name: str) -> None:
    device = find_device(lsst, name)
    projection = Projection(60.49, -38.16, 131.2, device.x_um, device.y_um, 10.0, device.columns, device.rows)
    x, y = np.array([0.0, 3999.0, 0.0, 3999.0, 2000.0]), np.array([0.0, 0.0, 4071.0, 4071.0, 2036.0])
    back_x, back_y = projection.pixels(*_sky_of(projection, x, y))
    np.testing.assert_allclose(back_x, x, atol=1e-6)
    np.testing.assert_allclose(back_y, y, atol=1e-6)


def test_east_is_along_x_and_north_along_y() -> None:
    projection = Projection(0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 4000, 4072)
    x, y = projection.pixels(np.array([0.0, 0.1, 0.0]), np.array([0.0, 0.0, 0.1]))
    np.testing.assert_allclose(x, [2000, 2000 + 1799.2, 2000], atol=0.1)
    np.testing.assert_allclose(y, [2036, 2036, 2036 + 1799.2], atol=0.1)


def test_what_is_behind_the_observer_has_no_place() -> None:
    projection = Projection(0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 4000, 4072)
    assert np.isnan(projection.pixels(np.array([180.0]), np.array([0.0]))[0]).all()
