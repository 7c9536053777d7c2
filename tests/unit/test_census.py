"""The census of a catalog: objects near each sensor, counted as trim counts them."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.samples import focal_plane
from transformation import census
from transformation.census import (
    BINS_PER_MAGNITUDE,
    BRIGHTEST_KEPT,
    Census,
    half_light_arcsec,
    kind_of,
    magnitude_of,
    margin_pixels,
    take_census,
)
from transformation.model.focal_plane import Pointing, Sensor, pixel_of

POINTING = Pointing(ra_deg=60.0, dec_deg=-38.0, rotskypos_deg=30.0)
NAMES = ("R22_S11", "R22_S12", "R22_S21", "R01_S00", "R43_S22")


def sensors(*names: str) -> tuple[Sensor, ...]:
    return tuple(sensor for sensor in focal_plane() if sensor.name in names)


def line(
    number: int, ra_deg: float = 60.0, dec_deg: float = -38.0, magnitude: float = 20.0, sed: str = "flat.txt",
    shape: str = "point",
) -> bytes:  # fmt: skip
    return f"object {number} {ra_deg!r} {dec_deg!r} {magnitude!r} {sed} 0 0 0 0 0 0 {shape} none none\n".encode()


def counted(*lines: bytes, names: tuple[str, ...] = ("R22_S11",)) -> Census:
    return take_census(lines, POINTING, sensors(*names))


@st.composite
def sky_objects(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """RA, Dec, magnitude and half-light radius (0: a point) of an object somewhere about the focal plane."""
    far = draw(st.booleans())
    reach = 3.0 if far else 0.3
    dec = POINTING.dec_deg + draw(st.floats(-reach, reach))
    ra = (POINTING.ra_deg + draw(st.floats(-reach, reach)) * 1.27) % 360.0
    return ra, dec, draw(st.floats(5.0, 28.0)), draw(st.one_of(st.just(0.0), st.floats(0.05, 60.0)))


@given(st.lists(sky_objects(), max_size=30))
def test_census_counts_what_a_naive_count_finds(objects: list[tuple[float, float, float, float]]) -> None:
    lines = [
        line(at, ra, dec, magnitude, shape=f"sersic2d {size!r} {size!r} 0 1" if size else "point")
        for at, (ra, dec, magnitude, size) in enumerate(objects)
    ]
    found = take_census(lines, POINTING, sensors(*NAMES))
    for sensor in sensors(*NAMES):
        near = []
        for ra, dec, magnitude, size in objects:
            place = pixel_of(POINTING, sensor, ra, dec)
            margin = margin_pixels(magnitude, size)
            if place is not None and all(
                -margin < at < pixels + margin for at, pixels in zip(place, (sensor.nx, sensor.ny), strict=True)
            ):
                near.append(kind_of(magnitude, size))
        assert found.sensors[sensor.name].kinds == Counter(near)
        assert found.sensors[sensor.name].n_objects == len(near)


@given(st.floats(-5.0, 40.0), st.floats(0.1, 500.0))
def test_kind_stands_for_its_objects(magnitude: float, size_arcsec: float) -> None:
    kind = kind_of(magnitude, size_arcsec)
    assert magnitude_of(kind) == pytest.approx(magnitude, abs=0.5 / BINS_PER_MAGNITUDE)
    assert 0.8 < half_light_arcsec(kind) / size_arcsec < 1.25
    assert half_light_arcsec(kind_of(magnitude, 0.0)) == 0.0


@given(st.floats(-5.0, 30.0), st.floats(-5.0, 30.0))
def test_brighter_objects_count_from_farther_away(one: float, other: float) -> None:
    assert margin_pixels(min(one, other), 0.0) >= margin_pixels(max(one, other), 0.0)
    assert margin_pixels(one, 1.0) >= margin_pixels(one, 0.0)
    assert margin_pixels(one, 0.0) <= 4000.0


def test_margin_is_that_of_trim() -> None:
    assert margin_pixels(20.0, 0.0) == pytest.approx(50.0)
    assert margin_pixels(15.0, 0.0) == pytest.approx(230.0)
    assert margin_pixels(30.0, 1.0) == pytest.approx(30.2 + 8.0 / 0.2, abs=0.1)


def test_spectra_are_counted_once_an_object_and_once_a_sensor() -> None:
    between = 60.0 + 0.5 * 42250 / 10 / 17992 / math.cos(math.radians(38.0))
    pointing = Pointing(ra_deg=60.0, dec_deg=-38.0, rotskypos_deg=0.0)
    places = ((60.0, "a"), (between, "b.gz"), (70.0, "c"), (between, "a"))
    lines = [line(number, ra, magnitude=15.0, sed=sed) for number, (ra, sed) in enumerate(places, start=1)]
    found = take_census(lines, pointing, sensors("R22_S11", "R22_S21"))
    assert [(sed.name, sed.first, sed.n_objects) for sed in found.seds] == [("a", 1, 2), ("b.gz", 2, 1)]
    assert found.sensors["R22_S11"].seds == {0: 2, 1: 1}
    assert found.sensors["R22_S21"].seds == {0: 1, 1: 1}


def test_spectra_beyond_the_list_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "MOST_SEDS", 2)
    found = counted(*(line(number, sed=f"sed-{number}") for number in range(5)), line(5, sed="sed-0"))
    assert [sed.n_objects for sed in found.seds] == [2, 1]
    assert found.n_unlisted_seds == 3


def test_the_brightest_are_kept_in_order() -> None:
    magnitudes = [20.0, 12.0, 25.0, 9.5, *(18.0 + number / 100 for number in range(20))]
    found = counted(*(line(number, magnitude=magnitude) for number, magnitude in enumerate(magnitudes)))
    brightest = found.sensors["R22_S11"].brightest
    assert [one.magnitude for one in brightest] == sorted(magnitudes)[:BRIGHTEST_KEPT]
    assert [(one.id, one.number) for one in brightest[:2]] == [("3", 4), ("1", 2)]


def test_shapes_have_their_half_light_radius() -> None:
    shapes = ("sersic2d 2.5 1 30 4", "gauss 2", "fits 0.2 0", "movingpoint 1 1", "pinhole 1 2 3 4", "star")
    found = counted(*(line(number, shape=shape) for number, shape in enumerate(shapes)))
    sizes = [one.size_arcsec for one in found.sensors["R22_S11"].brightest]
    assert sizes == [2.5, pytest.approx(2.35482), 0.0, 0.0, 0.0, 0.0]


def test_sensor_without_objects_is_there_and_empty() -> None:
    found = counted(line(1, 61.0), names=("R22_S11", "R22_S12"))
    assert {name: one.n_objects for name, one in found.sensors.items()} == {"R22_S11": 0, "R22_S12": 0}
    assert found.seds == ()
