"""Decide, before any CPU is spent, which units cannot succeed and what is worth telling. Pure: facts in, findings out.

A unit that cannot succeed is given up alone, with its own row; the others run. What concerns the request as a whole (no
memory, no disk) ends the job, as does a visit without exposure time: that is a wrong catalog like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from transformation.census import BrightObject, Census, Sed
from transformation.cost_models import CostModel
from transformation.model.failures import Failed, Failure, JobError
from transformation.model.work import Unit
from transformation.planning import VisitFacts
from transformation.predict import Conditions, Prediction, Range, ReleaseNeeds, object_cpu_s
from transformation.resources import Share, units_at_once, units_on_disk

DOMINATING_MAGNITUDE = 12.0
DOMINATING_HOURS = 1.0
"""A brighter object, or one that takes longer, is named: it will be what the job waits for."""
_NAMED = 5
"""So many spectra or objects are named in one line."""
TELCONFIG_DOME_CLOSED = 1

PlaceOf = Callable[[int], str]
"""From the number of an object of the visit to `file:line`."""


class Findings(msgspec.Struct, kw_only=True):
    """What the checks found: failures by unit id, and lines for a person."""

    failed: dict[str, Failed] = msgspec.field(default_factory=dict)
    problems: list[str] = msgspec.field(default_factory=list)
    """One line for each cause of failed units."""
    warnings: list[str] = msgspec.field(default_factory=list)

    def give_up(self, units: Sequence[Unit], failure: Failure, what: str) -> None:
        """These units fail for this reason, unless they have one already."""
        self.problems.append(f"{failure.name}: {what}")
        for unit in units:
            self.failed.setdefault(unit.id, Failed(failure=failure, detail=f"{unit.id}: {what}"))


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What release and job allow."""

    release: str
    missing_sed: Literal["flat", "error"]
    most_objects: int
    most_hours: float
    """Of one simulator process."""
    model: CostModel
    core_speed: float


def check_exposures(facts: VisitFacts, units: Sequence[Unit], telconfig: int) -> None:
    """Raise `JobError` for snaps that last no time: `(vistime - (nsnap - 1) x readout) / nsnap`.

    A bias is an exposure of no time, under a closed dome.
    """
    shortest_s = min((unit.exposure_s for unit in units), default=1.0)
    if shortest_s > 0 or (shortest_s == 0 and telconfig == TELCONFIG_DOME_CLOSED):
        return
    raise JobError(
        Failure.CATALOG_INVALID,
        f"visit {facts.visit}: vistime {facts.vistime_s:g} s leaves {shortest_s:g} s for each of nsnap {facts.nsnap}"
        " exposures after the read-outs between them; correct vistime or nsnap",
    )


def decide_hands(release: str, needs: ReleaseNeeds, share: Share, free_bytes: int, scratch: str, n_units: int) -> int:
    """How many simulator processes run at once. Raises `JobError` MEMORY_SHORT or DISK_FULL if not even one fits."""
    in_memory = units_at_once(share, unit_memory_bytes=needs.memory_bytes)
    if in_memory < 1:
        raise JobError(
            Failure.MEMORY_SHORT,
            f"one process of {release} needs {needs.memory_bytes / 1e6:.0f} MB,"
            f" this job has {share.memory_bytes / 1e6:.0f} MB (from {share.memory_from})",
        )
    on_disk = units_on_disk(
        free_bytes, visit_scratch_bytes=needs.visit_scratch_bytes, unit_scratch_bytes=needs.unit_scratch_bytes
    )
    if on_disk < 1:
        needed = needs.visit_scratch_bytes + needs.unit_scratch_bytes
        raise JobError(
            Failure.DISK_FULL,
            f"{scratch} has {free_bytes / 1e6:,.0f} MB free, a unit of {release} needs {needed / 1e6:,.0f}",
        )
    return min(in_memory, on_disk, n_units)


# ---------------------------------------------------------------- one visit
def check_visit(
    visit: str, units: Sequence[Unit], census: Census, missing_seds: Collection[int], conditions: Conditions,
    predictions: Mapping[str, Prediction], rules: Rules, place_of: PlaceOf,
) -> Findings:  # fmt: skip
    """All findings about a visit's units; `missing_seds` are places in `census.seds`."""
    findings = Findings()
    simulated = [unit for unit in units if predictions[unit.id].terms]
    _check_seds(findings, visit, simulated, census, missing_seds, rules, place_of)
    _check_counts(findings, visit, simulated, census, rules)
    _check_lengths(findings, visit, simulated, predictions, rules)
    findings.warnings += _bright_objects(visit, simulated, census, conditions, rules, place_of)
    return findings


