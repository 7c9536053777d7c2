"""Build a release of quicksim: `python -m quicksim.release build --into FOLDER [--tiny]`.

A release is a complete tree in the shape of a PhoSim release, with a copy of this package's run-time modules. It needs
nothing of the checkout that it was built from, may lie anywhere, and is never written to. Equal inputs give equal
bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from operator import itemgetter
from pathlib import Path

from quicksim import VERSION
from quicksim.example_files import DEFAULT_HEADER, EXAMPLES
from quicksim.tables import (
    CENTRAL_WAVELENGTHS,
    FULL,
    LOCATION,
    TINY,
    flat_sed,
    focal_plane_layout,
    segmentation,
)

STAGES = ("atmosphere", "instrument", "trim", "raytrace", "e2adc")
BUILD_TIME_MODULES = ("release.py", "tables.py", "example_files.py")

SCHEMA_VERSION = 1
MEGABYTE = 1_000_000

DRIVER = '''\
#!/usr/bin/env python3
"""quicksim with PhoSim's command line; see `--help`."""

import sys
from pathlib import Path

# A release is read-only, and it carries its compiled modules.
sys.dont_write_bytecode = True
INSTALL = Path(__file__).resolve().parent
sys.path.insert(0, str(INSTALL / "lib"))

from quicksim.driver import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(INSTALL, sys.argv[1:]))
'''

STAGE_RUNNER = '''\
"""Run the stage that the first argument names."""

import importlib
import sys

