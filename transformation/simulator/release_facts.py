"""What a release says of itself: `release.json` in its folder."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Printable = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z")]
PlainName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\Z", max_length=200)]
PathInside = Annotated[str, msgspec.Meta(pattern=r"^(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9_.][A-Za-z0-9_./+-]*\Z")]
"""Relative, and without `..`: it leads nowhere else."""


class ReleaseOptions(msgspec.Struct, frozen=True):
    """Command-line options that differ between releases."""

    threads: bool = False
    """`-t`: PhoSim 3.6 and later; a unit gets one thread."""
    checkpoint: bool = False
    """The physics keys `checkpointcount` and `checkpointtotal`."""
    terminal: bool = True
    """Whether raytrace may print to a pseudo-terminal, which shows its progress."""


class ReleaseFile(msgspec.Struct, frozen=True):
    """One entry of the list `files`, which names every file of the tree. A job does not read it, `iod-publish` does."""

    path: str
    """Relative to the release."""
    sha256: str
    """64 hex digits."""
    size: int
    """Bytes."""
    mode: str
    """Octal, e.g. `0755`."""


class ReleaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`release.json` (contract: fixed; newer kits may add keys)."""

    name: PlainName
    """`<simulator>-<version>`: what jobs ask for."""
    simulator: PlainName
    """`phosim`, `quicksim`, ..."""
    version: PlainName
    """As its makers number it."""
    interpreter: Printable | None = None
    """Python that runs the driver: absolute, relative to the release, or a name on PATH; None = the one running us."""
    driver: PathInside = "phosim.py"
    """Relative to the release."""
    grid_mode: bool = True
    """Whether `-g condor` leaves a DAG; it also takes the folder `condor/`."""
    instrument: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]+\Z")] = "lsst"
    """Folder below `data/`, and the first part of image names."""
    memory_bytes: int = 2_300_000_000
    """Peak of one raytrace; 2.17 GB measured with PhoSim 3.4."""
    visit_scratch_bytes: int = 310_000_000
    """Screens and parameter files of one visit; 304 MB measured with PhoSim 3.4."""
    unit_scratch_bytes: int = 110_000_000
    """What one unit writes beside that while it is made."""
    missing_sed: Literal["flat", "error"] = "error"
    """What the simulator does where a spectrum is not in its library: take a flat one, or fail."""
    max_objects: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Objects near one sensor that the simulator can hold; None = what its cost model says."""
    cost_model: str | None = None
    """Name of the cost model that fits it; None = by `simulator`."""
    options: ReleaseOptions = ReleaseOptions()
