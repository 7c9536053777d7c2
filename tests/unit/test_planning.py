"""The plan: each sensor and exposure once, with PhoSim's names."""

from __future__ import annotations

import re
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.samples import failure_of, focal_plane, plan, unit, visit_facts
from transformation.model.failures import Failure, JobError
from transformation.model.work import Role
from transformation.planning import Selection, has_sky, parse_select, plan_visit, select_sensors

NAMES = [sensor.name for sensor in focal_plane()]
SCIENCE = [sensor.name for sensor in focal_plane() if sensor.group == 0]


def chosen(pattern: str) -> list[str]:
    return [sensor.name for sensor in select_sensors(pattern, focal_plane())]


@given(
    st.lists(st.sampled_from(SCIENCE), min_size=1, max_size=6, unique=True),
    st.integers(1, 4),
    st.data(),
    st.booleans(),
)
def test_each_sensor_and_exposure_exactly_once(sensors: list[str], nsnap: int, data: st.DataObject, some: bool) -> None:
    exposures = tuple(data.draw(st.lists(st.integers(0, nsnap - 1), min_size=1))) if some else None
    facts = visit_facts(nsnap=nsnap)
    units = plan("|".join(sensors), facts, exposures=exposures)
    wanted = set(exposures or range(nsnap))
    assert len(units) == len(sensors) * len(wanted)
    assert {(unit.sensor, unit.exposure) for unit in units} == {(name, snap) for name in sensors for snap in wanted}
    assert len({unit.id for unit in units}) == len(units)
    names = [file.name for unit in units for file in unit.files]
    assert len(set(names)) == len(names)
    # The order is the focal plane's, whatever the request's.
    assert units == plan("|".join(reversed(sensors)), facts, exposures=exposures and exposures[::-1])
    assert [unit.sensor for unit in units] == sorted((unit.sensor for unit in units), key=NAMES.index)


@given(st.sampled_from(NAMES), st.integers(1, 2**31 - 1), st.integers(0, 999), st.integers(0, 5))
def test_ids_tell_what_they_are(sensor: str, visit: int, snap: int, band: int) -> None:
    facts = replace(visit_facts(visit=str(visit), nsnap=1000, vistime_s=1e5), filter=band)
    (one,) = plan(re.escape(sensor), facts, exposures=(snap,), amplifiers=False)
    assert one.id == f"v{visit}-{sensor}-E{snap:03d}"
    assert [file.name for file in one.files] == [f"lsst_e_{visit}_f{band}_{sensor}_E{snap:03d}.fits.gz"]


def test_the_files_of_a_unit_are_phosims() -> None:
    files = unit("R22_S11").files
    channels = [f"C{half}{row}" for half in (0, 1) for row in range(8)]
    assert [file.name for file in files] == [
        "lsst_e_87393588_f2_R22_S11_E000.fits.gz",
        *(f"lsst_a_87393588_f2_R22_S11_{channel}_E000.fits.gz" for channel in channels),
    ]
    assert (files[0].role, files[0].shape, files[0].bitpix) == (Role.ELECTRON_IMAGE, (4000, 4072), -32)
    assert {(file.role, file.shape, file.bitpix) for file in files[1:]} == {(Role.AMPLIFIER_IMAGE, (510, 2010), 16)}
    assert [file.amplifier for file in files] == [None, *channels]


def test_a_wavefront_half_merges_the_digit_of_the_half() -> None:
    names = [file.name for file in unit("R00_S22_C1").files]
    assert names[0] == "lsst_e_87393588_f2_R00_S22_C1_E000.fits.gz"
    assert names[1:] == [f"lsst_a_87393588_f2_R00_S22_C1{row}_E000.fits.gz" for row in range(8)]


def test_tables_that_the_physics_asks_for_are_expected() -> None:
    (one,) = plan("R22_S11", visit_facts(nsnap=1, centroids=True, throughput=True), amplifiers=False)
    assert [(file.name, file.role, file.shape) for file in one.files[1:]] == [
        ("centroid_lsst_e_87393588_f2_R22_S11_E000.txt", Role.CENTROIDS, None),
        ("throughput_lsst_e_87393588_f2_R22_S11_E000.txt", Role.THROUGHPUT, None),
    ]


def test_another_instrument_gives_its_name_to_files() -> None:
    selection = Selection(sensors="R22_S11", exposures=(0,), amplifiers=False, instrument="comcam10")
    (one,) = plan_visit(visit_facts(), selection, focal_plane())
    assert one.files[0].name.startswith("comcam10_e_")


