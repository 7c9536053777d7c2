"""The release that a job names, as far as it can be seen from here.

Releases are on CVMFS, and a laptop may have none. Then the check goes on with LSST's layout as every PhoSim release has
it and with a release's usual needs, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec

from site_configs.schema import Site
from submitter.picture import HALF_UM, PIXEL_UM, sensor_centre_um
from transformation.cost_models import CostModel, cost_model
from transformation.instance_catalog import read_defaults
from transformation.model.failures import Failure, JobError
from transformation.model.focal_plane import Sensor
from transformation.predict import ReleaseNeeds
from transformation.simulator.release import Release, find_release
from transformation.simulator.release_facts import ReleaseFacts
from transformation.wiring import release_roots, sidecars

_USUAL_DEFAULTS = dict(
    line.split()
    for line in """
obshistid 9999
filter 2
rightascension 0
declination 0
rotskypos 0
altitude 89
telconfig 0
seeing 0
moonalt -90
dist2moon 180
moonphase 10
seed 1000
vistime 33.0
nsnap 2
minsource 1
camconfig 1
""".strip().splitlines()
)
"""`default_instcat` of PhoSim 3.4, as far as plan and prediction ask."""
_READOUT_S, _GUIDER_FRAME_S = 3.0, 0.1
_ROWS = 4072
_AMPLIFIER_ROWS, _AMPLIFIER_COLUMNS = 509, 2000
_SCANS = "0 1 6 4 0"
"""Hot pixels aside: parallel prescan 1, serial overscan 6 and prescan 4, parallel overscan 0."""
_WAVEFRONT = ("R00_S22", "R04_S20", "R40_S02", "R44_S00")
_GUIDERS = ("R00_S12", "R00_S21", "R04_S10", "R04_S21", "R40_S01", "R40_S12", "R44_S01", "R44_S10")
_CORNERS = {"R00", "R04", "R40", "R44"}


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """What plan and prediction ask of a release."""

    facts: ReleaseFacts
    sensors: tuple[Sensor, ...]
    defaults: Mapping[str, str]
    """Header keys that a catalog may leave out."""
    root: Path | None
    """The release's folder; None if it cannot be seen from here."""

    @property
    def name(self) -> str:
        """`phosim-3.4.2`."""
        return self.facts.name

    @property
    def model(self) -> CostModel:
        """What its units cost."""
        return cost_model(self.facts.simulator, self.facts.cost_model)

    @property
    def needs(self) -> ReleaseNeeds:
        """As plain numbers."""
        return ReleaseNeeds(
            memory_bytes=self.facts.memory_bytes,
            visit_scratch_bytes=self.facts.visit_scratch_bytes,
            unit_scratch_bytes=self.facts.unit_scratch_bytes,
        )

    @property
    def sed_library(self) -> Path | None:
        """Folder of its spectra."""
        return None if self.root is None else self.root / "data" / "SEDs"


def open_camera(release: str | None, site: Site, *, runs_here: bool) -> Camera:
    """The release's camera. Raises `JobError` if the release is needed here (`runs_here`) and not usable."""
    name = release or site.releases.default
    if name is None:
        raise JobError(Failure.SPEC_INVALID, f"'release' is missing and site {site.name} has no default")
    try:
        return _of_release(find_release(name, release_roots(site, os.environ), sidecars(site)))
    except JobError as error:
        unseen = error.failed.failure in {Failure.RELEASE_UNREACHABLE, Failure.RELEASE_UNKNOWN}
        if runs_here or not unseen:
            raise
    simulator, _, version = name.rpartition("-")
    facts = ReleaseFacts(name=name, simulator=simulator or name, version=version)
    return Camera(facts=facts, sensors=lsst_sensors(), defaults=_USUAL_DEFAULTS, root=None)


def _of_release(release: Release) -> Camera:
    try:
        defaults = read_defaults(release.default_instcat)
    except OSError as error:
        raise JobError(Failure.RELEASE_BROKEN, f"{release.default_instcat}: {error.strerror}") from None
    return Camera(facts=release.facts, sensors=release.sensors, defaults=defaults, root=release.root)


@cache
def lsst_sensors() -> tuple[Sensor, ...]:
    """All devices of LSST's camera, read off PhoSim 3.4's tables: exact for places, sizes and amplifiers."""
    rafts = [f"R{a}{b}" for a in range(5) for b in range(5)]
    places = [f"S{c}{d}" for c in range(3) for d in range(3)]
    science = [f"{raft}_{place}" for raft in rafts if raft not in _CORNERS for place in places]
    halves = [f"{name}_C{half}" for name in _WAVEFRONT for half in range(2)]
    groups = ((0, science), (1, halves), (2, list(_GUIDERS)))
    return tuple(_sensor(name, group) for group, names in groups for name in names)


def _sensor(name: str, group: int) -> Sensor:
    x_um, y_um = sensor_centre_um(name)
    columns = round(2 * HALF_UM / PIXEL_UM) * (1 if group == 1 else 2)
    return Sensor(
        name=name, x_um=x_um, y_um=y_um, pixel_um=PIXEL_UM, nx=columns, ny=_ROWS, group=group, is_cmos=group == 2,
        frame_s=_GUIDER_FRAME_S if group == 2 else _READOUT_S, channels=tuple(_channels(name, group)),
    )  # fmt: skip


def _channels(name: str, group: int) -> Iterator[str]:
    """Rows of a segmentation table, as far as they are read: eight amplifiers for each half of a sensor."""
    for half in (int(name[-1]),) if group == 1 else (0, 1):
        left = 0 if group == 1 else half * _AMPLIFIER_COLUMNS
        for number in range(8):
            low = number * _AMPLIFIER_ROWS
            corners = f"{left} {left + _AMPLIFIER_COLUMNS - 1} {low} {low + _AMPLIFIER_ROWS - 1}"
            yield f"{name}_C{half}{number} {corners} 1 -1 1.7 3 1000 2 7 3 0.02 {_SCANS}"