def _check_seds(
    findings: Findings, visit: str, units: Sequence[Unit], census: Census, missing: Collection[int], rules: Rules,
    place_of: PlaceOf,
) -> None:  # fmt: skip
    """Spectra that the release lacks: one line a visit, and the units concerned if the release cannot do without."""
    if census.n_unlisted_seds:
        findings.warnings.append(
            f"visit {visit}: it names more than {len(census.seds):,} SEDs; those of"
            f" {_count(census.n_unlisted_seds, 'object')} were not looked for"
        )
    concerned = [unit for unit in units if not census.sensors[unit.sensor].seds.keys().isdisjoint(missing)]
    if not concerned:
        return
    lacking = [census.seds[place] for place in sorted(missing)]
    n_objects = sum(sed.n_objects for sed in lacking)
    what = f"visit {visit}: {rules.release} lacks {_count(len(lacking), 'SED')} of {_count(n_objects, 'object')}: "
    what += _some([_sed(sed, place_of) for sed in lacking])
    if rules.missing_sed == "error":
        findings.give_up(concerned, Failure.SED_MISSING, what)
    else:
        findings.warnings.append(f"{what}; a flat spectrum stands in")


def _sed(sed: Sed, place_of: PlaceOf) -> str:
    return f"{sed.name} ({_count(sed.n_objects, 'object')}, first at {place_of(sed.first)})"


def _check_counts(findings: Findings, visit: str, units: Sequence[Unit], census: Census, rules: Rules) -> None:
    for sensor in dict.fromkeys(unit.sensor for unit in units):
        n_objects = census.sensors[sensor].n_objects
        if n_objects > rules.most_objects:
            what = f"visit {visit}: {sensor} has {n_objects:,} objects, {rules.release} holds {rules.most_objects:,}"
            of_sensor = [unit for unit in units if unit.sensor == sensor]
            findings.give_up(of_sensor, Failure.TOO_MANY_OBJECTS, what)


def _check_lengths(
    findings: Findings, visit: str, units: Sequence[Unit], predictions: Mapping[str, Prediction], rules: Rules
) -> None:
    """Units that will not end within the limit of a simulator process: surely (low), or probably (mid)."""
    for unit in units:
        low_h, mid_h, high_h = (seconds / 3600.0 for seconds in predictions[unit.id].cpu_s)
        if mid_h <= rules.most_hours:
            continue
        what = f"{unit.sensor} {unit.exposure_id} is predicted to take {_hours(low_h)} to {_hours(high_h)} h of CPU"
        what = f"visit {visit}: {what}, max_unit_hours is {rules.most_hours:g}"
        if low_h > rules.most_hours:
            findings.give_up([unit], Failure.UNIT_TOO_LONG, what)
        else:
            findings.warnings.append(f"{what}: it may be stopped there")


def _bright_objects(
    visit: str, units: Sequence[Unit], census: Census, conditions: Conditions, rules: Rules, place_of: PlaceOf
) -> Iterator[str]:
    """One line for each of the objects that will dominate, the brightest first; then how many more there are."""
    seen: dict[int, tuple[BrightObject, Range, list[str]]] = {}
    for unit in {unit.sensor: unit for unit in units}.values():
        for bright in census.sensors[unit.sensor].brightest:
            cpu_s = object_cpu_s(
                bright.magnitude, bright.size_arcsec, conditions, unit.exposure_s, rules.model, rules.core_speed
            )
            if bright.magnitude < DOMINATING_MAGNITUDE or cpu_s[1] > DOMINATING_HOURS * 3600.0:
                seen.setdefault(bright.number, (bright, cpu_s, []))[2].append(unit.sensor)
    ranked = sorted(seen.values(), key=lambda item: (-item[1][1], item[0].magnitude))
    for bright, cpu_s, sensors in ranked[:_NAMED]:
        low_h, mid_h, high_h = (_hours(seconds / 3600.0) for seconds in cpu_s)
        yield (
            f"visit {visit}: object {bright.id} of magnitude {bright.magnitude:g} ({place_of(bright.number)}) dominates"
            f" {_some(sensors)}: {mid_h} h of CPU an exposure ({low_h} to {high_h})"
        )
    if len(ranked) > _NAMED:
        yield f"visit {visit}: {_count(len(ranked) - _NAMED, 'more object')} like these"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _some(items: Sequence[str]) -> str:
    more = len(items) - _NAMED
    return ", ".join(items[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