def test_extraid_is_in_every_name() -> None:
    one = plan("R22_S11", visit_facts(visit="4242007"), exposures=(0,))[0]
    assert one.id == "v4242007-R22_S11-E000"
    assert all("_4242007_f2_" in file.name for file in one.files)


@pytest.mark.parametrize(
    ("pattern", "sensors"),
    [
        ("R22_S11", ["R22_S11"]),
        ("R22_S11|R22_S12", ["R22_S11", "R22_S12"]),
        ("R11_S..", [name for name in SCIENCE if name.startswith("R11_")]),
        (".*", SCIENCE),
        ("R.*", SCIENCE),
        # not science: when nothing else matches, or when spelled
        ("R00_S22_C0", ["R00_S22_C0"]),
        ("R00_S12", ["R00_S12"]),
        ("R00_.*", [name for name in NAMES if name.startswith("R00_")]),
        ("R22_S11|R00_S12", ["R22_S11", "R00_S12"]),
        ("(R22_S11|R00_S22_C1)", ["R22_S11", "R00_S22_C1"]),
        ("(?:R22_S11|R00_S22_C1)$", ["R22_S11", "R00_S22_C1"]),
        (".*|R44_S10", [*SCIENCE, "R44_S10"]),
        ("R00_.*|R22_S11", ["R22_S11", *(name for name in NAMES if name.startswith("R00_"))]),
    ],
)
def test_which_sensors_a_pattern_means(pattern: str, sensors: list[str]) -> None:
    assert sorted(chosen(pattern)) == sorted(sensors)


@pytest.mark.parametrize("pattern", ["R22", "22_S11", "R22_S1", "R22_S11 ", "r22_s11", "R00_S00", "R22_S11_C00"])
def test_a_pattern_that_matches_no_whole_name(pattern: str) -> None:
    with pytest.raises(JobError, match=r"matches none of the 205 devices of the release \(R01_S00 .. ") as caught:
        chosen(pattern)
    assert caught.value.failed.failure is Failure.NO_SENSOR_MATCHES


@pytest.mark.parametrize(
    "pattern", ["R22_S(11", "*", "R22[", "(?P<a>x)(?P<a>y)", "x{99999999999999999999}", "(" * 5000]
)
def test_a_pattern_that_does_not_compile(pattern: str) -> None:
    with pytest.raises(JobError, match="does not compile") as caught:
        chosen(pattern)
    assert caught.value.failed.failure is Failure.SENSOR_PATTERN_INVALID


def test_a_pattern_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformation.planning._PATTERN_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(JobError, match="takes too long") as caught:
        chosen(r"(?:\w|[A-Z0-9_]|[^#]|[^!]|[^?]|[^$]|[^%]|[^&]){1,12}#")
    assert caught.value.failed.failure is Failure.SENSOR_PATTERN_INVALID
    assert time.monotonic() - began < 3.0


def test_the_alarm_is_put_back() -> None:
    def mine(_number: int, _frame: object) -> None:
        pass

    before = signal.signal(signal.SIGALRM, mine)
    try:
        chosen("R22_S11")
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_cmos_guiders_count_frames() -> None:
    units = plan("R00_S12", visit_facts(vistime_s=33.0, nsnap=2), amplifiers=False)
    assert len(units) == 330
    assert units[-1].exposure_id == "E329"
    assert {unit.exposure_s for unit in units} == {0.1}


@pytest.mark.parametrize(
    ("vistime_s", "nsnap", "exposure_s"), [(33.0, 2, 15.0), (30.0, 1, 30.0), (15.0, 1, 15.0), (96.0, 3, 30.0)]
)
def test_the_open_shutter_time(vistime_s: float, nsnap: int, exposure_s: float) -> None:
    units = plan("R22_S11", visit_facts(vistime_s=vistime_s, nsnap=nsnap))
    assert [unit.exposure_s for unit in units] == pytest.approx([exposure_s] * nsnap)


def test_each_snap_has_the_next_seed() -> None:
    assert [unit.seed for unit in plan("R22_S11", visit_facts(seed=4242, nsnap=3))] == [4242, 4243, 4244]


def test_exposures_are_sorted_and_single() -> None:
    assert [unit.exposure for unit in plan("R22_S11", exposures=(1, 0, 1))] == [0, 1]


@pytest.mark.parametrize("exposures", [(2,), (0, 2), (0, 1, 99)])
def test_an_exposure_that_does_not_exist(exposures: tuple[int, ...]) -> None:
    with pytest.raises(JobError) as caught:
        plan("R22_S11", exposures=exposures)
    assert failure_of(caught.value) == (
        Failure.SPEC_INVALID,
        f"'exposures': {max(exposures)} does not exist, visit 87393588 has 2 (numbered from 0)",
    )


