"""What is found before anything starts: which units cannot succeed, and what is worth telling."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.samples import failure_of, plan, visit_facts
from transformation.census import BrightObject, Census, Sed, SensorCensus, kind_of
from transformation.cost_models import PHOSIM_3
from transformation.model.failures import Failure, JobError
from transformation.predict import Conditions, Prediction, ReleaseNeeds
from transformation.preflight import Findings, Rules, check_exposures, check_visit, decide_hands
from transformation.resources import Share

UNITS = plan("R22_S1[12]", exposures=(0,))
RULES = Rules(
    release="phosim-3.4.2", missing_sed="error", most_objects=100, most_hours=10.0, model=PHOSIM_3, core_speed=1.0
)
NEEDS = ReleaseNeeds(memory_bytes=2_300_000_000, visit_scratch_bytes=300_000_000, unit_scratch_bytes=100_000_000)
SHARE = Share(cores=4, memory_bytes=16_000_000_000, cores_from="--cores", memory_from="--memory-mb")


def seen(n_objects: int = 1, seds: dict[int, int] | None = None, *brightest: BrightObject) -> SensorCensus:
    return SensorCensus(kinds={kind_of(20.0, 0.0): n_objects}, seds=seds or {}, brightest=list(brightest))


def bright(magnitude: float, number: int = 1) -> BrightObject:
    return BrightObject(id=f"star-{number}", magnitude=magnitude, size_arcsec=0.0, number=number)


def predicted(low_h: float = 0.1, mid_h: float = 0.2, high_h: float = 0.4) -> Prediction:
    cpu_s = (low_h * 3600, mid_h * 3600, high_h * 3600)
    return Prediction(cpu_s=cpu_s, memory_bytes=1, scratch_bytes=1, output_bytes=1, terms={"images": 1.0})


def check(
    s11: SensorCensus, s12: SensorCensus | None = None, *, seds: tuple[Sed, ...] = (), missing: tuple[int, ...] = (),
    rules: Rules = RULES, n_unlisted: int = 0, s11_predicted: Prediction | None = None,
) -> Findings:  # fmt: skip
    census = Census(sensors={"R22_S11": s11, "R22_S12": s12 or seen()}, seds=seds, n_unlisted_seds=n_unlisted)
    predictions = {UNITS[0].id: s11_predicted or predicted(), UNITS[1].id: predicted()}
    return check_visit(
        "87393588", UNITS, census, set(missing), Conditions(filter=2), predictions, rules, lambda at: f"sky.txt:{at}"
    )


def failures(findings: Findings) -> dict[str, Failure]:
    return {unit_id.split("-")[1]: failed.failure for unit_id, failed in findings.failed.items()}


def test_nothing_found() -> None:
    found = check(seen())
    assert (found.failed, found.problems, found.warnings) == ({}, [], [])


# ---------------------------------------------------------------- spectra
SEDS = (Sed(name="a.txt", first=3, n_objects=7), Sed(name="b.txt", first=4, n_objects=1))


def test_missing_spectrum_stops_only_the_sensors_that_need_it() -> None:
    found = check(seen(8, {0: 7, 1: 1}), seen(1, {1: 1}), seds=SEDS, missing=(0,))
    assert failures(found) == {"R22_S11": Failure.SED_MISSING}
    assert found.problems == [
        "SED_MISSING: visit 87393588: phosim-3.4.2 lacks 1 SED of 7 objects: a.txt (7 objects, first at sky.txt:3)"
    ]
    assert "a.txt" in found.failed[UNITS[0].id].detail


def test_missing_spectrum_is_a_warning_where_a_flat_one_stands_in() -> None:
    found = check(seen(8, {0: 7, 1: 1}), seds=SEDS, missing=(0, 1), rules=replace(RULES, missing_sed="flat"))
    assert found.failed == {}
    assert len(found.warnings) == 1
    assert "2 SEDs of 8 objects" in found.warnings[0]
    assert "b.txt (1 object, first at sky.txt:4); a flat spectrum stands in" in found.warnings[0]


def test_many_missing_spectra_make_one_line() -> None:
    seds = tuple(Sed(name=f"{number}.txt", first=number, n_objects=1) for number in range(1, 1001))
    found = check(seen(90, dict.fromkeys(range(90), 1)), seds=seds, missing=tuple(range(1000)))
    assert len(found.problems) == 1
    assert "5.txt (1 object, first at sky.txt:5) and 995 more" in found.problems[0]


def test_spectra_that_were_not_looked_for_are_told() -> None:
    found = check(seen(), n_unlisted=12)
    assert found.warnings == ["visit 87393588: it names more than 0 SEDs; those of 12 objects were not looked for"]


# ---------------------------------------------------------------- counts
def test_too_many_objects_stop_their_sensor_alone() -> None:
    found = check(seen(101), seen(100))
    assert failures(found) == {"R22_S11": Failure.TOO_MANY_OBJECTS}
    assert found.problems == ["TOO_MANY_OBJECTS: visit 87393588: R22_S11 has 101 objects, phosim-3.4.2 holds 100"]


def test_all_findings_are_told_and_the_first_is_the_units() -> None:
    found = check(seen(101, {0: 1}), seds=SEDS, missing=(0,))
    assert failures(found) == {"R22_S11": Failure.SED_MISSING}
    assert [problem.partition(":")[0] for problem in found.problems] == ["SED_MISSING", "TOO_MANY_OBJECTS"]


def test_sensor_that_is_not_simulated_is_not_checked() -> None:
    nothing = Prediction(cpu_s=(0.0, 0.0, 0.0), memory_bytes=0, scratch_bytes=0, output_bytes=0, terms={})
    found = check(seen(101, {0: 1}, bright(5.0)), seds=SEDS, missing=(0,), s11_predicted=nothing)
    assert (found.failed, found.problems, found.warnings) == ({}, [], [])


# ---------------------------------------------------------------- length
def test_unit_that_is_surely_too_long_is_not_begun() -> None:
    found = check(seen(), s11_predicted=predicted(11, 20, 30))
    assert failures(found) == {"R22_S11": Failure.UNIT_TOO_LONG}
    assert "R22_S11 E000 is predicted to take 11 to 30 h of CPU, max_unit_hours is 10" in found.problems[0]
    assert not Failure.UNIT_TOO_LONG.lies_in_the_request  # another limit, another answer


def test_unit_that_is_probably_too_long_is_begun_with_a_warning() -> None:
    found = check(seen(), s11_predicted=predicted(9, 11, 30))
    assert found.failed == {}
    (warning,) = found.warnings
    assert "R22_S11 E000 is predicted to take 9 to 30 h of CPU, max_unit_hours is 10: it may be stopped" in warning


def test_unit_within_the_limit_is_no_matter() -> None:
    assert check(seen(), s11_predicted=predicted(5, 10, 30)).warnings == []


# ---------------------------------------------------------------- bright objects
def test_bright_object_is_named_once_with_all_its_sensors() -> None:
    star = bright(10.0, number=17)
    (line,) = check(seen(1, None, star), seen(1, None, star, bright(15.0, 18))).warnings
    assert "object star-17 of magnitude 10 (sky.txt:17) dominates R22_S11, R22_S12: 2.2 h of CPU an exposure" in line


@pytest.mark.parametrize(("magnitude", "named"), [(11.9, True), (12.1, False)])
def test_what_is_brighter_than_12_is_named(magnitude: float, named: bool) -> None:
    assert bool(check(seen(1, None, bright(magnitude))).warnings) == named


def test_what_takes_more_than_an_hour_is_named_however_faint() -> None:
    slow = replace(RULES, core_speed=0.01)
    assert check(seen(1, None, bright(13.0)), rules=slow).warnings


def test_few_are_named_and_the_others_counted() -> None:
    found = check(seen(1, None, *(bright(8.0 + number / 10, number) for number in range(1, 9))))
    assert [line.split()[3] for line in found.warnings[:5]] == [f"star-{number}" for number in range(1, 6)]
    assert found.warnings[5:] == ["visit 87393588: 3 more objects like these"]


# ---------------------------------------------------------------- the request as a whole
def test_exposures_must_last() -> None:
    facts = visit_facts(nsnap=2, vistime_s=3.0)
    units = plan("R22_S11", facts)
    with pytest.raises(JobError) as caught:
        check_exposures(facts, units, 0)
    failure, detail = failure_of(caught.value)
    assert failure is Failure.CATALOG_INVALID
    assert "vistime 3 s leaves 0 s for each of nsnap 2" in detail
    check_exposures(facts, units, 1)
    check_exposures(visit_facts(), plan("R22_S11"), 0)


def test_no_exposure_is_shorter_than_nothing() -> None:
    facts = visit_facts(nsnap=2, vistime_s=0.0)
    with pytest.raises(JobError):
        check_exposures(facts, plan("R22_S11", facts), 1)


@pytest.mark.parametrize(
    ("share", "free", "n_units", "hands"),
    [
        (SHARE, 10**12, 9, 4),
        (SHARE, 10**12, 3, 3),
        (replace(SHARE, memory_bytes=5_000_000_000), 10**12, 9, 2),
        (SHARE, 500_000_000, 9, 2),
    ],
    ids=["cores", "units", "memory", "disk"],
)
def test_hands_are_what_the_scarcest_allows(share: Share, free: int, n_units: int, hands: int) -> None:
    assert decide_hands("phosim-3.4.2", NEEDS, share, free, "/scratch", n_units) == hands


def test_worker_that_holds_no_unit_is_refused() -> None:
    with pytest.raises(JobError) as caught:
        decide_hands("phosim-3.4.2", NEEDS, replace(SHARE, memory_bytes=2_000_000_000), 10**12, "/scratch", 1)
    assert failure_of(caught.value)[0] is Failure.MEMORY_SHORT
    with pytest.raises(JobError) as caught:
        decide_hands("phosim-3.4.2", NEEDS, SHARE, 399_000_000, "/scratch", 1)
    assert failure_of(caught.value) == (
        Failure.DISK_FULL,
        "/scratch has 399 MB free, a unit of phosim-3.4.2 needs 400",
    )
