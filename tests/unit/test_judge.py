"""What makes a unit good, and which difference makes it bad."""

from __future__ import annotations

import math

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.samples import focal_plane, plan, unit, visit_facts
from transformation.fits_facts import Facts
from transformation.judge import DUE_ELECTRONS, Light, electrons_due, judge, keys_of
from transformation.model.failures import Failed, Failure
from transformation.model.focal_plane import Pointing, Sensor
from transformation.model.work import Role, Unit

UNIT = unit()
E_IMAGE, AMPLIFIER = UNIT.files[0].name, UNIT.files[5].name
CENTRE = next(sensor for sensor in focal_plane() if sensor.name == "R22_S11")


def good_facts(one: Unit = UNIT) -> dict[str, Facts | None]:
    """What the simulator leaves if all goes well."""
    found: dict[str, Facts | None] = {}
    for file in one.files:
        header: dict[str, str | int | float | bool | None] = {
            "OBSID": int(one.visit),
            "FILTNM": one.filter,
            "CHIPID": one.sensor,
            "PAIRID": one.exposure,
            "EXPTIME": one.exposure_s,
            "SEED": one.seed,
            "AMPID": file.amplifier,
        }
        is_amplifier = file.role is Role.AMPLIFIER_IMAGE
        found[file.name] = Facts(
            size_bytes=1000,
            adler32="00000001",
            shape=file.shape,
            bitpix=file.bitpix,
            bzero=32768.0 if is_amplifier else 0.0,
            header={key: header[key] for key in keys_of(file)} if file.shape else {},
        )
    return found


def spoilt(name: str, **changes: object) -> dict[str, Facts | None]:
    """The same with one file different; a capital letter is a header key."""
    found = good_facts()
    one = found[name]
    assert one is not None
    keys = {key: value for key, value in changes.items() if key.isupper()}
    rest = {key: value for key, value in changes.items() if not key.isupper()}
    found[name] = msgspec.structs.replace(one, header={**one.header, **keys}, **rest)
    return found


def failure_in(facts: dict[str, Facts | None], one: Unit = UNIT, due: float = 1e6) -> Failed:
    verdict = judge(one, facts, due)
    assert isinstance(verdict, Failed), verdict
    return verdict


def test_a_good_unit_has_nothing_to_note() -> None:
    assert judge(UNIT, good_facts(), 1e6) == ()


@pytest.mark.parametrize("missing", [[E_IMAGE], [AMPLIFIER], [E_IMAGE, AMPLIFIER], [file.name for file in UNIT.files]])
@pytest.mark.parametrize("how", ["None", "absent"])
def test_a_missing_file(missing: list[str], how: str) -> None:
    facts = good_facts()
    for name in missing:
        if how == "None":
            facts[name] = None
        else:
            del facts[name]
    failed = failure_in(facts)
    assert failed.failure is Failure.OUTPUT_MISSING
    assert failed.detail.startswith(f"{UNIT.id}: {len(missing)} of 17 files are missing: {missing[0]}")
    assert ("more" in failed.detail) == (len(missing) > 1)


