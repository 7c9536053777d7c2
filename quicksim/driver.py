"""The driver behind `phosim.py`: PhoSim's command line and its order of stages. Standard library only.

Kept on purpose, since wrappers must be able to live with it: the exit code speaks for the visit's steps (catalog,
atmosphere, instrument, trim) only. An image that fails leaves a line on stderr, its .pars files in the work folder, no
e-image in the output folder, and exit code 0.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from quicksim.focal_plane import read_segmentation
from quicksim.grid_mode import submit_grid
from quicksim.instance_catalog import InstanceCatalog
from quicksim.pars import StageError
from quicksim.visit import Folders, Unit, Visit

UNKNOWN_GRID_EXIT = 255
LINES_AROUND_OBJECTS = 2
LINES_OF_AN_OBJECT = 2

VISIT_FILES = (
    "obs_{0}.pars obsExtra_{0}.pars objectcatalog_{0}.pars catlist_{0}.pars optics_{0}.pars tracking_{0}.pars "
    "chip_{0}_*.pars readout_{0}_*.pars trim_{0}_*.pars trimcatalog_{0}_*.pars"
)
SCREEN_FILES = "atmosphere_{0}.pars atmospherescreen_{0}_*.fits.gz cloudscreen_{0}_*.fits.gz airglowscreen_{0}.fits.gz"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """PhoSim's options, old and new; the catalog may stand before or after them."""
    parser = argparse.ArgumentParser(prog="phosim.py", description="quicksim, with the command line of PhoSim")
    add = parser.add_argument
    add("instance_catalog", nargs="?")
    add("-c", "--command", default="none", metavar="FILE", help="physics commands")
    add("-p", "--proc", type=int, default=1, metavar="N", help="images made at once")
    add("-o", "--output", default="output", metavar="DIR", help="folder of the final images; must exist")
    add("-w", "--work", default="work", metavar="DIR", help="folder of everything else; must exist")
    add("-b", "--bin", default="bin", metavar="DIR", help="folder of the stages")
    add("-d", "--data", default="data", metavar="DIR", help="folder of the data")
    add("--sed", default="data/SEDs", metavar="DIR", help="folder of the spectra")
    add("--image", default="data/images", metavar="DIR", help="folder of the postage stamps")
    add("-s", "--sensor", default="all", metavar="LIST", help="sensors, joined by |")
    add("-i", "--instrument", default="lsst", metavar="NAME", help="sub-folder of the data folder")
    add("-g", "--grid", default="no", help="no, or condor")
    add("-u", "--universe", default="standard", help="condor universe")
    add("-e", "--e2adc", type=int, default=1, choices=(0, 1), help="make amplifier images")
    add("-t", "--thread", type=int, default=1, metavar="N", help="threads of one image")
    add("--keepscreens", type=int, default=0, choices=(0, 1), help="move the screens to the output folder")
    add("--checkpoint", type=int, default=12, metavar="N", help="condor: cut each raytrace into N+1 jobs")
    add("-v", "--version", action="store_true", help="print the version")
    options = parser.parse_args(arguments)
    options.usage = parser.format_usage()
    return options


def main(install: Path, arguments: list[str]) -> int:
    """Run `phosim.py` of the release in the folder `install`; returns its exit code."""
    options = parse_arguments(arguments)
    if options.version:
        print((install / "bin" / "version").read_text(encoding="ascii"), end="")
        return 0
    if options.instance_catalog is None:
        print(options.usage, end="")
        return 0
    os.environ.setdefault("QUICKSIM_PYTHON", sys.executable)
    try:
        return Driver(install, options).run()
    except (StageError, OSError) as failure:
        sys.stdout.flush()
        print(f"phosim.py: {failure}", file=sys.stderr)
        return 1


def _assigned_path(install: Path, value: str) -> Path:
    """PhoSim's rule for paths: inside the install folder if it is there, else as given."""
    for path in (install / value, Path(value)):
        if path.exists():
            return path.absolute()
    raise StageError(f"{value} does not exist.")