sys.exit(importlib.import_module("quicksim." + sys.argv[1]).main())
'''

LAUNCHER = """\
#!/bin/sh
# Stage {stage}: reads a .pars file on stdin and writes into the current folder.
# QUICKSIM_PYTHON is the interpreter; phosim.py sets it to its own. It needs numpy.
exec "${{QUICKSIM_PYTHON:-python3}}" -B "${{0%/*}}/../lib/run_stage.py" {stage}
"""

GRID_NOTE = """\
Grid mode: phosim.py CATALOG -g condor -u standard --checkpoint=N writes a DAG for HTCondor into the work folder and
hands it to condor_submit_dag. `chip` is what the DAG calls after a node.
"""

GRID_SCRIPT = """\
#!/bin/sh
# What the DAG of a visit calls after a node has ended.
set -eu
step=$1; shift
case $step in
posttrim) # VISIT GROUP NSNAP DATADIR WORKDIR CHECKPOINTS: hand the trimmed objects to the raytraces of their sensors
    cd "$5"
    for sensor in $(sed -n 's/^chipid [0-9]* //p' "trim_$1_$2.pars"); do
        for pars in "raytrace_$1_${sensor}_E"*.pars; do
            test ! -e "$pars" || cat "trimcatalog_$1_$sensor.pars" >> "$pars"
        done
    done ;;
raytracecleanup) # VISIT FILTER SENSOR EXPOSURE SEGMENT WORKDIR PREFIX: a segment is good if it left its checkpoint
    test -e "$6/$7_e_$1_f$2_$3_$4_ckptfp_$5.fits.gz" ;;
lastraytracecleanup) # the same: the last segment is good if it left the e-image
    test -e "$6/$7_e_$1_f$2_$3_$4.fits.gz" ;;
poste2adc) # VISIT FILTER SENSOR EXPOSURE OUTPUTDIR INSTRDIR WORKDIR PREFIX: amplifiers first, the e-image last
    cd "$7"
    mv "$8_a_$1_f$2_$3"_C*"_$4.fits.gz" "$5"
    mv "$8_e_$1_f$2_$3_$4.fits.gz" "$5" ;;
*)
    echo "chip: unknown step '$step'" >&2
    exit 1 ;;
esac
"""


def build_release(folder: Path, *, tiny: bool) -> Path:
    """Write a release at exactly `folder`, all of it or nothing; a release that was there is replaced."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_tree(draft, tiny=tiny)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _write_tree(root: Path, *, tiny: bool) -> None:
    size = TINY if tiny else FULL
    name = release_name(tiny=tiny)
    _write(root / "phosim.py", DRIVER, executable=True)
    for stage in STAGES:
        _write(root / "bin" / stage, LAUNCHER.format(stage=stage), executable=True)
    _write(root / "bin" / "version", f"commit {name}\nv{VERSION}-{name}\n")
    _write(root / "data/lsst/focalplanelayout.txt", focal_plane_layout(size))
    _write(root / "data/lsst/segmentation.txt", segmentation(size))
    _write(root / "data/lsst/central_wavelengths.txt", CENTRAL_WAVELENGTHS)
    _write(root / "data/lsst/location.txt", LOCATION)
    _write(root / "data/sky/sed_flat.txt", flat_sed())
    _write(root / "data/SEDs/README", "Spectra go here: nm and flux per nm, plain or .gz. Missing ones are flat.\n")
    _write(root / "data/images/README", "Postage stamps go here; quicksim draws the objects that name one as points.\n")
    _write(root / "condor/README", GRID_NOTE)
    _write(root / "condor/chip", GRID_SCRIPT, executable=True)
    _write(root / "default_instcat", DEFAULT_HEADER)
    for example, text in EXAMPLES.items():
        _write(root / "examples" / example, text)
    _copy_modules(root / "lib")
    description = describe(root, tiny=tiny)
    _write(root / "release.json", json.dumps(description, indent=1, sort_keys=True) + "\n")


def release_name(*, tiny: bool) -> str:
    """`quicksim-1.0`, or `quicksim-tiny-1.0`."""
    return f"{_simulator(tiny=tiny)}-{VERSION}"


def _simulator(*, tiny: bool) -> str:
    return "quicksim-tiny" if tiny else "quicksim"


def _write(path: Path, text: str, *, executable: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755 if executable else 0o644)


def _copy_modules(lib: Path) -> None:
    """Copy the run-time modules and compile them, so that a read-only release starts as fast as any package."""
    _write(lib / "run_stage.py", STAGE_RUNNER)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if source.name not in BUILD_TIME_MODULES:
            _write(lib / "quicksim" / source.name, source.read_text(encoding="utf-8"))
    # In a process of its own with fixed hashes: what else is loaded, and the order of sets, show in the bytes. With
    # "unchecked-hash" neither times nor places matter; another Python ignores these files and reads the sources.
    command = [sys.executable, "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "quicksim"]
    subprocess.run(command, cwd=lib, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})


def describe(root: Path, *, tiny: bool) -> dict[str, object]:
    """The contents of `release.json`: what the simulator is, what it needs, and every file of the tree."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": release_name(tiny=tiny),
        "simulator": _simulator(tiny=tiny),
        "version": VERSION,
        "interpreter": None,
        "driver": "phosim.py",
        "grid_mode": True,
        "instrument": "lsst",
        "memory_bytes": (220 if tiny else 400) * MEGABYTE,
        "visit_scratch_bytes": 5 * MEGABYTE,
        "unit_scratch_bytes": (2 if tiny else 140) * MEGABYTE,
        "options": {"threads": True, "checkpoint": True},
        "missing_sed": "flat",
        "licence": "BSD-3-Clause",
        "files": sorted(
            (_file_entry(root, path) for path in root.rglob("*") if path.is_file()), key=itemgetter("path")
        ),
    }


def _file_entry(root: Path, path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {
        "path": path.relative_to(root).as_posix(),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "mode": f"{path.stat().st_mode & 0o777:04o}",
    }


def main(arguments: list[str] | None = None) -> int:
    """Command line of the builder."""
    parser = argparse.ArgumentParser(
        prog="python -m quicksim.release", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    build = parser.add_subparsers(dest="action", required=True).add_parser("build", help="write a release")
    build.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="the release's own folder")
    build.add_argument("--tiny", action="store_true", help="sensors a tenth as long each way, for tests")
    options = parser.parse_args(arguments)
    print(build_release(options.into.absolute(), tiny=options.tiny))
    return 0


if __name__ == "__main__":
    sys.exit(main())
