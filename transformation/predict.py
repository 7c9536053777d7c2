"""Predict what units cost, before any CPU is spent. Pure: census, conditions and a cost model in, ranges out.

The cost of a unit is a sum: each term (images, million electrons shot, ...) times the rate that the model gives it. So
the terms of finished units, which reports keep beside the truth, are all that a new fit needs. Left out: colours and
dust of objects, vignetting, checkpoints (each segment pays for an image again).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from transformation.census import Kind, SensorCensus, half_light_arcsec, magnitude_of
from transformation.cost_models import CostModel, Rate
from transformation.model.bands import DARK_ZENITH_V, Night, dome_electrons_s, object_electrons
from transformation.model.focal_plane import PIXELS_PER_DEGREE, Sensor
from transformation.model.work import Role, Unit

Range = tuple[float, float, float]
"""Low, mid, high."""
NOTHING: Range = (0.0, 0.0, 0.0)

_PSF_SCALE_PIXELS = 3.34
"""Of a Moffat profile of power 3 with the 3.4 pixels FWHM of PhoSim's visits in r."""
_FAINTEST_WING_ELECTRONS = 0.05
_GALAXY_RADII = 12.0
"""How far out quicksim draws points and galaxies."""
_LARGEST_FFT_MPIXELS = 9.0
"""How much of a galaxy quicksim convolves with the PSF."""
_TRIMMED_LINE_BYTES = 200


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What of a visit decides its cost besides objects."""

    filter: int
    surface_electrons_s: float = 0.0
    """Electrons per second and pixel of sky, moon or lit dome, on the axis."""
    bunch: float = 1.0
    """Photons of the sky that are shot at once (`backgamma`): PhoSim's quickbackground has 10."""
    saturates: bool = True
    needs_objects: int = 0
    """A sensor with fewer is not simulated (`minsource`, under an open dome)."""


class ReleaseNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What a release says of its needs, bytes."""

    memory_bytes: int
    visit_scratch_bytes: int
    unit_scratch_bytes: int


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """Of one unit."""

    cpu_s: Range
    """On the cores that were asked about."""
    memory_bytes: int
    scratch_bytes: int
    output_bytes: int
    terms: Mapping[str, float]
    """What the CPU time was made from."""


def conditions_of(header: Mapping[str, str], commands: Mapping[str, Sequence[str]]) -> Conditions:
    """Conditions of a visit from its catalog's header (complete, short names) and its physics commands."""

    def number(key: str, default: float) -> float:
        words = commands.get(key) or (header.get(key, ""),)
        try:
            return float(words[0])
        except ValueError:
            return default

    filter_number, telconfig = int(header["filter"]), int(header["telconfig"])
    night = Night(
        filter=filter_number,
        altitude_deg=number("altitude", 90.0),
        zenith_v=number("zenith_v", DARK_ZENITH_V),
        moon_altitude_deg=number("moonalt", -90.0),
        moon_distance_deg=number("dist2moon", 180.0),
        moon_lit_percent=number("moonphase", 0.0),
    )
    surface_s = {0: night.electrons_s(), 1: 0.0}.get(
        telconfig, dome_electrons_s(filter_number, number("domeint", 18.0))
    )
    return Conditions(
        filter=filter_number,
        surface_electrons_s=surface_s,
        bunch=max(1.0, number("backgamma", 1.0)),
        saturates=number("saturation", 1.0) != 0,
        needs_objects=int(header["minsource"]) if telconfig == 0 else 0,
    )


# ---------------------------------------------------------------- one unit
def predict_unit(
    unit: Unit, sensor: Sensor, census: SensorCensus, conditions: Conditions, model: CostModel, needs: ReleaseNeeds,
    core_speed: float,
) -> Prediction:  # fmt: skip
    """What a unit will cost; nothing for a sensor that has too few objects to be simulated."""
    if census.n_objects < conditions.needs_objects:
        return Prediction(cpu_s=NOTHING, memory_bytes=0, scratch_bytes=0, output_bytes=0, terms={})
    terms = {term: value for term, value in unit_terms(unit, sensor, census, conditions, model).items() if value}
    return Prediction(
        cpu_s=_scaled(cost(terms, model.unit_rates), 1.0 / core_speed),
        memory_bytes=needs.memory_bytes + _extra_memory_bytes(unit, census, conditions, model),
        scratch_bytes=needs.unit_scratch_bytes + census.n_objects * _TRIMMED_LINE_BYTES,
        output_bytes=unit.estimated_bytes,
        terms={term: round(value, 6) for term, value in terms.items()},
    )


