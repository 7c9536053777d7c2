"""Jobs and releases that the benchmarks run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASES = ROOT / ".demo" / "cvmfs" / "sw.local" / "lsst"
QUICKSIM = RELEASES / "quicksim" / "1.0" / "quicksim-1.0"
TINY = RELEASES / "quicksim-tiny" / "1.0" / "quicksim-tiny-1.0"

HEADER = """\
rightascension 60.0
declination -38.0
azimuth 0
altitude 89
mjd 49552.3
filter 2
rotskypos 0
rottelpos 0
dist2moon 180
moonalt -90
moondec -90
moonphase 10
moonra 180
sunalt -90
date 1994/7/19/0.3
nsnap {nsnap}
obshistid {visit}
seed 4242
seeing 0.67
vistime {vistime}
minsource 1
camconfig 1
telconfig 0
"""


def write_catalog(path: Path, *, visit: int, n_objects: int, nsnap: int = 1, spread_deg: float = 0.05) -> Path:
    """A catalog with stars of magnitude 20-24 on a grid about the field's centre."""
    side = max(1, round(n_objects**0.5))
    with path.open("w") as catalog:
        catalog.write(HEADER.format(visit=visit, nsnap=nsnap, vistime=15 * nsnap + 3 * (nsnap - 1)))
        for number in range(n_objects):
            ra = 60.0 + spread_deg * ((number % side) / side - 0.5)
            dec = -38.0 + spread_deg * ((number // side) / side - 0.5)
            magnitude = 20.0 + 4.0 * ((number * 7919) % 1000) / 1000
            catalog.write(
                f"object {number} {ra:.8f} {dec:.8f} {magnitude:.4f} ../sky/sed_flat.txt 0 0 0 0 0 0 star none none\n"
            )
    return path


def write_spec(path: Path, *, catalog: Path, sensors: str, release: str, base: Path) -> Path:
    """A job spec for the catalog."""
    spec = {
        "schema_version": 1,
        "name": path.stem,
        "user": "bench",
        "catalogs": [str(catalog)],
        "sensors": sensors,
        "release": release,
        "commands": [{"inline": "backalpha 0.0\nbackbeta 4.0\nbackgamma 10.0\n"}],
        "output": {"base": str(base)},
    }
    path.write_text(json.dumps(spec))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished `lsst-trf run`."""

    exit_code: int
    wall_s: float
    report: dict[str, object]
    started_s: float
    """Seconds since the epoch."""


def run_job(spec: Path, workdir: Path, releases: Path, *, cores: int = 2) -> Run:
    """Run `lsst-trf run` to its end."""
    argv = [sys.executable, "-m", "transformation", "run", "--job", str(spec), "--workdir", str(workdir)]
    argv += ["--cores", str(cores), "--memory-mb", "16000"]
    environment = {**os.environ, "IOD_RELEASES": str(releases), "PYTHONPATH": str(ROOT)}
    started_s, started = time.time(), time.monotonic()
    done = subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=False)
    wall_s = time.monotonic() - started
    report = json.loads((workdir / "jobReport.json").read_text())
    return Run(exit_code=done.returncode, wall_s=wall_s, report=report, started_s=started_s)


def wrap_program(release: Path, into: Path, program: str, script: str) -> Path:
    """A copy of a release in which one program is a shell script; the original is beside it as `<program>.real`."""
    copy = into / release.name
    shutil.copytree(release, copy, symlinks=True)
    original = copy / program
    original.rename(original.with_name(original.name + ".real"))
    original.write_text(script)
    original.chmod(0o755)
    return copy
