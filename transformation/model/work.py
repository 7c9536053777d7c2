"""What is to be made: visits, units and the files each unit must leave."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

FILTER_LETTERS = "ugrizy"


class Role(StrEnum):
    """What an output file is."""

    ELECTRON_IMAGE = "electron_image"
    AMPLIFIER_IMAGE = "amplifier_image"
    CENTROIDS = "centroids"
    THROUGHPUT = "throughput"


class UnitState(StrEnum):
    """Where a unit stands."""

    PLANNED = "planned"
    RUNNING = "running"
    COMMITTED = "committed"
    EMPTY = "empty"
    FAILED = "failed"

    @property
    def done(self) -> bool:
        """True if nothing remains to be made."""
        return self in {UnitState.COMMITTED, UnitState.EMPTY}


class ExpectedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a good simulation of a unit leaves."""

    name: str
    """Final name, as PhoSim gives it in its output folder."""
    role: Role
    shape: tuple[int, int] | None = None
    """NAXIS1, NAXIS2 of an image; None for text."""
    bitpix: int | None = None
    """-32 (float32) for electron images, 16 for amplifiers."""
    amplifier: str | None = None
    """Amplifier name such as C00."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor in one exposure of one visit: what is simulated, judged and committed on its own."""

    visit: str
    """obshistid (with PhoSim's extraid appended), as in every file name."""
    sensor: str
    """PhoSim sensor name, e.g. R22_S11."""
    exposure: int
    """Snap number from 0."""
    filter: int
    """0-5 = u g r i z y."""
    seed: int
    """The catalog's seed plus the snap number: what the image header must say."""
    exposure_s: float
    """Open-shutter time of this snap, seconds."""
    files: tuple[ExpectedFile, ...]
    estimated_bytes: int
    """Rough size of all files together."""

    @property
    def id(self) -> str:
        """Readable and stable name: `v87393588-R22_S11-E000`."""
        return f"v{self.visit}-{self.sensor}-{self.exposure_id}"

    @property
    def exposure_id(self) -> str:
        """PhoSim's name of the snap: `E000`."""
        return f"E{self.exposure:03d}"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one sensor that one run of the simulator makes."""

    units: tuple[Unit, ...]

    @property
    def sensor(self) -> str:
        """PhoSim sensor name."""
        return self.units[0].sensor

    @property
    def id(self) -> str:
        """The unit's id, or visit and sensor of several: `v87393588-R22_S11`."""
        first = self.units[0]
        return first.id if len(self.units) == 1 else f"v{first.visit}-{first.sensor}"


class MadeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A judged file in an attempt's folder."""

    name: str
    path: Path
    role: Role
    size_bytes: int
    adler32: str
    """Eight lower-case hex digits over the bytes as they are (gzipped)."""
    amplifier: str | None = None


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file at its destination."""

    name: str
    url: str
    role: Role
    size_bytes: int
    adler32: str
    amplifier: str | None = None