class Driver:
    """One run of `phosim.py`."""

    def __init__(self, install: Path, options: argparse.Namespace) -> None:
        self.options = options
        data = _assigned_path(install, options.data)
        self.folders = Folders(
            install=install,
            work=_assigned_path(install, options.work),
            output=_assigned_path(install, options.output),
            bin=_assigned_path(install, options.bin),
            data=data,
            seds=_assigned_path(install, options.sed),
            images=_assigned_path(install, options.image),
            instrument=_assigned_path(data, options.instrument),
        )
        self.commands = self._read_commands()
        self.visit: Visit
        self.catalogs = ""

    def _read_commands(self) -> list[str]:
        if self.options.command == "none":
            return []
        path = _assigned_path(self.folders.install, self.options.command)
        return [
            line.rstrip() for line in path.read_text(encoding="ascii", errors="replace").splitlines() if line.strip()
        ]

    def run(self) -> int:
        """Do the visit's steps, then the images, or hand them to the grid."""
        self._prepare_visit()
        self._run_stage("atmosphere", f"obsExtra_{self.visit.number}.pars")
        self._run_stage("instrument", f"obsInstrument_{self.visit.number}.pars")
        (self.folders.work / f"obsInstrument_{self.visit.number}.pars").unlink()
        if self.options.grid == "condor":
            submit_grid(self.visit, self.options.checkpoint, self.options.universe, self.catalogs)
        elif self.options.grid == "no":
            self._run_images(self._trimmed_units())
            self._tidy()
        else:
            print(f"phosim.py: unknown grid option '{self.options.grid}'; it is no or condor", file=sys.stderr)
            return UNKNOWN_GRID_EXIT
        return 0

    # The visit -------------------------------------------------------------------------------------------------------

    def _prepare_visit(self) -> None:
        """Read the catalog and write what the visit's stages are told."""
        work = self.folders.work
        source = Path(self.options.instance_catalog).absolute()
        catalog = InstanceCatalog()
        catalog.read(self.folders.install / "default_instcat", lambda line: line)
        wanted = None if self.options.sensor == "all" else frozenset(self.options.sensor.split("|"))
        self.visit = visit = Visit(catalog.values, self.commands, self.folders, wanted, self.options.thread)
        # The visit's number, and so the name of this file, may stand on the catalog's last line.
        draft = work / f"objectcatalog_{os.getpid()}.part"
        try:
            with draft.open("w", encoding="utf-8") as objects:
                catalog.read(source, objects.write)
            visit.check()
            draft.rename(work / f"objectcatalog_{visit.number}.pars")
        finally:
            draft.unlink(missing_ok=True)
        self.catalogs = self._catalog_lines(catalog, source.parent)
        self._write(f"catlist_{visit.number}.pars", self.catalogs)
        self._write(f"obs_{visit.number}.pars", visit.observation_pars())
        self._write(f"obsExtra_{visit.number}.pars", visit.observation_pars() + visit.command_pars())
        dlsm = "".join(line + "\n" for line in self.commands if "dlsm" in line)
        self._write(f"obsInstrument_{visit.number}.pars", visit.observation_pars() + dlsm)

    def _catalog_lines(self, catalog: InstanceCatalog, folder: Path) -> str:
        """The `catalog N FILE` lines: objects of the catalog itself first, if it has any, then its includes."""
        files = [f"objectcatalog_{self.visit.number}.pars"] if catalog.objects or not catalog.includes else []
        files += [str(folder / name) for name in catalog.includes]
        return "".join(f"catalog {number} {file}\n" for number, file in enumerate(files))

    def _write(self, name: str, text: str) -> None:
        (self.folders.work / name).write_text(text, encoding="utf-8")

    def _run_stage(self, stage: str, pars: str) -> None:
        """Run one stage on a .pars file of the work folder; an error if it fails."""
        executable = self.folders.bin / stage
        with (self.folders.work / pars).open("rb") as settings:
            sys.stdout.flush()
            code = subprocess.run([str(executable)], stdin=settings, cwd=self.folders.work).returncode
        if code != 0:
            raise StageError(f"Error running {executable} < {pars}: exit code {code}")

    # The images ------------------------------------------------------------------------------------------------------

    def _trimmed_units(self) -> list[Unit]:
        """Run the trims; returns the images of all wanted sensors that have enough sources."""
        units = []
        for number, group, wanted in self.visit.chip_groups():
            pars = f"trim_{self.visit.number}_{number}.pars"
            self._write(pars, self.visit.trim_pars(group, self.catalogs))
            self._run_stage("trim", pars)
            for device in wanted:
                if self._enough_sources(device.name):
                    units += self.visit.exposures(device)
        return units

    def _enough_sources(self, sensor: str) -> bool:
        """PhoSim counts lines, of which each object has two: so `minsource` objects are not quite needed."""
        with self._trimmed(sensor).open("rb") as lines:
            counted = sum(1 for _ in lines) - LINES_AROUND_OBJECTS
        return counted >= self.visit.minsource

    def _trimmed(self, sensor: str) -> Path:
        return self.folders.work / f"trimcatalog_{self.visit.number}_{sensor}.pars"

    def _run_images(self, units: list[Unit]) -> None:
        """Make the images in batches of `-p`: start so many, wait for all of them, start the next."""
        batch = max(1, self.options.proc)
        for first in range(0, len(units), batch):
            workers = [threading.Thread(target=self._run_image, args=(unit,)) for unit in units[first : first + batch]]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

    def _run_image(self, unit: Unit) -> None:
        try:
            self._make_image(unit)
            self._move_image(unit)
        except (StageError, OSError) as failure:
            print(f"phosim.py: {unit.name}: {failure}", file=sys.stderr)

    def _make_image(self, unit: Unit) -> None:
        unit_id = self.visit.unit_id(unit)
        raytrace, e2adc = f"raytrace_{unit_id}.pars", f"e2adc_{unit_id}.pars"
        objects = self._trimmed(unit.device.name).read_text(encoding="utf-8")
        self._write(raytrace, self.visit.raytrace_pars(unit) + objects)
        self._write(e2adc, self.visit.e2adc_pars(unit))
        self._run_stage("raytrace", raytrace)
        (self.folders.work / raytrace).unlink()
        if self.options.e2adc:
            self._run_stage("e2adc", e2adc)
        (self.folders.work / e2adc).unlink()

    def _move_image(self, unit: Unit) -> None:
        """Move the finished files to the output folder: amplifiers first, the e-image last."""
        names = []
        if self.options.e2adc:
            amplifiers = read_segmentation(self.folders.instrument)[unit.device.name]
            names = [self.visit.amplifier_name(unit, amplifier.name) for amplifier in amplifiers]
        for name in [*names, self.visit.image_name(unit) + ".fits.gz"]:
            shutil.move(self.folders.work / name, self.folders.output / name)

    # The end ---------------------------------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Move what belongs to the visit as a whole, and remove the rest of the visit's own files."""
        number = self.visit.number
        extra = f"centroid_{self.visit.prefix}_e_{number}_f* throughput_{self.visit.prefix}_e_{number}_f*"
        self._move_to_output(extra)
        if self.options.keepscreens:
            self._move_to_output(SCREEN_FILES.format(number))
        for pattern in f"{VISIT_FILES} {SCREEN_FILES}".format(number).split():
            for path in self.folders.work.glob(pattern):
                path.unlink()

    def _move_to_output(self, patterns: str) -> None:
        for pattern in patterns.split():
            for path in self.folders.work.glob(pattern):
                shutil.move(path, self.folders.output / path.name)
