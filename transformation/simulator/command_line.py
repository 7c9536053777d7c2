"""The command line of `phosim.py`, as far as all ways of driving it share it.

All paths are absolute: PhoSim looks into its own install folder first. `-i` is always given, because PhoSim 5/6 means
another instrument without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformation.simulator.release import Release
from transformation.workdir import VisitDir


def driver_argv(
    release: Release, folder: VisitDir, sensors: Sequence[str], grid: Sequence[str], work: Path, output: Path, *,
    amplifiers: bool,
) -> tuple[str, ...]:  # fmt: skip
    """Interpreter, driver and options for the visit whose inputs stand in `folder`."""
    return (
        *release.driver_argv,
        str(folder.catalog),
        # PhoSim 5/6 trips over a command file without lines.
        *(("-c", str(folder.commands)) if folder.commands.stat().st_size else ()),
        *("-s", "|".join(sensors)),
        *("-i", release.facts.instrument),
        *(("--sed", str(folder.seds)) if folder.seds.is_dir() else ()),
        *grid,
        # PhoSim 5/6 takes all CPUs of the machine when it is not told.
        *(("-t", "1") if release.facts.options.threads else ()),
        *("-e", "1" if amplifiers else "0"),
        *("-w", str(work)),
        *("-o", str(output)),
    )
