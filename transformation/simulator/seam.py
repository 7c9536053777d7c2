"""What the stages ask of a simulator, however its release is driven: `grid_mode` or, without it, `driver_mode`.

A way of driving only knows files and command lines; the stages run the processes, judge and retry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from transformation.model.work import Batch, ExpectedFile, Unit
from transformation.workdir import VisitDir


class SetUpInvalid(Exception):
    """What the visit set-up left is not what it should leave; `str()` names the file."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One process to run."""

    name: str
    """Of its log, e.g. `raytrace`."""
    argv: tuple[str, ...]
    stdin: Path | None = None
    prints_bands: bool = False
    """Whether raytrace's table of bands is in its output."""
    segment: int | None = None
    """Of a raytrace in segments: the number of one that leaves a checkpoint."""


class TrimGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Cuts the catalog down for a group of sensors, before their units."""

    step: Step
    sensors: tuple[str, ...]


class VisitJobs(Protocol):
    """How the units of one visit are made, once its set-up is done."""

    @property
    def exit_status_counts(self) -> bool:
        """False if a run may have made good units although it ended badly."""

    @property
    def trims(self) -> Mapping[str, TrimGroup]:
        """What is to be run before any unit, by name; empty if each run trims for itself."""

    def trim_of(self, unit: Unit) -> str | None:
        """Name of the trim that must come before the unit."""

    def unprepared(self, units: Sequence[Unit]) -> list[Unit]:
        """Units that the set-up prepared nothing for."""

    def batches(self, units: Sequence[Unit]) -> list[Batch]:
        """The units, those together that one run makes."""

    def steps(self, batch: Batch, folder: Path, first_segment: int) -> tuple[Step, ...]:
        """Fill the fresh folder of an attempt; the processes to run there, in order. Raises `OSError`.

        `first_segment` is not 0 where the folder holds a checkpoint of the segment before.
        """

    def output(self, folder: Path, file: ExpectedFile, filter_number: int) -> Path | None:
        """Where a run in that folder left an expected file."""

    def trimmed(self, sensor: str) -> Path:
        """Object lines among which are all of those near the sensor."""

    def trimmed_in_run(self, sensor: str, folder: Path) -> Path:
        """The sensor's trimmed catalog while a run in that folder is at its raytrace."""

    def has_enough(self, n_sources: int, minsource: int) -> bool:
        """Whether a sensor with so many sources is simulated."""

    def sources_of_run(self, stdout: str) -> Mapping[str, int] | None:
        """Sources a sensor that a unit's own run counted; None if its trim did not come to an end."""


class Simulator(Protocol):
    """A way of driving a release."""

    def set_up(self, folder: VisitDir, sensors: Sequence[str]) -> Step | None:
        """The process that prepares a visit, whose inputs stand in the folder; None if nothing is to be prepared."""

    def open_visit(self, folder: VisitDir, visit: str) -> VisitJobs:
        """What the set-up left. Raises `SetUpInvalid`."""
