"""Decide what is to be made. Pure: values in, values out; no clock, no file, no process."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from transformation.model.failures import Failure, JobError
from transformation.model.focal_plane import Amplifier, Sensor, TablesInvalid
from transformation.model.work import ExpectedFile, Role, Unit

if TYPE_CHECKING:
    from types import FrameType

FLOAT32, UINT16 = -32, 16

# Bytes a pixel takes in a gzipped file, measured with PhoSim 3.4 (r, 15 s): with dark sky by `quickbackground`,
# and without any sky.
_BYTES_PER_PIXEL = {
    Role.ELECTRON_IMAGE: (1.92, 0.018),
    Role.AMPLIFIER_IMAGE: (1.34, 0.86),
}

_ALL_GROUPS = 7
_PATTERN_SECONDS = 2.0
"""A sensor expression that has not answered by then is one that never will."""


class VisitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan needs to know of one visit: catalog header and physics commands, already read."""

    visit: str
    """obshistid with extraid appended."""
    filter: int
    seed: int
    nsnap: int
    vistime_s: float
    has_sky: bool
    centroids: bool
    throughput: bool
    camconfig: int = 1
    """What the catalog itself says; without a word of it, science sensors, whatever the release's default."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which units of the request are wanted."""

    sensors: str
    exposures: Literal["all"] | tuple[int, ...]
    amplifiers: bool
    instrument: str = "lsst"
    only: tuple[tuple[str, str], ...] = ()
    """`--select`: pairs of visit and raft or sensor; empty = everything."""


def plan_visit(facts: VisitFacts, selection: Selection, focal_plane: Sequence[Sensor]) -> tuple[Unit, ...]:
    """All wanted units of a visit, in the focal plane's order; each sensor and exposure exactly once."""
    wanted = [
        sensor
        for sensor in select_sensors(selection.sensors, focal_plane, facts.camconfig)
        if _is_selected(facts.visit, sensor, selection.only)
    ]
    return tuple(
        _unit(facts, selection, sensor, exposure)
        for sensor in wanted
        for exposure in _exposures(facts, selection, sensor)
    )


def select_sensors(pattern: str, focal_plane: Sequence[Sensor], camconfig: int = 1) -> tuple[Sensor, ...]:
    """Devices whose whole name the expression matches.

    `camconfig` is the catalog's: 1 science, 2 wavefront, 4 guiders, 0 all. Devices outside of it only when they are
    named: the pattern must match no device within, or one of its alternatives must match them and spell their raft
    (`R00_.*|R22_S11`). Raises `JobError` SENSOR_PATTERN_INVALID or NO_SENSOR_MATCHES.
    """
    groups = camconfig or _ALL_GROUPS
    with _limited_time(pattern):
        try:
            expression = re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            detail = f"'sensors': {pattern!r} does not compile: {error}"
            raise JobError(Failure.SENSOR_PATTERN_INVALID, detail) from None
        matching = [sensor for sensor in focal_plane if expression.fullmatch(sensor.name)]
        within = {sensor.name for sensor in matching if groups & 1 << sensor.group}
        chosen = [one for one in matching if one.name in within or not within or _is_named(one, pattern)]
    if not chosen:
        raise JobError(
            Failure.NO_SENSOR_MATCHES,
            f"'sensors': {pattern!r} matches none of the {len(focal_plane)} devices of the release"
            f" ({focal_plane[0].name} .. {focal_plane[-1].name})",
        )
    return tuple(chosen)


