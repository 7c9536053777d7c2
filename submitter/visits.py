"""A visit before the job: its catalogs read as far as is wanted, its units, what they will cost, what is wrong.

Rules of this file
1. What is wrong with one visit is a finding of its own: all visits are looked at, and all findings told at once.
2. A catalog elsewhere is judged by its first bytes unless the user asks for more. Then objects are counted in that
   sample, and the counts scaled by its share of the file; the range of the prediction says how little that proves.
3. Of many visits some are looked at in this way, the others by their headers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from submitter.camera import Camera
from submitter.catalogs import CatalogReader, Opened
from submitter.jobs import Shape
from submitter.visit_look import CatalogFacts, Depth, VisitLook, Wanted
from submitter.visit_reader import VisitReader
from transformation.census import Census, SensorCensus, take_census
from transformation.forecast import missing_seds
from transformation.instance_catalog import CommandsInvalid, InstanceCatalog, PhysicsCommands
from transformation.model.failures import Failure, JobError
from transformation.model.focal_plane import Pointing, Sensor
from transformation.model.spec import VisitItem, catalog_item
from transformation.model.work import Unit
from transformation.planning import Selection, VisitFacts, has_sky, plan_visit
from transformation.predict import Prediction, conditions_of, predict_unit, predict_visit
from transformation.preflight import Findings, Rules, check_exposures, check_visit

_SENSORS_A_TRIM = 9
_SAMPLE_DOUBT = 2.0
"""How far a count scaled up from a sample may be too low: catalogs list stars and galaxies one after the other."""


class _Template(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a visit of one form; others of that form differ only in names and seeds."""

    units: tuple[Unit, ...]
    shape: Shape
    n_files: int
    output_bytes: int


class VisitInspector:
    """Looks at visits of one request, one after the other."""

    def __init__(self, wanted: Wanted, reader: CatalogReader) -> None:
        self._wanted = wanted
        self._inputs = VisitReader(wanted, reader)
        self._templates: dict[object, _Template] = {}
        self._sensors = {sensor.name: sensor for sensor in wanted.camera.sensors}

    def look(self, item: VisitItem, index: int, depth: Depth, opened: Sequence[Opened] | JobError) -> VisitLook:
        """Everything about one visit; problems are in the look, never raised."""
        look = VisitLook(index=index, depth=depth)
        if isinstance(opened, JobError):
            urls = [catalog_item(entry).url for entry in item.catalogs]
            look.catalogs = [CatalogFacts(url=url, size_bytes=None, path=None, ranges=False) for url in urls]
            return look.fail(opened.failed)
        look.catalogs = [
            CatalogFacts(url=one.url, size_bytes=one.size_bytes, path=one.path, ranges=one.ranges) for one in opened
        ]
        objects = self._wanted.folder / f"objects-{index}"
        try:
            self._look(item, look, opened, objects)
        except JobError as error:
            look.fail(error.failed)
        finally:
            objects.unlink(missing_ok=True)
        return look

    # ------------------------------------------------------------ inside
    def _look(self, item: VisitItem, look: VisitLook, opened: Sequence[Opened], objects: Path) -> None:
        commands = self._inputs.commands(item, look)
        catalog = self._inputs.catalogs(look, opened, objects)
        facts = _facts(catalog, commands)
        look.visit, look.filter = facts.visit, facts.filter
        look.warnings += [("CATALOG", f"visit {facts.visit}: {line}") for line in catalog.warnings]
        template = self._template(facts, catalog)
        look.shape, look.n_files, look.output_bytes = template.shape, template.n_files, template.output_bytes
        if look.depth is Depth.HEADER:
            return
        scale = _scale(opened, look.depth)
        look.n_objects = round(catalog.n_objects * scale)
        units = [replace(unit, visit=facts.visit, seed=facts.seed + unit.exposure) for unit in template.units]
        self._predict(look, units, catalog, commands, objects, scale)

    def _template(self, facts: VisitFacts, catalog: InstanceCatalog) -> _Template:
        key = replace(facts, visit="", seed=0, filter=0)
        found = self._templates.get(key)
        if found is None:
            spec = self._wanted.spec
            selection = Selection(
                sensors=spec.sensors,
                exposures="all" if spec.exposures == "all" else tuple(spec.exposures),
                amplifiers=spec.amplifiers,
                instrument=self._wanted.camera.facts.instrument,
            )
            units = plan_visit(facts, selection, self._wanted.camera.sensors)
            check_exposures(facts, units, catalog.telconfig)
            found = self._templates[key] = _template_of(units)
        return found

    def _predict(
        self, look: VisitLook, units: Sequence[Unit], catalog: InstanceCatalog, commands: PhysicsCommands,
        objects: Path, scale: float,
    ) -> None:  # fmt: skip
        wanted, camera = self._wanted, self._wanted.camera
        assert look.shape is not None
        chosen = [self._sensors[name] for name in look.shape.sensors]
        pointing = Pointing(ra_deg=catalog.ra_deg, dec_deg=catalog.dec_deg, rotskypos_deg=catalog.rotskypos_deg)
        with objects.open("rb") as lines:
            sample = take_census(lines, pointing, chosen)
        census = _scaled(sample, scale)
        conditions = conditions_of(catalog.header, commands.values)
        look.predictions = {
            unit.id: predict_unit(
                unit, self._sensors[unit.sensor], census.sensors[unit.sensor], conditions, camera.model, camera.needs,
                wanted.core_speed,
            )
            for unit in units
        }  # fmt: skip
        look.set_up_cpu_s = predict_visit(look.n_objects or 0, _trims(camera, chosen), camera.model, wanted.core_speed)
        findings, with_seds = (
            check_visit(
                look.visit, units, census, missing, conditions, look.predictions, self._rules(), catalog.places.of
            )
            for missing in ((), self._missing_seds(sample))
        )
        _tell(look, findings, with_seds, len(units))
        look.empty_sensors = list(dict.fromkeys(u.sensor for u in units if not look.predictions[u.id].terms))
        if scale > 1.0:
            look.predictions = {unit_id: _doubtful(one, scale) for unit_id, one in look.predictions.items()}

    def _rules(self) -> Rules:
        wanted, camera = self._wanted, self._wanted.camera
        return Rules(
            release=camera.name,
            missing_sed=camera.facts.missing_sed,
            most_objects=camera.facts.max_objects or camera.model.most_objects,
            most_hours=wanted.most_hours,
            model=camera.model,
            core_speed=wanted.core_speed,
        )

    def _missing_seds(self, census: Census) -> set[int]:
        library = self._wanted.camera.sed_library
        own = self._wanted.spec.options.seds
        if library is None:
            return set()
        missing = missing_seds(census, library)
        return missing if own is None else missing & missing_seds(census, Path(own))


