"""Which way a release is driven."""

from __future__ import annotations

from transformation.simulator.driver_mode import DriverMode
from transformation.simulator.grid_mode import GridMode
from transformation.simulator.release import Release
from transformation.simulator.seam import Simulator


def simulator_for(release: Release, *, amplifiers: bool, checkpoints: int = 0) -> Simulator:
    """Stage by stage if the release has what its grid mode needs, else one run of the driver a sensor.

    PhoSim's grid mode looks into the install's `condor/` folder, which a repackaged release may lack.
    """
    if has_grid_mode(release):
        return GridMode(release=release, amplifiers=amplifiers, checkpoints=checkpoints)
    return DriverMode(release=release, amplifiers=amplifiers)


def has_grid_mode(release: Release) -> bool:
    """Whether the release can be driven stage by stage."""
    return release.facts.grid_mode and (release.root / "condor").is_dir()
