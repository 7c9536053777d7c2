"""What was found about one visit before the job. Values only."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import msgspec

from submitter.camera import Camera
from submitter.jobs import Shape
from transformation.instance_catalog import SizeLimits
from transformation.model.failures import Failed
from transformation.model.spec import JobSpec
from transformation.predict import NOTHING, Prediction, Range, total


class Depth(IntEnum):
    """How much of a visit's catalogs is read."""

    HEADER = 0
    SAMPLE = 1
    WHOLE = 2


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What all visits of a request have in common."""

    spec: JobSpec
    camera: Camera
    most_hours: float
    core_speed: float
    folder: Path
    """For what is fetched or written meanwhile."""
    sizes: SizeLimits
    """How large a catalog may be."""


class CatalogFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One catalog as it was found."""

    url: str
    size_bytes: int | None
    path: Path | None
    ranges: bool


class VisitLook(msgspec.Struct, kw_only=True):
    """What was found about one visit."""

    index: int
    visit: str = ""
    """obshistid with extraid; empty if it could not be read."""
    filter: int = 0
    catalogs: list[CatalogFacts] = msgspec.field(default_factory=list)
    depth: Depth = Depth.HEADER
    """How much was really read."""
    n_objects: int | None = None
    """Of the whole catalog; scaled up from a sample, None if only the header was read."""
    shape: Shape | None = None
    n_files: int = 0
    output_bytes: int = 0
    set_up_cpu_s: Range = NOTHING
    predictions: dict[str, Prediction] = msgspec.field(default_factory=dict)
    """By unit id; empty if only the header was read."""
    empty_sensors: list[str] = msgspec.field(default_factory=list)
    failures: list[Failed] = msgspec.field(default_factory=list)
    """Why the visit, or units of it, cannot be made."""
    warnings: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """Name of a row or of a kind, and a line."""
    stopped: bool = False
    """True if nothing of the visit can be made."""

    def fail(self, failed: Failed) -> VisitLook:
        """Note that nothing of the visit can be made."""
        self.failures.append(failed)
        self.stopped = True
        return self

    def sensor_cpu_s(self) -> dict[str, Range]:
        """CPU time of all exposures of each sensor, in the focal plane's order."""
        sums: dict[str, Range] = {}
        for unit_id, prediction in self.predictions.items():
            sensor = unit_id.split("-")[1]
            sums[sensor] = total([sums.get(sensor, NOTHING), prediction.cpu_s])
        return sums