def _extra_memory_bytes(unit: Unit, census: SensorCensus, conditions: Conditions, model: CostModel) -> int:
    """What a long catalog and a large galaxy take beyond what any unit does."""
    galaxies = (
        value
        for kind in census.kinds
        for term, value in _kind_terms(kind, conditions, unit, model)
        if term == "drawn_galaxy_mpixels"
    )
    largest_mpixels = min(max(galaxies, default=0.0), _LARGEST_FFT_MPIXELS)
    objects = census.n_objects * model.memory_bytes_per_object
    return round(objects + largest_mpixels * model.memory_bytes_per_galaxy_mpixel)


def unit_terms(
    unit: Unit, sensor: Sensor, census: SensorCensus, conditions: Conditions, model: CostModel
) -> dict[str, float]:
    """How much of each term a unit has."""
    mpixels = sensor.nx * sensor.ny / 1e6
    amplifiers = sum(file.role is Role.AMPLIFIER_IMAGE for file in unit.files)
    terms = {
        "images": 1.0,
        "mpixels": mpixels,
        "amplifier_images": 1.0 if amplifiers else 0.0,
        "amplifier_mpixels": mpixels if amplifiers else 0.0,
        "thousand_objects": census.n_objects / 1e3,
        **_surface_terms(conditions, max(0.0, unit.exposure_s), mpixels, bool(amplifiers)),
    }
    for kind, count in census.kinds.items():
        for term, value in _kind_terms(kind, conditions, unit, model):
            terms[term] = terms.get(term, 0.0) + count * value
    if "drawn_galaxies" in terms:
        terms["units_with_drawn_galaxies"] = 1.0
    return terms


def _surface_terms(conditions: Conditions, exposure_s: float, mpixels: float, amplifiers: bool) -> dict[str, float]:
    """Sky or dome: its light, and its noise, which decides how long a file takes to compress."""
    electrons = conditions.surface_electrons_s * exposure_s
    if electrons <= 0.0:
        return {}
    noise_bits = mpixels * math.log2(1.0 + math.sqrt(electrons * _bunch_electrons(conditions)))
    return {
        "million_sky_bunches": electrons * mpixels / conditions.bunch,
        "sky_mpixels": mpixels,
        "sky_noise_mbits": noise_bits,
        "amplifier_sky_mpixels": mpixels if amplifiers else 0.0,
    }


def _bunch_electrons(conditions: Conditions) -> float:
    """Electrons of a bunch that come into one pixel: PhoSim's quickbackground, backgamma 10, has 160^2 / 322 = 80."""
    return 8.0 * conditions.bunch if conditions.bunch > 1.0 else 1.0


def _kind_terms(kind: Kind, conditions: Conditions, unit: Unit, model: CostModel) -> Iterator[tuple[str, float]]:
    return object_terms(magnitude_of(kind), half_light_arcsec(kind), conditions, unit.exposure_s, model)


def object_terms(
    magnitude: float, size_arcsec: float, conditions: Conditions, exposure_s: float, model: CostModel
) -> Iterator[tuple[str, float]]:
    """The terms of one object with that half-light radius; 0 is a point."""
    electrons = object_electrons(conditions.filter, magnitude, max(0.0, exposure_s))
    half_light_pixels = size_arcsec * PIXELS_PER_DEGREE / 3600.0
    if half_light_pixels > 0.0:
        if electrons <= model.drawn_galaxy_electrons:
            yield "million_electrons", electrons / 1e6
            yield "million_galaxy_electrons", electrons / 1e6
        else:
            yield "drawn_galaxies", 1.0
            yield "drawn_galaxy_mpixels", min((2.0 * _GALAXY_RADII * half_light_pixels) ** 2 / 1e6, 16.3)
    elif electrons <= model.drawn_point_electrons:
        saturated = max(0.0, electrons - model.saturated_electrons) if conditions.saturates else 0.0
        yield "million_electrons", (electrons - saturated) / 1e6
        yield "million_saturated_electrons", saturated / 1e6
    else:
        yield "drawn_points", 1.0
        yield "drawn_point_mpixels", min((2.0 * _wing_pixels(electrons)) ** 2 / 1e6, 16.3)