def parse_select(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of `--select v161899:R22_S11,v161900:R22`; raises `JobError` USAGE."""
    pairs = []
    for item in text.split(","):
        found = re.fullmatch(r"v([0-9A-Za-z_.-]+):(R\d\d(?:_S\d\d(?:_C\d)?)?)", item.strip())
        if found is None:
            raise JobError(Failure.USAGE, f"--select: '{item}' is not of the form v161899:R22_S11 or v161900:R22")
        pairs.append((found[1], found[2]))
    return tuple(pairs)


def _is_selected(visit: str, sensor: Sensor, only: Sequence[tuple[str, str]]) -> bool:
    return not only or any(visit == chosen and place in {sensor.name, sensor.raft} for chosen, place in only)


def selected_in_vain(only: Sequence[tuple[str, str]], units: Sequence[Unit]) -> list[str]:
    """The items of `--select` that no unit belongs to."""
    there = {(unit.visit, place) for unit in units for place in (unit.sensor, unit.sensor.partition("_")[0])}
    return [f"v{visit}:{place}" for visit, place in only if (visit, place) not in there]


def _is_named(sensor: Sensor, pattern: str) -> bool:
    for alternative in pattern.split("|"):
        if sensor.raft in alternative:
            # Half of a bracketed alternative does not compile by itself; it then counts as what it says.
            with suppress(re.error):
                if not re.fullmatch(alternative, sensor.name):
                    continue
            return True
    return False


def _exposures(facts: VisitFacts, selection: Selection, sensor: Sensor) -> list[int]:
    count = int(facts.vistime_s / sensor.frame_s) if sensor.is_cmos else facts.nsnap
    if selection.exposures == "all":
        return list(range(count))
    beyond = [exposure for exposure in selection.exposures if exposure >= count]
    if beyond:
        raise JobError(
            Failure.SPEC_INVALID,
            f"'exposures': {beyond[0]} does not exist, visit {facts.visit} has {count} (numbered from 0)",
        )
    return sorted(set(selection.exposures))


def _unit(facts: VisitFacts, selection: Selection, sensor: Sensor, exposure: int) -> Unit:
    files = tuple(_expected_files(facts, selection, sensor, exposure))
    return Unit(
        visit=facts.visit,
        sensor=sensor.name,
        exposure=exposure,
        filter=facts.filter,
        # PhoSim writes the catalog's seed plus the snap number (measured with 3.4).
        seed=facts.seed + exposure,
        exposure_s=_exposure_s(facts, sensor),
        files=files,
        estimated_bytes=sum(_estimated_bytes(file, has_sky=facts.has_sky) for file in files),
    )


def _exposure_s(facts: VisitFacts, sensor: Sensor) -> float:
    """Open-shutter time of one snap: the visit's time less the readouts between its snaps, shared out."""
    if sensor.is_cmos:
        return sensor.frame_s
    return (facts.vistime_s - (facts.nsnap - 1) * sensor.frame_s) / facts.nsnap


def _expected_files(facts: VisitFacts, selection: Selection, sensor: Sensor, exposure: int) -> Iterator[ExpectedFile]:
    visit_filter = f"{facts.visit}_f{facts.filter}"
    snap = f"E{exposure:03d}"
    image = f"{selection.instrument}_e_{visit_filter}_{sensor.name}_{snap}"
    yield ExpectedFile(name=f"{image}.fits.gz", role=Role.ELECTRON_IMAGE, shape=(sensor.nx, sensor.ny), bitpix=FLOAT32)
    if selection.amplifiers:
        # A wavefront half R00_S22_C0 has channels R00_S22_C00..C07: PhoSim merges the digit of the half.
        device = re.sub(r"_C\d$", "", sensor.name)
        for amplifier in _amplifiers(sensor):
            yield ExpectedFile(
                name=f"{selection.instrument}_a_{visit_filter}_{device}_{amplifier.name}_{snap}.fits.gz",
                role=Role.AMPLIFIER_IMAGE,
                shape=amplifier.shape,
                bitpix=UINT16,
                amplifier=amplifier.name,
            )
    if facts.centroids:
        yield ExpectedFile(name=f"centroid_{image}.txt", role=Role.CENTROIDS)
    if facts.throughput:
        yield ExpectedFile(name=f"throughput_{image}.txt", role=Role.THROUGHPUT)


def _amplifiers(sensor: Sensor) -> tuple[Amplifier, ...]:
    try:
        amplifiers = sensor.amplifiers
    except TablesInvalid as error:
        raise JobError(Failure.RELEASE_BROKEN, f"the release's {error}") from None
    if not amplifiers:
        raise JobError(Failure.RELEASE_BROKEN, f"the release's segmentation.txt has no channels of {sensor.name}")
    return amplifiers


def _estimated_bytes(file: ExpectedFile, *, has_sky: bool) -> int:
    if file.shape is None:
        return 20_000
    with_sky, without_sky = _BYTES_PER_PIXEL[file.role]
    return int(file.shape[0] * file.shape[1] * (with_sky if has_sky else without_sky)) + 4_000


def has_sky(commands: Mapping[str, Sequence[str]], telconfig: int) -> bool:
    """True if the sky of this visit puts light on the chip: open dome, and `zenith_v` not pushed out of reach.

    The dark-sky level is 304 electrons a pixel at the default 22 mag per square arcsecond (PhoSim 3.4, r, 15 s); at
    35 mag a whole sensor of 16 million pixels collects some 30 thousand electrons, at 45 mag three.
    """
    zenith_v = commands.get("zenith_v")
    try:
        return telconfig == 0 and (not zenith_v or float(zenith_v[0]) < 40.0)
    except ValueError:
        return telconfig == 0


@contextmanager
def _limited_time(pattern: str) -> Iterator[None]:
    """End an expression that backtracks without end: Python's matcher lets signals interrupt it."""

    def give_up(_signum: int, _frame: FrameType | None) -> None:
        raise JobError(Failure.SENSOR_PATTERN_INVALID, f"'sensors': {pattern!r} takes too long to match; simplify it")

    try:
        before = signal.signal(signal.SIGALRM, give_up)
    except ValueError:  # not in the main thread: who calls from another one has tried the expression before
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, _PATTERN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
