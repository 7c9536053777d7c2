"""Predictions: the measured numbers come out again, and more work never costs less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.samples import focal_plane, plan, visit_facts
from transformation.census import SensorCensus, kind_of
from transformation.cost_models import COST_MODELS, PHOSIM_3, QUICKSIM, CostModel, cost_model
from transformation.model.bands import DETECTED_AT_MAG_20, Night, dome_electrons_s
from transformation.predict import (
    Conditions,
    JobPrediction,
    Prediction,
    Range,
    ReleaseNeeds,
    conditions_of,
    object_cpu_s,
    predict_job,
    predict_unit,
    predict_visit,
)

NEEDS = ReleaseNeeds(memory_bytes=2_300_000_000, visit_scratch_bytes=310_000_000, unit_scratch_bytes=110_000_000)
HEADER = {"filter": "2", "telconfig": "0", "minsource": "1", "altitude": "89", "moonalt": "-90"}
DARK_R = Night(filter=2).electrons_s()
SENSOR = next(sensor for sensor in focal_plane() if sensor.name == "R22_S11")
MODELS = st.sampled_from(list(COST_MODELS.values()))


def census(*objects: tuple[float, float]) -> SensorCensus:
    """Of objects given as magnitude and half-light radius."""
    found = SensorCensus()
    for magnitude, size in objects:
        kind = kind_of(magnitude, size)
        found.kinds[kind] = found.kinds.get(kind, 0) + 1
    return found


def predict(
    objects: SensorCensus, model: CostModel = PHOSIM_3, *, conditions: Conditions | None = None,
    vistime_s: float = 33.0, amplifiers: bool = True, core_speed: float = 1.0,
) -> Prediction:  # fmt: skip
    unit = plan("R22_S11", visit_facts(vistime_s=vistime_s), amplifiers=amplifiers, exposures=(0,))[0]
    return predict_unit(unit, SENSOR, objects, conditions or Conditions(filter=2), model, NEEDS, core_speed)


def test_phosim_without_sky_takes_what_was_measured() -> None:
    low_s, mid_s, high_s = predict(census((20.0, 0.0))).cpu_s
    # 58 CPU-s were measured for visit, raytrace and e2adc of one star of magnitude 20; about 25 are the visit's.
    set_up = predict_visit(1, 1, PHOSIM_3, 1.0)
    assert mid_s + set_up[1] == pytest.approx(58 + 8, rel=0.1)
    assert low_s < 33 < high_s


def test_phosim_with_quickbackground_takes_what_was_measured() -> None:
    commands = {"backalpha": ("0.0",), "backbeta": ("4.0",), "backgamma": ("10.0",)}
    conditions = conditions_of(HEADER, commands)
    low_s, mid_s, high_s = predict(census((20.0, 0.0)), conditions=conditions).cpu_s
    # Two snaps took 1460 CPU-s in all.
    assert mid_s == pytest.approx(0.5 * (1460 - 26), rel=0.1)
    assert low_s < 0.5 * mid_s
    assert high_s > 2 * mid_s
    # Without it the sky is far slower.
    assert predict(census((20.0, 0.0)), conditions=conditions_of(HEADER, {})).cpu_s[1] > 5 * mid_s


def test_star_of_magnitude_18_takes_five_seconds() -> None:
    assert object_cpu_s(18.0, 0.0, Conditions(filter=2), 15.0, PHOSIM_3, 1.0)[1] == pytest.approx(5.0, rel=0.2)


def test_saturated_star_may_be_much_cheaper() -> None:
    saturating, not_saturating = Conditions(filter=2), Conditions(filter=2, saturates=False)
    low_s, mid_s, high_s = object_cpu_s(10.0, 0.0, saturating, 15.0, PHOSIM_3, 1.0)
    assert low_s < mid_s / 8 < high_s
    assert object_cpu_s(10.0, 0.0, not_saturating, 15.0, PHOSIM_3, 1.0)[0] > 5 * low_s
    assert mid_s > 3600  # magnitude 10 shoots 5e9 photons, 2.1 hours of them


@given(MODELS, st.lists(st.tuples(st.floats(8, 28), st.sampled_from([0.0, 0.5, 3.0])), max_size=20), st.floats(8, 28))
def test_more_objects_cost_more(model: CostModel, objects: list[tuple[float, float]], magnitude: float) -> None:
    fewer, more = predict(census(*objects), model), predict(census(*objects, (magnitude, 0.0)), model)
    assert all(one <= other for one, other in zip(fewer.cpu_s, more.cpu_s, strict=True))
    assert fewer.memory_bytes <= more.memory_bytes
    assert fewer.scratch_bytes < more.scratch_bytes


@given(st.floats(5, 28), st.floats(5, 28), st.sampled_from([0.0, 1.0]))
def test_brighter_objects_cost_more_photon_by_photon(one: float, other: float, size: float) -> None:
    faint, bright = (predict(census((magnitude, size))) for magnitude in (max(one, other), min(one, other)))
    assert all(less <= more * (1 + 1e-9) for less, more in zip(faint.cpu_s, bright.cpu_s, strict=True))


@given(MODELS, st.floats(1, 300), st.floats(1, 300), st.floats(14, 28))
def test_longer_exposures_cost_more(model: CostModel, one: float, other: float, magnitude: float) -> None:
    objects, conditions = census(*[(magnitude, 0.0)] * 50), Conditions(filter=2, surface_electrons_s=DARK_R)
    if model is QUICKSIM:
        objects = census(*[(26.0, 0.0)] * 50)  # what is bright is drawn at another price
    short, long = (
        predict(objects, model, conditions=conditions, vistime_s=2 * seconds + 3).cpu_s
        for seconds in (min(one, other), max(one, other))
    )
    assert all(less <= more * (1 + 1e-9) for less, more in zip(short, long, strict=True))


@given(MODELS, st.floats(0, 1000), st.floats(0, 1000))
def test_brighter_sky_costs_more(model: CostModel, one: float, other: float) -> None:
    dark, bright = (
        predict(census(), model, conditions=Conditions(filter=2, surface_electrons_s=sky)).cpu_s
        for sky in (min(one, other), max(one, other))
    )
    assert all(less <= more * (1 + 1e-9) for less, more in zip(dark, bright, strict=True))


@given(MODELS, st.lists(st.tuples(st.floats(5, 28), st.sampled_from([0.0, 2.0])), max_size=10))
def test_ranges_are_in_order(model: CostModel, objects: list[tuple[float, float]]) -> None:
    low_s, mid_s, high_s = predict(census(*objects), model).cpu_s
    assert 0 < low_s < mid_s < high_s


@pytest.mark.parametrize("model", COST_MODELS.values(), ids=COST_MODELS)
def test_amplifiers_cost_something(model: CostModel) -> None:
    assert predict(census(), model, amplifiers=False).cpu_s[1] < predict(census(), model).cpu_s[1]


def test_faster_cores_take_less() -> None:
    assert predict(census(), core_speed=2.0).cpu_s[1] == pytest.approx(predict(census()).cpu_s[1] / 2)


def test_sensor_with_too_few_objects_costs_nothing() -> None:
    conditions = conditions_of({**HEADER, "minsource": "2"}, {})
    assert predict(census((20.0, 0.0)), conditions=conditions).cpu_s == (0.0, 0.0, 0.0)
    assert predict(census((20.0, 0.0), (21.0, 0.0)), conditions=conditions).cpu_s[0] > 0


def test_large_galaxy_takes_memory() -> None:
    small, large = (predict(census((12.0, size)), QUICKSIM).memory_bytes for size in (0.5, 30.0))
    assert large > small + 400e6


# ---------------------------------------------------------------- conditions
def test_conditions_come_from_header_and_commands() -> None:
    header = {**HEADER, "moonalt": "60", "moonphase": "95", "dist2moon": "40"}
    moonlit = conditions_of(header, {})
    assert moonlit.surface_electrons_s > 2 * conditions_of(HEADER, {}).surface_electrons_s
    assert conditions_of(header, {"zenith_v": ("1000.0",)}).surface_electrons_s == 0.0
    assert conditions_of(HEADER, {"saturation": ("0",)}).saturates is False
    assert conditions_of(HEADER, {"backgamma": ("50",)}).bunch == 50.0
    assert conditions_of(HEADER, {}).needs_objects == 1


def test_closed_dome_is_dark_and_lit_dome_is_bright() -> None:
    bias = conditions_of({**HEADER, "telconfig": "1"}, {})
    flat = conditions_of({**HEADER, "telconfig": "2", "domeint": "18"}, {})
    assert (bias.surface_electrons_s, bias.needs_objects, flat.needs_objects) == (0.0, 0, 0)
    assert flat.surface_electrons_s == dome_electrons_s(2, 18.0) > 10 * DARK_R


def test_dark_sky_in_r_is_what_phosim_gave() -> None:
    assert 15 * Night(filter=2).electrons_s() == pytest.approx(322, rel=0.01)


@given(st.integers(0, 5), st.floats(5, 90), st.floats(0, 100), st.floats(0, 180))
def test_moon_adds_light_most_in_the_blue(filter_number: int, altitude: float, lit: float, distance: float) -> None:
    moon = {"moon_altitude_deg": altitude, "moon_lit_percent": lit, "moon_distance_deg": distance}
    gain = [Night(filter=band, **moon).electrons_s() / Night(filter=band).electrons_s() for band in range(6)]
    assert gain[filter_number] >= 1.0
    assert gain == sorted(gain, reverse=True)


def test_every_band_has_its_numbers() -> None:
    assert len(DETECTED_AT_MAG_20) == 6


# ---------------------------------------------------------------- models
def test_model_is_that_of_the_release() -> None:
    assert cost_model("quicksim-tiny", None) is QUICKSIM
    assert cost_model("phosim", None) is PHOSIM_3
    assert cost_model("phosim", "quicksim") is QUICKSIM
    assert cost_model("phosim", "phosim-9") is PHOSIM_3


@pytest.mark.parametrize("model", COST_MODELS.values(), ids=COST_MODELS)
def test_rates_are_ranges(model: CostModel) -> None:
    for low, mid, high in (*model.unit_rates.values(), *model.visit_rates.values()):
        assert 0 < low < mid < high


# ---------------------------------------------------------------- the job
def unit_of(cpu_s: float) -> Prediction:
    one: Range = (cpu_s / 2, cpu_s, cpu_s * 2)
    return Prediction(cpu_s=one, memory_bytes=100, scratch_bytes=10, output_bytes=1, terms={"images": 1.0})


def job_of(lengths: list[float], hands: int, set_up: float = 10.0) -> JobPrediction:
    return predict_job([((set_up, set_up, set_up), [unit_of(length) for length in lengths])], hands, NEEDS)


def test_longest_first_is_scheduled() -> None:
    job = job_of([2.0, 3.0, 4.0, 5.0, 6.0], hands=2)
    # 6, 3 and 2 on one hand, 5 and 4 on the other.
    assert job.wall_s[1] == 10.0 + 11.0
    assert job.cpu_s[1] == 30.0
    assert (job.memory_bytes, job.output_bytes) == (200, 5)
    assert job.scratch_bytes == 20 + NEEDS.visit_scratch_bytes


def test_set_up_of_the_next_visit_fills_the_gap() -> None:
    visit = ((1.0, 1.0, 1.0), [unit_of(10.0)])
    assert predict_job([visit, visit], 2, NEEDS).wall_s[1] == 12.0


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_wall_lies_between_what_is_possible_and_one_hand(lengths: list[float], hands: int) -> None:
    job = job_of(lengths, hands)
    for cpu_s, wall_s, longest in zip(job.cpu_s, job.wall_s, (0.5, 1, 2), strict=True):
        assert wall_s <= cpu_s * (1 + 1e-9)
        assert wall_s >= max(cpu_s / hands, max(lengths) * longest) * (1 - 1e-9)


def test_nothing_to_do_takes_nothing() -> None:
    nothing = predict_job([], 2, NEEDS)
    assert nothing.wall_s == nothing.cpu_s == (0.0, 0.0, 0.0)
    assert replace(nothing, scratch_bytes=0).output_bytes == 0