def _wing_pixels(electrons: float) -> float:
    """The radius out to which quicksim draws a point."""
    peak = 2.0 / (math.pi * _PSF_SCALE_PIXELS**2)
    return _PSF_SCALE_PIXELS * math.sqrt((peak * electrons / _FAINTEST_WING_ELECTRONS) ** (1 / 3))


def object_cpu_s(
    magnitude: float, size_arcsec: float, conditions: Conditions, exposure_s: float, model: CostModel,
    core_speed: float,
) -> Range:  # fmt: skip
    """What one object adds to a unit."""
    terms = dict(object_terms(magnitude, size_arcsec, conditions, exposure_s, model))
    return _scaled(cost(terms, model.unit_rates), 1.0 / core_speed)


def cost(terms: Mapping[str, float], rates: Mapping[str, Rate]) -> Range:
    """CPU-seconds on the reference core."""
    return total(_scaled(rates[term], value) for term, value in terms.items() if term in rates)


# ---------------------------------------------------------------- the whole job
class JobPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """Of all units together, with the visits' set-up."""

    cpu_s: Range
    set_up_cpu_s: Range
    """The part of it that visits take before their units."""
    wall_s: Range
    """On so many cores at once, the longest unit first."""
    memory_bytes: int
    """Of all units that run at once."""
    scratch_bytes: int
    """Likewise, with the visits' own files."""
    output_bytes: int


def predict_visit(n_objects: int, n_trims: int, model: CostModel, core_speed: float) -> Range:
    """CPU-seconds of a visit's set-up and of its trims."""
    terms = {"visits": 1.0, "trims": float(n_trims), "thousand_objects_a_trim": n_trims * n_objects / 1e3}
    return _scaled(cost(terms, model.visit_rates), 1.0 / core_speed)


def predict_job(visits: Sequence[tuple[Range, Sequence[Prediction]]], hands: int, needs: ReleaseNeeds) -> JobPrediction:
    """The sum over visits, each with its set-up and its units, on so many hands."""
    units = [unit for _, of_visit in visits for unit in of_visit]
    set_up_s = total(set_up for set_up, _ in visits)
    memory = heapq.nlargest(hands, (unit.memory_bytes for unit in units))
    scratch = heapq.nlargest(hands, (unit.scratch_bytes for unit in units))
    low, mid, high = (
        _wall_s([(set_up[at], [unit.cpu_s[at] for unit in of_visit]) for set_up, of_visit in visits], hands)
        for at in range(3)
    )
    return JobPrediction(
        cpu_s=total([set_up_s, *(unit.cpu_s for unit in units)]),
        set_up_cpu_s=set_up_s,
        wall_s=(low, mid, high),
        memory_bytes=sum(memory),
        scratch_bytes=sum(scratch) + needs.visit_scratch_bytes * min(len(visits), 2),
        output_bytes=sum(unit.output_bytes for unit in units),
    )


def _wall_s(visits: Sequence[tuple[float, Sequence[float]]], hands: int) -> float:
    """When the last unit ends: visits in order, the longest unit first, each on the hand that is free first."""
    free_at = [0.0] * max(1, hands)
    for set_up_s, lengths_s in visits:
        # The set-up of a visit fills the gap at the end of the one before; its units wait for it.
        ready_at = free_at[0] + set_up_s
        heapq.heapreplace(free_at, ready_at)
        for length_s in sorted(lengths_s, reverse=True):
            heapq.heapreplace(free_at, max(free_at[0], ready_at) + length_s)
    return max(free_at)


def total(ranges: Iterable[Range]) -> Range:
    """The sum of ranges, end by end."""
    low = mid = high = 0.0
    for one in ranges:
        low, mid, high = low + one[0], mid + one[1], high + one[2]
    return low, mid, high


def _scaled(one: Range, factor: float) -> Range:
    return one[0] * factor, one[1] * factor, one[2] * factor
