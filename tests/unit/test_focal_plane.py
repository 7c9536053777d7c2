"""Focal-plane tables, and where the sky falls on a sensor."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from quicksim.tables import FULL, focal_plane_layout, segmentation
from tests.unit.samples import focal_plane
from transformation.model.focal_plane import Amplifier, Pointing, Sensor, TablesInvalid, pixel_of, read_focal_plane

TRUTH = Path(__file__).parents[1] / "data" / "phosim_truth" / "visit_70000001.json"

# The same device in the habits of both generations: words after the sixth column move about.
PHOSIM_3 = "R22_S11 0 0 10 4000 4072 CCD 3.0 Group0 0.0 0.0 0.0 0.0 0.0 0.0 zern 0.0 0.0"
PHOSIM_6 = "R22_S11 0.0 0.0 10.0 4000 4072 silicon CCD frame 3.0 0 0 Group0 0.0 0.0 0.0 0.0 0.0 0.0 zern 0.0"
CHANNELS = "R22_S11 2 4000 4072\nR22_S11_C00 {}\nR22_S11_C10 {}\n".format(
    "0 1999 0 508 1 -1 1.7 3 1000 2 7 3 0.02 0 1 6 4 0 1e-7", "2000 3999 508 0 1 1 1.7 3 1000 2 7 3 0.02 0 1 6 4 0 1e-7"
)


def test_the_whole_focal_plane() -> None:
    devices = focal_plane()
    assert len(devices) == len({device.name for device in devices}) == 205
    assert Counter(device.group for device in devices) == {0: 189, 1: 8, 2: 8}
    assert {device.group for device in devices if device.is_cmos} == {2}
    assert {len(device.amplifiers) for device in devices if device.group == 0} == {16}
    assert {len(device.amplifiers) for device in devices if device.group == 1} == {8}
    assert {(device.nx, device.ny) for device in devices if device.group == 1} == {(2000, 4072)}


def test_science_sensors_stand_where_phosim_has_them() -> None:
    for device in focal_plane():
        if device.group == 0:
            a, b, c, d = (int(device.name[at]) for at in (1, 2, 5, 6))
            assert device.x_um == 127000 * (a - 2) + 42250 * (c - 1), device.name
            assert device.y_um == 127000 * (b - 2) + 42250 * (d - 1), device.name
            assert device.raft == device.name[:3]


def test_amplifiers_have_phosims_names_and_shapes() -> None:
    by_name = {device.name: device for device in focal_plane()}
    names = [f"C{half}{row}" for half in (0, 1) for row in range(8)]
    assert [amplifier.name for amplifier in by_name["R22_S11"].amplifiers] == names
    assert {amplifier.shape for amplifier in by_name["R22_S11"].amplifiers} == {(510, 2010)}
    assert [amplifier.name for amplifier in by_name["R00_S22_C1"].amplifiers] == names[8:]


@pytest.mark.parametrize("row", [PHOSIM_3, PHOSIM_6])
def test_words_are_found_whatever_column_they_stand_in(row: str) -> None:
    (sensor,) = read_focal_plane(f"# a comment\n\n{row}\n", CHANNELS)
    assert (sensor.name, sensor.nx, sensor.ny, sensor.group) == ("R22_S11", 4000, 4072, 0)
    assert (sensor.pixel_um, sensor.is_cmos, sensor.frame_s) == (10.0, False, 3.0)
    # Corners may be given in either order.
    assert sensor.amplifiers == (Amplifier(name="C00", shape=(510, 2010)), Amplifier(name="C10", shape=(510, 2010)))


def test_rows_without_a_group_are_no_devices() -> None:
    assert len(read_focal_plane(f"telescope 3\n{PHOSIM_3}\n", CHANNELS)) == 1


@pytest.mark.parametrize(
    ("layout", "channels", "sentence"),
    [
        ("", CHANNELS, "focalplanelayout.txt names no device"),
        ("# nothing\n", CHANNELS, "focalplanelayout.txt names no device"),
        (f"{PHOSIM_3}\nR22_S12 Group0\n", CHANNELS, "focalplanelayout.txt line 2: "),
        (f"\n{PHOSIM_3.replace('4000', 'many')}\n", CHANNELS, "focalplanelayout.txt line 2: .*many"),
        (PHOSIM_3.replace("CCD", "FILM"), CHANNELS, "focalplanelayout.txt line 1: .*CCD"),
        ("R22_S11 0 0 10 4000 4072 CCD Group0 zern", CHANNELS, "focalplanelayout.txt line 1: .*no usable"),
        (PHOSIM_3.replace("CCD 3.0", "CMOS 0.0"), CHANNELS, "focalplanelayout.txt line 1: .*no usable"),
        (PHOSIM_3.replace("CCD 3.0", "CMOS nan"), CHANNELS, "focalplanelayout.txt line 1: .*no usable"),
        (PHOSIM_3.replace("CCD 3.0", "CCD -1"), CHANNELS, "focalplanelayout.txt line 1: .*no usable"),
        (PHOSIM_3, "R22_S11\n", "segmentation.txt line 1: not a device"),
        (PHOSIM_3, "R22_S11 two 4000 4072\n", "segmentation.txt line 1: not a device"),
        (PHOSIM_3, f"#\n{CHANNELS}R22_S12 3 4000 4072\nR22_S12_C00 0\n", "segmentation.txt line 5: R22_S12 has fewer"),
        (PHOSIM_3, "R22_S11 -1 4000 4072\n", "segmentation.txt line 1: R22_S11 has fewer"),
    ],
)
def test_malformed_tables_are_named_by_line(layout: str, channels: str, sentence: str) -> None:
    with pytest.raises(TablesInvalid, match=sentence):
        read_focal_plane(layout, channels)


@pytest.mark.parametrize("channel", ["", " 0 1999 0 508", " 0 1999 0 x 1 -1 1.7 3 1000 2 7 3 0.02 0 1 6 4 0"])
def test_malformed_channels_are_named_by_device(channel: str) -> None:
    (sensor,) = read_focal_plane(PHOSIM_3, f"R22_S11 1 4000 4072\nR22_S11_C00{channel}\n")
    with pytest.raises(TablesInvalid, match="channels of R22_S11"):
        _ = sensor.amplifiers


def test_every_cut_of_the_tables_is_read_or_refused() -> None:
    """A table that a full disk cut short never ends in anything but `TablesInvalid`."""
    layout, channels = focal_plane_layout(FULL), segmentation(FULL)
    for cut in range(0, 2000, 61):
        refused = ""
        try:
            read_focal_plane(layout[:cut], channels)
            read_focal_plane(layout, channels[: cut * 3])
        except TablesInvalid as error:
            refused = str(error)
        assert ".txt" in refused or cut > 60


@pytest.fixture
def centre() -> Sensor:
    return next(sensor for sensor in focal_plane() if sensor.name == "R22_S11")


def test_the_boresight_is_the_middle_of_the_focal_plane(centre: Sensor) -> None:
    pointing = Pointing(ra_deg=60.0, dec_deg=-38.0, rotskypos_deg=33.0)
    assert pixel_of(pointing, centre, 60.0, -38.0) == pytest.approx((2000, 2036))


@pytest.mark.parametrize(
    ("turn", "dra", "ddec", "shift"),
    [(0.0, 0.1, 0.0, (1799, 0)), (0.0, 0.0, 0.1, (0, 1799)), (90.0, 0.1, 0.0, (0, -1799)), (90.0, 0.0, 0.1, (1799, 0))],
)
def test_the_camera_turns_as_phosims(
    centre: Sensor, turn: float, dra: float, ddec: float, shift: tuple[float, float]
) -> None:
    place = pixel_of(Pointing(ra_deg=0.0, dec_deg=0.0, rotskypos_deg=turn), centre, dra, ddec)
    assert place == pytest.approx((2000 + shift[0], 2036 + shift[1]), abs=1.0)


@pytest.mark.parametrize(("ra", "dec"), [(240.0, 38.0), (180.0, -38.0), (60.0, 60.0)])
def test_nothing_is_seen_behind_the_telescope(centre: Sensor, ra: float, dec: float) -> None:
    assert pixel_of(Pointing(ra_deg=60.0, dec_deg=-38.0, rotskypos_deg=0.0), centre, ra, dec) is None


def test_right_ascension_wraps(centre: Sensor) -> None:
    pointing = Pointing(ra_deg=359.99, dec_deg=10.0, rotskypos_deg=20.0)
    assert pixel_of(pointing, centre, 0.01, 10.0) == pytest.approx(pixel_of(pointing, centre, 360.01, 10.0))


@pytest.mark.skipif(not TRUTH.is_file(), reason=f"{TRUTH} is not there")
def test_positions_agree_with_phosim_to_ten_pixels() -> None:
    truth = json.loads(TRUTH.read_text())
    header = truth["header"]
    pointing = Pointing(
        ra_deg=float(header["rightascension"]),
        dec_deg=float(header["declination"]),
        rotskypos_deg=float(header["rotskypos"]),
    )
    by_name = {device.name: device for device in focal_plane()}
    checked = 0
    for name, seen in truth["sensors"].items():
        for star in seen["stars"]:
            place = pixel_of(pointing, by_name[name], star["ra"], star["dec"])
            assert place is not None
            if star["photons"] > 3000:  # the mean position of a star cut by the edge is not its own
                assert place == pytest.approx((star["x"], star["y"]), abs=10.0), (name, star)
                checked += 1
    assert checked > 50
