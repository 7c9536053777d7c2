"""What is known of a job before it starts: what each unit will cost, which cannot succeed, what deserves a warning.

The one place where census, preflight and prediction meet files: object lines and the release's library of spectra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from transformation.census import Census, take_census
from transformation.cost_models import CostModel, cost_model
from transformation.instance_catalog import InstanceCatalog, PhysicsCommands
from transformation.model.failures import Failed
from transformation.model.focal_plane import Pointing, Sensor
from transformation.model.report import JobPredictedReport, UnitPredictedReport
from transformation.model.work import Unit
from transformation.predict import (
    Conditions,
    JobPrediction,
    Prediction,
    Range,
    ReleaseNeeds,
    conditions_of,
    predict_job,
    predict_unit,
    predict_visit,
)
from transformation.preflight import Findings, Rules, check_visit
from transformation.simulator.release import Release

_SENSORS_A_TRIM = 9


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """About some units of a job."""

    model: CostModel
    core_speed: float
    units: Mapping[str, Prediction]
    """By unit id, also of those that cannot succeed."""
    objects: Mapping[str, int]
    """Objects near each unit's sensor, by unit id."""
    failed: Mapping[str, Failed]
    """By unit id."""
    problems: Sequence[str]
    """One line for each cause of these failures."""
    warnings: Sequence[str]
    visits: Sequence[tuple[Range, Sequence[Prediction]]]
    """Of each visit its set-up and those of its units that can succeed."""
    needs: ReleaseNeeds

    def job(self, hands: int) -> JobPrediction:
        """The units that can succeed together, so many at once."""
        return predict_job(self.visits, hands, self.needs)


class VisitInputs(msgspec.Struct, frozen=True, kw_only=True):
    """One visit as it was read in."""

    visit: str
    """obshistid with extraid, as in all names."""
    catalog: InstanceCatalog
    commands: PhysicsCommands
    objects: Path
    """Its object lines, all that the catalogs and their includes hold."""
    sed_library: Path
    """Folder of the SEDs that they may name."""


def needs_of(release: Release) -> ReleaseNeeds:
    """The release's needs as plain numbers."""
    facts = release.facts
    return ReleaseNeeds(
        memory_bytes=facts.memory_bytes,
        visit_scratch_bytes=facts.visit_scratch_bytes,
        unit_scratch_bytes=facts.unit_scratch_bytes,
    )


def make_forecast(
    release: Release, visits: Sequence[VisitInputs], units: Sequence[Unit], *, most_hours: float, core_speed: float
) -> Forecast:
    """Look at each visit; `most_hours` is the limit of a simulator process, `core_speed` that of the site file."""
    facts = release.facts
    model = cost_model(facts.simulator, facts.cost_model)
    rules = Rules(
        release=release.name,
        missing_sed=facts.missing_sed,
        most_objects=facts.max_objects or model.most_objects,
        most_hours=most_hours,
        model=model,
        core_speed=core_speed,
    )
    sensors = {sensor.name: sensor for sensor in release.sensors}
    by_visit = {visit: tuple(of_visit) for visit, of_visit in groupby(units, key=lambda unit: unit.visit)}
    looks = [
        _look(inputs, by_visit[inputs.visit], sensors, release, rules) for inputs in visits if inputs.visit in by_visit
    ]
    return Forecast(
        model=model,
        core_speed=core_speed,
        units={unit_id: one for look in looks for unit_id, one in look.units.items()},
        objects={unit_id: count for look in looks for unit_id, count in look.objects.items()},
        failed={unit_id: failed for look in looks for unit_id, failed in look.findings.failed.items()},
        problems=[line for look in looks for line in look.findings.problems],
        warnings=[line for look in looks for line in look.findings.warnings],
        visits=[look.promising() for look in looks],
        needs=needs_of(release),
    )


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one visit showed; the census itself is not kept."""

    set_up_cpu_s: Range
    units: Mapping[str, Prediction]
    objects: Mapping[str, int]
    findings: Findings

    def promising(self) -> tuple[Range, list[Prediction]]:
        failed = self.findings.failed
        return self.set_up_cpu_s, [one for unit_id, one in self.units.items() if unit_id not in failed]


def _look(
    inputs: VisitInputs, units: Sequence[Unit], sensors: Mapping[str, Sensor], release: Release, rules: Rules
) -> _Look:
    catalog = inputs.catalog
    chosen = [sensors[name] for name in dict.fromkeys(unit.sensor for unit in units)]
    pointing = Pointing(ra_deg=catalog.ra_deg, dec_deg=catalog.dec_deg, rotskypos_deg=catalog.rotskypos_deg)
    with inputs.objects.open("rb") as lines:
        census = take_census(lines, pointing, chosen)
    conditions = conditions_of(catalog.header, inputs.commands.values)
    predictions = dict(_predictions(units, sensors, census, conditions, release, rules))
    missing = missing_seds(census, inputs.sed_library)
    return _Look(
        set_up_cpu_s=predict_visit(catalog.n_objects, _trims(release, chosen), rules.model, rules.core_speed),
        units=predictions,
        objects={unit.id: census.sensors[unit.sensor].n_objects for unit in units},
        findings=check_visit(inputs.visit, units, census, missing, conditions, predictions, rules, catalog.places.of),
    )


def _predictions(
    units: Sequence[Unit], sensors: Mapping[str, Sensor], census: Census, conditions: Conditions, release: Release,
    rules: Rules,
) -> Iterator[tuple[str, Prediction]]:  # fmt: skip
    needs = needs_of(release)
    for unit in units:
        seen = census.sensors[unit.sensor]
        sensor = sensors[unit.sensor]
        yield unit.id, predict_unit(unit, sensor, seen, conditions, rules.model, needs, rules.core_speed)


def _trims(release: Release, chosen: Sequence[Sensor]) -> int:
    """Groups of nine consecutive devices of the release's table that hold a chosen one."""
    names = {sensor.name for sensor in chosen}
    return len({at // _SENSORS_A_TRIM for at, sensor in enumerate(release.sensors) if sensor.name in names})


def missing_seds(census: Census, library: Path) -> set[int]:
    """Places in `census.seds` of the spectra that are no file of the library, gzipped or not."""
    return {place for place, sed in enumerate(census.seds) if not _is_there(library, sed.name)}


def _is_there(library: Path, name: str) -> bool:
    plain = name.removesuffix(".gz")
    other = plain if plain != name else f"{name}.gz"
    return (library / name).is_file() or (library / other).is_file()


# ---------------------------------------------------------------- as documents
def unit_report(prediction: Prediction) -> UnitPredictedReport:
    """For report and plan."""
    return UnitPredictedReport(
        cpu_s=_rounded(prediction.cpu_s),
        memory_bytes=prediction.memory_bytes,
        scratch_bytes=prediction.scratch_bytes,
        output_bytes=prediction.output_bytes,
        terms=dict(prediction.terms),
    )


def job_report(forecast: Forecast, hands: int) -> JobPredictedReport:
    """Likewise of the whole job."""
    job = forecast.job(hands)
    return JobPredictedReport(
        model=forecast.model.name,
        core_speed=round(forecast.core_speed, 3),
        units_at_once=hands,
        cpu_s=_rounded(job.cpu_s),
        set_up_cpu_s=_rounded(job.set_up_cpu_s),
        wall_s=_rounded(job.wall_s),
        memory_bytes=job.memory_bytes,
        scratch_bytes=job.scratch_bytes,
        output_bytes=job.output_bytes,
    )


def _rounded(one: Range) -> tuple[float, float, float]:
    low, mid, high = (round(seconds, 3) for seconds in one)
    return low, mid, high
