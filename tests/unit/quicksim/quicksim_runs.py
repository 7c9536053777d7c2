"""Helpers of the tests of quicksim: run a release, write an instance catalog."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60


@dataclass(frozen=True)
class Run:
    """A finished run of a release's phosim.py."""

    code: int
    stdout: str
    stderr: str
    work: Path
    output: Path

    def files(self) -> set[str]:
        return {path.name for path in self.output.iterdir()}


@dataclass(frozen=True)
class Release:
    """A built release, and how to run it."""

    root: Path

    def phosim(self, folder: Path, catalog: Path | str, *options: str, path: str = "") -> Run:
        """Run phosim.py in a fresh work and output folder below `folder`."""
        work, output = folder / "work", folder / "output"
        work.mkdir(parents=True)
        output.mkdir()
        if isinstance(catalog, str):
            (folder / "catalog.txt").write_text(catalog)
            catalog = folder / "catalog.txt"
        command = [
            sys.executable,
            str(self.root / "phosim.py"),
            *options,
            str(catalog),
            "-w",
            str(work),
            "-o",
            str(output),
        ]
        environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}" if path else os.environ["PATH"]}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S)
        return Run(done.returncode, done.stdout, done.stderr, work, output)

    def stage(self, name: str, work: Path, pars: Path | str) -> subprocess.CompletedProcess[str]:
        """Run one stage in a folder, with a .pars file or its text on stdin."""
        text = pars if isinstance(pars, str) else pars.read_text()
        environment = {**os.environ, "QUICKSIM_PYTHON": sys.executable}
        command = [str(self.root / "bin" / name)]
        return subprocess.run(
            command, input=text, cwd=work, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S
        )


HEADER = {
    "obshistid": 4711,
    "rightascension": 0,
    "declination": 0,
    "altitude": 89,
    "filter": 2,
    "rotskypos": 0,
    "seeing": 0.67,
    "seed": 1000,
    "vistime": 33.0,
    "nsnap": 2,
    "moonalt": -90,
    "sunalt": -90,
}
STAR = "object {id} {ra} {dec} {mag} ../sky/sed_flat.txt 0 0 0 0 0 0 star none none"


def star(number: int, ra_deg: float, dec_deg: float, magnitude: float) -> str:
    return STAR.format(id=number, ra=ra_deg, dec=dec_deg, mag=magnitude)


def catalog(*lines: str, **header: object) -> str:
    """The text of an instance catalog."""
    return "".join(f"{key} {value}\n" for key, value in {**HEADER, **header}.items()) + "".join(
        f"{line}\n" for line in lines
    )