@pytest.mark.parametrize(
    ("only", "sensors"),
    [
        ((), ["R21_S22", "R22_S11", "R22_S12"]),
        ((("87393588", "R22_S11"),), ["R22_S11"]),
        ((("87393588", "R22"),), ["R22_S11", "R22_S12"]),
        ((("87393588", "R22_S12"), ("87393588", "R21")), ["R21_S22", "R22_S12"]),
        ((("1", "R22_S11"),), []),
        ((("1", "R22"), ("87393588", "R22_S12")), ["R22_S12"]),
        ((("87393588", "R30"),), []),
    ],
)
def test_a_part_of_the_request(only: tuple[tuple[str, str], ...], sensors: list[str]) -> None:
    units = plan("R21_S22|R22_S11|R22_S12", exposures=(0,), only=only)
    assert [unit.sensor for unit in units] == sensors


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("v161899:R22_S11,v161900:R22", (("161899", "R22_S11"), ("161900", "R22"))),
        (" v1:R00_S22_C0 , v2:R44 ", (("1", "R00_S22_C0"), ("2", "R44"))),
    ],
)
def test_select_is_read(text: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert parse_select(text) == pairs


@pytest.mark.parametrize(
    "text", ["", "R22_S11", "v1:", "v1:R2", "v1:R22_S1", "v1:R22_S11;v2:R22", "v1:R22,", "v1/2:R22"]
)
def test_select_is_refused(text: str) -> None:
    with pytest.raises(JobError, match="is not of the form v161899:R22_S11") as caught:
        parse_select(text)
    assert caught.value.failed.failure is Failure.USAGE


def test_a_release_without_channels_is_broken() -> None:
    for channels in ((), ("R22_S11_C00 0 x",)):
        devices = [replace(sensor, channels=channels) for sensor in focal_plane() if sensor.name == "R22_S11"]
        selection = Selection(sensors="R22_S11", exposures="all", amplifiers=True)
        with pytest.raises(JobError, match=r"segmentation.txt.*R22_S11") as caught:
            plan_visit(visit_facts(), selection, devices)
        assert caught.value.failed.failure is Failure.RELEASE_BROKEN
        assert plan_visit(visit_facts(), replace(selection, amplifiers=False), devices)


@pytest.mark.parametrize(
    ("commands", "telconfig", "sky"),
    [
        ({}, 0, True),
        ({}, 1, False),
        ({}, 2, False),
        ({"zenith_v": ("21.5",)}, 0, True),
        ({"zenith_v": ("1000.0",)}, 0, False),
        ({"zenith_v": ("30.0",)}, 0, True),
        ({"zenith_v": ()}, 0, True),
        ({"zenith_v": ("dark",)}, 0, True),
        ({"zenith_v": ("dark",)}, 1, False),
    ],
)
def test_where_the_sky_puts_light(commands: dict[str, tuple[str, ...]], telconfig: int, sky: bool) -> None:
    assert has_sky(commands, telconfig) is sky


def test_a_sky_makes_larger_files() -> None:
    """PhoSim 3.4, one sensor and snap: 53 MB with sky, 14 MB without."""
    for sky, megabytes in ((True, 53), (False, 14)):
        one = plan("R22_S11", visit_facts(has_sky=sky))[0]
        assert one.estimated_bytes / 1e6 == pytest.approx(megabytes, rel=0.1)


@pytest.mark.parametrize(
    ("camconfig", "pattern", "count"),
    [
        (1, ".*", 189),
        (2, ".*", 8),
        (4, ".*", 8),
        (7, ".*", 205),
        (0, ".*", 205),
        (6, ".*", 16),
        # named, or nothing else is meant
        (2, "R22_S11", 1),
        (2, "R22_S11|.*_C.", 9),
        (2, ".*_S11|.*_C.", 8),
        (4, "R00_.*", 4),
        (1, "R00_.*", 4),
        (3, "R00_.*", 4),
    ],
)
def test_camconfig_of_the_catalog_and_the_expression(camconfig: int, pattern: str, count: int) -> None:
    assert len(select_sensors(pattern, focal_plane(), camconfig)) == count


def test_camconfig_decides_the_units_of_a_visit() -> None:
    facts = replace(visit_facts(nsnap=1), camconfig=3)
    assert {unit.sensor for unit in plan("R0[01]_S22.*", facts)} == {"R01_S22", "R00_S22_C0", "R00_S22_C1"}