@pytest.mark.parametrize("name", [E_IMAGE, AMPLIFIER])
@pytest.mark.parametrize(
    ("changes", "words"),
    [({"problem": "does not gunzip to its end: x"}, "does not gunzip"), ({"size_bytes": 0}, "is empty")],
)
def test_a_damaged_file(name: str, changes: dict[str, object], words: str) -> None:
    failed = failure_in(spoilt(name, **changes))
    assert failed.failure is Failure.OUTPUT_DAMAGED
    assert failed.detail.startswith(f"{UNIT.id}: {name} {words}")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (E_IMAGE, {"OBSID": 1}, "OBSID 1, not 87393588"),
        (E_IMAGE, {"OBSID": "87393588"}, "OBSID '87393588', not 87393588"),
        (E_IMAGE, {"OBSID": None}, "OBSID None, not 87393588"),
        (E_IMAGE, {"FILTNM": 3}, "FILTNM 3, not 2"),
        (E_IMAGE, {"CHIPID": "R22_S12"}, "CHIPID 'R22_S12', not 'R22_S11'"),
        (E_IMAGE, {"CHIPID": 5}, "CHIPID 5, not 'R22_S11'"),
        (E_IMAGE, {"PAIRID": 1}, "PAIRID 1, not 0"),
        (E_IMAGE, {"PAIRID": False}, "PAIRID False, not 0"),
        (E_IMAGE, {"SEED": 1001}, "SEED 1001, not 1000"),
        (E_IMAGE, {"EXPTIME": 30.0}, "EXPTIME 30.0, not 15.0"),
        (E_IMAGE, {"EXPTIME": 15.001}, "EXPTIME 15.001, not 15.0"),
        (AMPLIFIER, {"AMPID": "C05"}, "AMPID 'C05', not 'C04'"),
        (AMPLIFIER, {"CHIPID": "R22_S11_C04"}, "CHIPID 'R22_S11_C04', not 'R22_S11'"),
        (E_IMAGE, {"shape": (4072, 4000)}, "shape (4072, 4000), not (4000, 4072)"),
        (E_IMAGE, {"bitpix": 16}, "BITPIX 16 (BZERO 0), not -32"),
        (E_IMAGE, {"bitpix": -64}, "BITPIX -64 (BZERO 0), not -32"),
        (AMPLIFIER, {"bzero": 0.0}, "BITPIX 16 (BZERO 0), not 16"),
        (AMPLIFIER, {"shape": (512, 2010)}, "shape (512, 2010), not (510, 2010)"),
    ],
)
def test_each_difference_is_named(name: str, changes: dict[str, object], words: str) -> None:
    failed = failure_in(spoilt(name, **changes))
    assert failed.failure is Failure.OUTPUT_WRONG
    assert failed.detail == f"{UNIT.id}: {name} has {words}"


def test_all_differences_of_a_file_are_named_together() -> None:
    detail = failure_in(spoilt(E_IMAGE, SEED=1, PAIRID=1, shape=(1, 1))).detail
    assert all(words in detail for words in ("SEED 1", "PAIRID 1", "shape (1, 1)"))


@pytest.mark.parametrize("name", [file.name for file in UNIT.files])
@pytest.mark.parametrize("key", ["OBSID", "FILTNM", "CHIPID", "PAIRID", "EXPTIME", "SEED"])
def test_every_file_is_looked_at(name: str, key: str) -> None:
    assert key in failure_in(spoilt(name, **{key: None})).detail


@pytest.mark.parametrize("exptime", [15, 15.0, 15.000001, 14.999999])
def test_exposure_times_may_differ_by_rounding(exptime: float) -> None:
    assert judge(UNIT, spoilt(E_IMAGE, EXPTIME=exptime), 1e6) == ()


def test_padded_words_are_the_same() -> None:
    assert judge(UNIT, spoilt(E_IMAGE, CHIPID="R22_S11 "), 1e6) == ()


def test_an_empty_centroid_table_is_good_an_empty_throughput_table_is_not() -> None:
    (one,) = plan("R22_S11", visit_facts(nsnap=1, vistime_s=15, centroids=True, throughput=True), amplifiers=False)
    facts = good_facts(one)
    facts[one.files[1].name] = Facts(size_bytes=0, adler32="00000001")
    assert judge(one, facts, 1e6) == ()
    facts[one.files[2].name] = Facts(size_bytes=0, adler32="00000001")
    assert failure_in(facts, one).failure is Failure.OUTPUT_DAMAGED


# -- light


@pytest.mark.parametrize("due", [DUE_ELECTRONS + 1, 304.0, math.inf])
def test_an_all_zero_image_fails_where_light_was_due(due: float) -> None:
    failed = failure_in(spoilt(E_IMAGE, all_zero=True), due=due)
    assert failed.failure is Failure.IMAGE_ALL_ZERO
    assert E_IMAGE in failed.detail


