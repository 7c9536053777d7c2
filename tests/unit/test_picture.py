"""Pictures of sensors: each in its place, sky black, stars white, rays gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from submitter.picture import BACKGROUND, MARGIN_PX, Label, draw_mosaic, sensor_centre_um
from transformation.model.focal_plane import read_focal_plane

ROWS, COLUMNS = 408, 400
SKY = 300.0
WAVEFRONT_GROUP = 1


def write_image(folder: Path, sensor: str, *, exposure: int = 0, star: tuple[int, int] | None = None) -> Path:
    """A sky with noise, and a bright star at (x, y)."""
    random = np.random.default_rng(exposure)
    pixels = random.poisson(SKY, (ROWS, COLUMNS)).astype(np.float32)
    if star is not None:
        x, y = star
        pixels[y - 5 : y + 6, x - 5 : x + 6] = 50_000
    header = fits.Header({"CHIPID": sensor, "RA_DEG": 180.0, "DEC_DEG": 0.0, "ROTANG": 0.0})
    path = folder / f"lsst_e_1_f2_{sensor}_E{exposure:03d}.fits.gz"
    fits.PrimaryHDU(pixels, header).writeto(path)
    return path


def pixels_of(image: object) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_names_give_the_places_of_the_release(tiny_release: Path) -> None:
    tables = tiny_release / "data/lsst"
    layout = (tables / "focalplanelayout.txt").read_text()
    for sensor in read_focal_plane(layout, (tables / "segmentation.txt").read_text()):
        if sensor.group != WAVEFRONT_GROUP:  # of the small release, these are nearer to each other
            assert sensor_centre_um(sensor.name) == (sensor.x_um, sensor.y_um)


def test_halves_of_wavefront_sensors_stand_beside_each_other() -> None:
    assert sensor_centre_um("R00_S22_C0") == (-221_750.0, -211_750.0)
    assert sensor_centre_um("R44_S00_C1") == (221_750.0, 211_750.0)


@pytest.mark.parametrize("name", ["", "R22", "R22_S11_C00", "M86"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a sensor"):
        sensor_centre_um(name)


def test_no_image_is_no_picture() -> None:
    with pytest.raises(ValueError, match="no images"):
        draw_mosaic([], "nothing")


def test_one_sensor_has_a_black_sky_and_a_white_star(tmp_path: Path) -> None:
    picture = draw_mosaic([write_image(tmp_path, "R22_S11", star=(100, 300))], "one sensor", width_px=600)
    drawn = pixels_of(picture)[MARGIN_PX : MARGIN_PX + ROWS, MARGIN_PX : MARGIN_PX + COLUMNS, 0]
    assert np.median(drawn) < 12
    # x grows to the left and y upwards.
    assert drawn[ROWS - 1 - 300, COLUMNS - 1 - 100] > 200
    assert drawn[300, 100] < 60


def test_the_picture_keeps_to_its_width(tmp_path: Path) -> None:
    picture = draw_mosaic([write_image(tmp_path, "R22_S11")], "small", width_px=200)
    assert picture.width <= 200


def test_sensors_stand_beside_each_other_with_their_gap(tmp_path: Path) -> None:
    images = [write_image(tmp_path, "R22_S11"), write_image(tmp_path, "R22_S21", star=(200, 200))]
    drawn = pixels_of(draw_mosaic(images, "two", width_px=500))
    middle = drawn[drawn.shape[0] // 3]
    assert tuple(middle[len(middle) // 2]) == BACKGROUND
    left, right = drawn[: drawn.shape[0] // 2, : len(middle) // 2], drawn[: drawn.shape[0] // 2, len(middle) // 2 :]
    assert left.max() > 200, "S21 has the larger x, so it stands on the left"
    assert right.max() < 150


def test_a_ray_in_one_of_two_exposures_is_taken_out(tmp_path: Path) -> None:
    images = [write_image(tmp_path, "R22_S11"), write_image(tmp_path, "R22_S11", exposure=1, star=(200, 200))]
    drawn = pixels_of(draw_mosaic(images, "", width_px=600))
    assert drawn[MARGIN_PX : MARGIN_PX + ROWS, MARGIN_PX : MARGIN_PX + COLUMNS].max() < 100


def test_labels_stand_on_sensors_or_nowhere(tmp_path: Path) -> None:
    image = write_image(tmp_path, "R22_S11")
    bare, here, elsewhere = (
        pixels_of(draw_mosaic([image], "labels", width_px=600, labels=labels))
        for labels in (
            [],
            [Label(text="M86", ra_deg=180.0, dec_deg=0.0)],
            [Label(text="M31", ra_deg=10.7, dec_deg=41.3)],
        )
    )
    assert (bare == elsewhere).all()
    assert (bare != here).any()


def test_the_caption_adds_its_lines(tmp_path: Path) -> None:
    image = write_image(tmp_path, "R22_S11")
    assert draw_mosaic([image], "one\ntwo").height > draw_mosaic([image], "one").height
