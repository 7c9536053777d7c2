"""Grid mode: the DAG of a visit for HTCondor, with the `.submit` and `.pars` file of every node.

A node's executable reads its .pars on stdin in the work folder. After a trim, the DAG's POST script appends each
trimmed catalog to the .pars of its sensor's raytraces.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from quicksim.atmosphere import screen_files
from quicksim.pars import StageError

if TYPE_CHECKING:
    from pathlib import Path

    from quicksim.visit import Unit, Visit

RETRIES = 3
TABLES = ("focalplanelayout.txt", "location.txt", "central_wavelengths.txt")


def submit_grid(visit: Visit, checkpoint: int, universe: str, catalogs: str) -> None:
    """Write the visit's DAG into the work folder and hand it to `condor_submit_dag`, which is looked for on PATH."""
    if universe != "standard":
        raise StageError(f"condor universe '{universe}' is not offered; use -u standard")
    if not (visit.folders.install / "condor").is_dir():
        raise StageError("this release has no condor folder: use -g no")
    for name in ("logs", "output", "errors"):
        (visit.folders.work / name).mkdir(exist_ok=True)
    dag = f"dag_{visit.number}.dag"
    lines = Dag(visit, checkpoint, catalogs).write_nodes()
    (visit.folders.work / dag).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    try:
        code = subprocess.run(["condor_submit_dag", dag], cwd=visit.folders.work).returncode
    except FileNotFoundError:
        raise StageError("condor_submit_dag is not on PATH") from None
    if code != 0:
        raise StageError(f"condor_submit_dag {dag}: exit code {code}")


class Dag:
    """Writes the nodes of a visit and collects the lines of its DAG."""

    def __init__(self, visit: Visit, checkpoint: int, catalogs: str) -> None:
        self.visit = visit
        self.checkpoint = checkpoint
        self.catalogs = catalogs
        self.work = visit.folders.work
        self.script = visit.folders.install / "condor" / "chip"

    def write_nodes(self) -> list[str]:
        """All nodes: a trim per group of sensors, then raytraces and an e2adc per image."""
        lines = []
        for number, group, wanted in self.visit.chip_groups():
            trim = f"trim_{self.visit.number}_{number}"
            self._write(f"{trim}.pars", self.visit.trim_pars(group, self.catalogs))
            self._write_submit(trim, "trim", f"trim_{self.visit.number}_{number}", self._trim_inputs())
            post = f"posttrim {self.visit.number} {number} {self.visit.nsnap} {self.visit.folders.data}"
            lines += self._job(trim, f"{post} {self.work} {self.checkpoint}")
            for device in wanted:
                for unit in self.visit.exposures(device):
                    lines += self._unit_nodes(trim, unit)
        return lines

    def _unit_nodes(self, trim: str, unit: Unit) -> list[str]:
        """The chain of one image: its raytrace in `checkpoint` + 1 segments, then its e2adc."""
        visit, unit_id = self.visit, self.visit.unit_id(unit)
        sensor, exposure = unit.device.name, f"E{unit.exposure:03d}"
        image = f"{visit.number} {visit.filter} {sensor} {exposure}"
        text, lines, parent = visit.raytrace_pars(unit), [], trim
        for segment in range(self.checkpoint + 1):
            raytrace = f"raytrace_{unit_id}_{segment}"
            self._write(f"{raytrace}.pars", f"{text}checkpointcount {segment}\ncheckpointtotal {self.checkpoint}\n")
            self._write_submit(raytrace, "raytrace", unit_id, self._raytrace_inputs(unit, segment))
            cleanup = "lastraytracecleanup" if segment == self.checkpoint else "raytracecleanup"
            post = f"{cleanup} {image} {segment} {self.work} {visit.prefix}"
            lines += self._job(raytrace, post, parent)
            parent = raytrace
        e2adc = f"e2adc_{unit_id}"
        self._write(f"{e2adc}.pars", visit.e2adc_pars(unit))
        self._write_submit(e2adc, "e2adc", unit_id, self._e2adc_inputs(unit))
        folders = visit.folders
        post = f"poste2adc {image} {folders.output} {folders.instrument} {self.work} {visit.prefix}"
        lines += [*self._job(e2adc, post), f"PARENT {parent} CHILD {e2adc}"]
        return lines

    def _job(self, node: str, post: str, parent: str | None = None) -> list[str]:
        """The lines of one node; PhoSim puts a trim's script before its retries, and a raytrace's behind its parent."""
        job, retry = f"JOB {node} {self.work / node}.submit", f"RETRY {node} {RETRIES}"
        script = f"SCRIPT POST {node} {self.script} {post}"
        if parent is not None:
            return [job, retry, f"PARENT {parent} CHILD {node}", script]
        return [job, script, retry] if node.startswith("trim") else [job, retry, script]

    def _write(self, name: str, text: str) -> None:
        (self.work / name).write_text(text, encoding="utf-8")

    def _write_submit(self, node: str, executable: str, log: str, inputs: list[Path | str]) -> None:
        # One file a line where there are many, as PhoSim does.
        separator, start = (", \\\n", "\\\n") if executable == "raytrace" else (", ", "")
        transfers = start + separator.join(str(path) for path in inputs)
        text = f"""\
executable = {self.visit.folders.bin / executable}
initialdir = {self.work}
Universe = standard
Input = {node}.pars
Log = logs/log_{log}.log
Output = output/out_{log}.out
Error = errors/error_{log}.error
should_transfer_files = IF_NEEDED
when_to_transfer_output = ON_EXIT
notification = NEVER
transfer_input_files = {transfers}
Queue 1
"""
        self._write(f"{node}.submit", text)

    def _tables(self, *names: str) -> list[Path | str]:
        return [self.visit.folders.instrument / name for name in names]

    def _trim_inputs(self) -> list[Path | str]:
        files: list[Path | str] = [line.split(maxsplit=2)[2] for line in self.catalogs.splitlines()]
        return self._tables("focalplanelayout.txt", "central_wavelengths.txt") + files

    def _raytrace_inputs(self, unit: Unit, segment: int) -> list[Path | str]:
        earlier = f"{self.visit.image_name(unit)}_ckpt{{}}_{segment - 1}.fits.gz"
        pair = [earlier.format(kind) for kind in ("dt", "fp")] if segment else []
        screens: list[Path | str] = [*screen_files(self.visit.number)]
        version: list[Path | str] = [self.visit.folders.bin / "version"]
        return screens + version + self._tables(*TABLES) + [f"tracking_{self.visit.number}.pars", *pair]

    def _e2adc_inputs(self, unit: Unit) -> list[Path | str]:
        return [*self._tables("segmentation.txt", "focalplanelayout.txt"), f"{self.visit.image_name(unit)}.fits.gz"]