@pytest.mark.parametrize("due", [0.0, 3.0, DUE_ELECTRONS])
def test_an_all_zero_image_of_faint_things_is_noted(due: float) -> None:
    assert judge(UNIT, spoilt(E_IMAGE, all_zero=True), due) == (
        f"{E_IMAGE} is all zero; at most {due:,.0f} electrons were due",
    )


def test_an_amplifier_of_zeros_is_no_matter() -> None:
    """Its zero is 32768 below the bias."""
    assert judge(UNIT, spoilt(AMPLIFIER, all_zero=True), 1e6) == ()


DARK = Light(
    pointing=Pointing(ra_deg=60.0, dec_deg=-38.0, rotskypos_deg=0.0), has_sky=False, has_dome_light=False,
    dome_is_open=True,
)  # fmt: skip


def star(ra: float = 60.0, dec: float = -38.0, mag: float = 20.0) -> str:
    return f"object 1 {ra} {dec} {mag} ../sky/sed_flat.txt 0 0 0 0 0 0 star none none\n"


def due(light: Light, *lines: str, one: Unit = UNIT, sensor: Sensor = CENTRE) -> float:
    return electrons_due(one, light, sensor, iter(lines))


def test_the_dark_sky_is_304_electrons_a_pixel() -> None:
    assert due(replace(DARK, has_sky=True)) == pytest.approx(304 * 4000 * 4072)


def test_a_fainter_sky_gives_less() -> None:
    assert due(replace(DARK, has_sky=True, zenith_v=24.5)) == pytest.approx(30.4 * 4000 * 4072)


def test_a_sky_pushed_out_of_reach_gives_nothing() -> None:
    assert due(replace(DARK, has_sky=True, zenith_v=1000.0)) == 0.0


@pytest.mark.parametrize(("mag", "electrons"), [(20.0, 39_100.0), (22.5, 3_910.0), (27.5, 39.1)])
def test_a_star_on_the_chip(mag: float, electrons: float) -> None:
    assert due(DARK, star(mag=mag)) == pytest.approx(electrons)


def test_two_stars_add_up() -> None:
    assert due(DARK, "\n", star(), "\n", star(ra=60.01)) == pytest.approx(2 * 39_100.0)


@pytest.mark.parametrize(
    "line",
    [
        star(ra=61.0),
        star(dec=-38.3),
        star(ra=240.0, dec=38.0),
        star(dec=-38.0 - 2030 / 17992),  # within 20 pixels of the edge: sensors stand to several pixels only
        "object 1 60.0\n",
        "\n",
        "includeobj more.txt and so on\n",
    ],
)
def test_light_that_misses_the_chip_is_not_due(line: str) -> None:
    assert due(DARK, line) == 0.0


def test_a_closed_dome_is_dark() -> None:
    assert due(replace(DARK, dome_is_open=False), star(mag=10.0)) == 0.0


def test_a_flat_cannot_be_dark() -> None:
    assert due(replace(DARK, has_dome_light=True, dome_is_open=False)) == math.inf


def test_exposure_time_scales_the_light() -> None:
    assert due(DARK, star(), one=replace(UNIT, exposure_s=30.0)) == pytest.approx(2 * 39_100.0)
    assert due(replace(DARK, has_dome_light=True), one=replace(UNIT, exposure_s=0.0)) == 0.0


def test_the_filter_counts() -> None:
    assert due(DARK, star(), one=replace(UNIT, filter=5)) == pytest.approx(9_600.0)


def test_the_catalog_is_read_no_further_than_needed() -> None:
    lines = iter([star(mag=10.0)] * 50)
    assert electrons_due(UNIT, DARK, CENTRE, lines) > 1e6
    assert len(list(lines)) > 40
