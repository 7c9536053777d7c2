"""Decide whether an attempt made what the plan promised. Pure: facts in, verdict out.

Exit codes and log lines are only evidence: PhoSim's driver exits 0 after most failures, and raytrace itself exits 0
when a full disk cut its image short. What counts is each expected file: there, whole, of the right shape and type,
about the right visit, sensor, exposure and seed, and not dark where light was due.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from transformation.fits_facts import Facts
from transformation.model.bands import DETECTED_AT_MAG_20
from transformation.model.failures import Failed, Failure
from transformation.model.focal_plane import Pointing, Sensor, pixel_of
from transformation.model.work import ExpectedFile, Role, Unit

SKY_ELECTRONS_A_PIXEL = 304.0
"""Dark sky at 22 mag per square arcsecond in r, 15 s (PhoSim 3.4, quickbackground)."""
DUE_ELECTRONS = 50.0
"""More detected electrons than this are due before an all-zero image counts as a failure."""
_EDGE_PIXELS = 20.0
"""Objects nearer to the edge may be off the chip: sensors are placed to several pixels only."""

IMAGE_KEYS = ("OBSID", "FILTNM", "CHIPID", "PAIRID", "EXPTIME", "SEED")
AMPLIFIER_KEYS = (*IMAGE_KEYS, "AMPID")


class Light(msgspec.Struct, frozen=True, kw_only=True):
    """Where the light of a visit comes from, for the question whether an image may be all zero."""

    pointing: Pointing
    has_sky: bool
    has_dome_light: bool
    dome_is_open: bool
    zenith_v: float = 22.0


def keys_of(file: ExpectedFile) -> tuple[str, ...]:
    """Header keys that `judge` will want to see."""
    return AMPLIFIER_KEYS if file.role is Role.AMPLIFIER_IMAGE else IMAGE_KEYS


def judge(unit: Unit, facts: Mapping[str, Facts | None], electrons_due: float) -> Failed | tuple[str, ...]:
    """The first thing that is wrong, or notes on a good unit.

    `facts` holds, for the name of each expected file, what was found; None if the file is not there.
    """
    missing = [file.name for file in unit.files if facts.get(file.name) is None]
    if missing:
        return _missing(unit, missing)
    for file in unit.files:
        found = facts[file.name]
        assert found is not None
        wrong = _wrong(unit, file, found)
        if wrong is not None:
            return wrong
    return _judge_light(unit, facts, electrons_due)


def _missing(unit: Unit, missing: list[str]) -> Failed:
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return Failed(
        failure=Failure.OUTPUT_MISSING,
        detail=f"{unit.id}: {len(missing)} of {len(unit.files)} files are missing: {missing[0]}{more}",
    )


def _wrong(unit: Unit, file: ExpectedFile, facts: Facts) -> Failed | None:
    if facts.problem is not None or (facts.size_bytes == 0 and file.role is not Role.CENTROIDS):
        why = facts.problem or "is empty"
        return Failed(failure=Failure.OUTPUT_DAMAGED, detail=f"{unit.id}: {file.name} {why}")
    differences = list(_differences(unit, file, facts))
    if differences:
        return Failed(failure=Failure.OUTPUT_WRONG, detail=f"{unit.id}: {file.name} has {', '.join(differences)}")
    return None


def _differences(unit: Unit, file: ExpectedFile, facts: Facts) -> Iterator[str]:
    if file.shape is None:
        return
    if facts.shape != file.shape:
        yield f"shape {facts.shape}, not {file.shape}"
    if facts.bitpix != file.bitpix or (file.bitpix == 16 and facts.bzero != 32768.0):
        yield f"BITPIX {facts.bitpix} (BZERO {facts.bzero:g}), not {file.bitpix}"
    for key, expected in _expected_header(unit, file).items():
        found = facts.header.get(key)
        if not _same(found, expected):
            yield f"{key} {found!r}, not {expected!r}"


def _expected_header(unit: Unit, file: ExpectedFile) -> dict[str, str | int | float]:
    header: dict[str, str | int | float] = {
        "OBSID": int(unit.visit) if unit.visit.isdecimal() else unit.visit,
        "FILTNM": unit.filter,
        "CHIPID": unit.sensor,
        "PAIRID": unit.exposure,
        "EXPTIME": unit.exposure_s,
        "SEED": unit.seed,
    }
    return header if file.amplifier is None else {**header, "AMPID": file.amplifier}


def _same(found: str | float | bool | None, expected: str | float) -> bool:
    if isinstance(expected, str):
        return isinstance(found, str) and found.strip() == expected
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return False
    return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-6)


def _judge_light(unit: Unit, facts: Mapping[str, Facts | None], electrons_due: float) -> Failed | tuple[str, ...]:
    dark = [
        file.name
        for file in unit.files
        if file.role is Role.ELECTRON_IMAGE and (found := facts[file.name]) is not None and found.all_zero
    ]
    if not dark:
        return ()
    if electrons_due > DUE_ELECTRONS:
        return Failed(
            failure=Failure.IMAGE_ALL_ZERO,
            detail=f"{unit.id}: {dark[0]} is all zero though {electrons_due:,.0f} electrons were due",
        )
    return (f"{dark[0]} is all zero; at most {electrons_due:,.0f} electrons were due",)


def electrons_due(unit: Unit, light: Light, sensor: Sensor, trimmed: Iterator[str]) -> float:
    """Electrons that sky, dome or catalog put on a sensor, at least; stops counting once an image cannot be dark.

    `trimmed` are the lines of the sensor's trimmed catalog, as `trim` wrote them.
    """
    share = unit.exposure_s / 15.0
    if share <= 0:
        return 0.0
    if light.has_dome_light:
        return math.inf
    due = 0.0
    if light.has_sky:
        dimmer = 10.0 ** (-0.4 * (light.zenith_v - 22.0))
        due += SKY_ELECTRONS_A_PIXEL * sensor.nx * sensor.ny * dimmer * share
    if not light.dome_is_open:
        return due
    for magnitude in _magnitudes_on_chip(light.pointing, sensor, trimmed):
        if due > 1e6:
            break
        due += DETECTED_AT_MAG_20[unit.filter] * 10.0 ** (-0.4 * (magnitude - 20.0)) * share
    return due


def _magnitudes_on_chip(pointing: Pointing, sensor: Sensor, trimmed: Iterator[str]) -> Iterator[float]:
    for line in trimmed:
        words = line.split()
        if len(words) < 5 or words[0] != "object":
            continue
        place = pixel_of(pointing, sensor, float(words[2]), float(words[3]))
        if place is None:
            continue
        x, y = place
        if _EDGE_PIXELS < x < sensor.nx - _EDGE_PIXELS and _EDGE_PIXELS < y < sensor.ny - _EDGE_PIXELS:
            yield float(words[4])