# ---------------------------------------------------------------- small decisions
def _tell(look: VisitLook, findings: Findings, with_seds: Findings, n_units: int) -> None:
    """Enter what was found, spectra under their own name."""
    look.failures += {one.failure: one for one in findings.failed.values()}.values()
    look.stopped = len(findings.failed) == n_units
    look.warnings += [("FORECAST", line) for line in findings.warnings]
    known = {*findings.problems, *findings.warnings}
    lacking = [line for line in (*with_seds.problems, *with_seds.warnings) if line not in known]
    look.warnings += [(Failure.SED_MISSING.name, line.removeprefix("SED_MISSING: ")) for line in lacking]


def _facts(catalog: InstanceCatalog, commands: PhysicsCommands) -> VisitFacts:
    try:
        visit = str(commands.observation_id(catalog.obshistid))
    except CommandsInvalid as error:
        raise JobError(Failure.COMMANDS_INVALID, str(error)) from None
    return VisitFacts(
        visit=visit,
        filter=catalog.filter,
        seed=catalog.seed,
        nsnap=catalog.nsnap,
        vistime_s=catalog.vistime_s,
        has_sky=has_sky(commands.values, catalog.telconfig),
        centroids=commands.centroidfile,
        throughput=commands.throughputfile,
        camconfig=int(catalog.given.get("camconfig", "1")),
    )


def _template_of(units: Sequence[Unit]) -> _Template:
    exposures: dict[str, list[int]] = {}
    for unit in units:
        exposures.setdefault(unit.sensor, []).append(unit.exposure)
    return _Template(
        units=tuple(units),
        shape=Shape(sensors=tuple(exposures), exposures=tuple(tuple(numbers) for numbers in exposures.values())),
        n_files=sum(len(unit.files) for unit in units),
        output_bytes=sum(unit.estimated_bytes for unit in units),
    )


def _scale(opened: Sequence[Opened], depth: Depth) -> float:
    """Objects of the whole catalogs over those that were read; as many again for one whose length nobody tells."""
    if depth is Depth.WHOLE or all(one.path is not None or one.is_whole for one in opened):
        return 1.0
    read = sum(one.packed_bytes or one.size_bytes or 0 for one in opened)
    there = sum(max(one.size_bytes or 2 * one.packed_bytes, one.packed_bytes) for one in opened)
    return max(1.0, there / max(1, read))


def _scaled(census: Census, scale: float) -> Census:
    if scale == 1.0:
        return census
    sensors: Mapping[str, SensorCensus] = {
        name: SensorCensus(
            kinds={kind: round(count * scale) for kind, count in seen.kinds.items()},
            seds=seen.seds,
            brightest=seen.brightest,
            bright_limit=seen.bright_limit,
        )
        for name, seen in census.sensors.items()
    }
    return Census(sensors=sensors, seds=census.seds, n_unlisted_seds=census.n_unlisted_seds)


def _doubtful(prediction: Prediction, scale: float) -> Prediction:
    """A prediction from a sample: at least what the sample itself costs, perhaps twice as much as it foretells."""
    low, mid, high = prediction.cpu_s
    return replace(prediction, cpu_s=(low / scale, mid, high * _SAMPLE_DOUBT))


def _trims(camera: Camera, chosen: Sequence[Sensor]) -> int:
    names = {sensor.name for sensor in chosen}
    return len({at // _SENSORS_A_TRIM for at, sensor in enumerate(camera.sensors) if sensor.name in names})
