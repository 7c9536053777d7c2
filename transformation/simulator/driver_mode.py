"""A release without grid mode: `phosim.py -g no` once a sensor, judged by the files it leaves.

The driver makes all exposures of a sensor in one run, one after the other, and exits 0 after most failures. Its work
and output folders are fresh for each run, so that no truncated or late file of an earlier one is taken for a result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from transformation.model.work import Batch, ExpectedFile, Unit
from transformation.simulator.command_line import driver_argv
from transformation.simulator.names import find_output, sources_found, trimmed_catalog
from transformation.simulator.release import Release
from transformation.simulator.seam import Step, TrimGroup
from transformation.workdir import VisitDir

_LINES_OF_AN_OBJECT = 2
_TRIM_RAN = re.compile(r"^Trim Catalog|^Found \d+ source", re.MULTILINE)
"""Trim's own heading (PhoSim 3.4), printed also where no sensor has a source."""


class DriverMode(msgspec.Struct, frozen=True, kw_only=True):
    """Drives any release with PhoSim's command line."""

    release: Release
    amplifiers: bool

    def set_up(self, folder: VisitDir, sensors: Sequence[str]) -> None:
        """Nothing: each run sets up the visit for itself."""
        del folder, sensors

    def open_visit(self, folder: VisitDir, visit: str) -> DriverVisit:
        """Ready at once."""
        return DriverVisit(release=self.release, visit=visit, visit_folder=folder, amplifiers=self.amplifiers)


class DriverVisit(msgspec.Struct, frozen=True, kw_only=True):
    """One visit, one run a sensor."""

    release: Release
    visit: str
    visit_folder: VisitDir
    amplifiers: bool

    @property
    def exit_status_counts(self) -> bool:
        """No: one exposure may be whole when the driver is killed in the next."""
        return False

    @property
    def trims(self) -> Mapping[str, TrimGroup]:
        """None: each run trims for itself."""
        return {}

    def trim_of(self, unit: Unit) -> str | None:
        """None."""
        del unit
        return None

    def unprepared(self, units: Sequence[Unit]) -> list[Unit]:
        """None: the driver is asked for any of them."""
        del units
        return []

    def batches(self, units: Sequence[Unit]) -> list[Batch]:
        """The units of a sensor together."""
        sensors = dict.fromkeys(unit.sensor for unit in units)
        return [Batch(units=tuple(unit for unit in units if unit.sensor == sensor)) for sensor in sensors]

    def steps(self, batch: Batch, folder: Path, first_segment: int) -> tuple[Step, ...]:
        """One run of the driver, which knows no segments. Raises `OSError`."""
        del first_segment
        work, output = folder / "work", folder / "output"
        for fresh in (work, output):
            fresh.mkdir(parents=True)
        argv = driver_argv(
            self.release, self.visit_folder, [batch.sensor], ("-g", "no", "-p", "1"), work, output,
            amplifiers=self.amplifiers,
        )  # fmt: skip
        return (Step(name="driver", argv=argv, prints_bands=True),)

    def output(self, folder: Path, file: ExpectedFile, filter_number: int) -> Path | None:
        """In the run's output folder; tables of centroids keep either habit of naming there."""
        return find_output(folder / "output", file, filter_number)

    def trimmed(self, sensor: str) -> Path:
        """All objects of the visit: the driver removes what it trimmed."""
        del sensor
        return self.visit_folder.objects

    def trimmed_in_run(self, sensor: str, folder: Path) -> Path:
        """In the run's work folder, until the driver tidies up."""
        return trimmed_catalog(folder / "work", self.visit, sensor)

    def has_enough(self, n_sources: int, minsource: int) -> bool:
        """The driver counts the trimmed catalog's lines less two, and each object has two lines (PhoSim 3.4)."""
        return _LINES_OF_AN_OBJECT * n_sources >= minsource

    def sources_of_run(self, stdout: str) -> Mapping[str, int] | None:
        """From trim's lines in the driver's output; None if trim did not even begin."""
        return sources_found(stdout) if _TRIM_RAN.search(stdout) else None
