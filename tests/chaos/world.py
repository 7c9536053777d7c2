"""The surroundings of one case: a request, a release that can be broken, a destination, a catalog."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.services import REMOTE_RSE, Services
from tests.servers.rucio_server import ACCOUNT, IDENTITY, PASSWORD, RSE
from tests.servers.xrootd_server import IMPATIENT
from tests.whole_job.aftermath import processes_in
from tests.whole_job.bench import COMMAND
from tests.whole_job.faulty_release import break_stage, copy_release
from tests.whole_job.sky import one_star

STAGES = ("atmosphere", "trim", "raytrace", "e2adc")
SENSORS = ("R22_S10", "R22_S11")
_DISPATCH = """\
place=${unit#*-}
image=lsst_e_4242_f2_${place%%-*}_${place#*-}.fits.gz
if test -e "$notes/%(stage)s.fault"; then . "$notes/%(stage)s.fault"; else real; fi
"""
SITE = """\
name = "chaos"
[worker]
max_idle_hours = 0.002
look_s = 1.0
[catalog]
patience_s = 6.0
"""
_RUCIO = """\
kind = "rucio"
[catalog.rucio]
host = "{host}"
account = "{account}"
username = "{username}"
secret = "env:RUCIO_JOB_PASSWORD"
rse = "{rse}"
timeout_s = 6.0
"""
JOB = "run-00019"
MEMORY_MB = 1200


def sky() -> str:
    """One star on each of two sensors; a third sensor has none."""
    return one_star(SENSORS)


@dataclass(slots=True)
class Attempt:
    """One process of `lsst-trf`."""

    process: subprocess.Popen[bytes]
    workdir: Path
    errors: Path
    began_s: float = field(default_factory=time.monotonic)
    wall_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """Negative if a signal ended it."""
        code: int = self.process.returncode
        return code

    @property
    def report(self) -> dict[str, Any]:
        """`jobReport.json`. Raises `OSError` or `ValueError`."""
        document: dict[str, Any] = json.loads((self.workdir / "jobReport.json").read_text())
        return document

    def wait(self, until_s: float) -> bool:
        """Wait for its end until then; False if it goes on."""
        try:
            self.process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        self.wall_s = self.wall_s or time.monotonic() - self.began_s
        return True


@dataclass(slots=True)
class World:
    """One case's own."""

    services: Services
    draw: random.Random
    root: bool
    """Images go to XRootD, else into a folder."""
    rucio: bool
    """Images are registered in Rucio, else in SQLite."""
    remote_catalog: bool
    """The instance catalog comes over HTTP."""
    folder: Path = field(init=False)
    user: str = field(init=False)
    release: Path = field(init=False)
    store: Path = field(init=False)
    environment: dict[str, str] = field(default_factory=dict)
    """Of attempts that are started from now on, over ours."""
    attempts: list[Attempt] = field(default_factory=list)
    """Of the present round."""
    n_started: int = 0
    same_workdir: bool = False

    def __post_init__(self) -> None:
        services = self.services
        self.user = services.new_user() if self.rucio else f"u{self.draw.getrandbits(40)}"
        self.folder = (services.disk or services.folder) / self.user
        self.notes.mkdir(parents=True)
        self.release = copy_release(services.release, self.folder / "releases" / services.release.name)
        for stage in STAGES:
            break_stage(self.release, stage, _DISPATCH % {"stage": stage}, self.notes)
        self.store = services.xrootd.store if self.root else (services.store_disk or services.folder / "store")
        self.same_workdir = self.draw.random() < 0.5
        (self.folder / "job.json").write_text(json.dumps(self._spec()))
        (self.folder / "site.toml").write_text(self._site())

    # -- the request

    def _spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "schema_version": 1,
            "name": JOB,
            "user": self.user,
            "catalogs": [self._catalog()],
            "sensors": self.draw.choice(["R22_S10", "R22_S1[01]", "R22_S1[12]", "R22_S1."]),
            "exposures": self.draw.choice(["all", [0], [1]]),
            "amplifiers": self.draw.random() < 0.25,
            "release": self.release.name,
            "limits": {"max_unit_hours": 0.008},
            "output": {"base": self._base()},
        }
        return spec

    def _catalog(self) -> str:
        if not self.remote_catalog:
            (self.folder / "sky.txt").write_text(sky())
            return str(self.folder / "sky.txt")
        host = self.services.catalogs
        (host.folder / f"{self.user}.txt").write_text(sky())
        return f"{host.url}/{self.user}.txt"

    def _base(self) -> str:
        return f"root://localhost:{self.services.line.port}//store" if self.root else str(self.store)

    def _site(self) -> str:
        if not self.rucio:
            return f'{SITE}kind = "sqlite"\npath = "{self.sqlite}"\n'
        host = self.services.rucio_line.url
        return SITE + _RUCIO.format(host=host, account=ACCOUNT, username=IDENTITY, rse=REMOTE_RSE if self.root else RSE)

    # -- places

    @property
    def notes(self) -> Path:
        """Where faults of the simulator are switched on, and starts of its stages written down."""
        return self.folder / "notes"

    @property
    def sqlite(self) -> Path:
        """The image catalog, if it is SQLite."""
        return (self.services.store_disk or self.services.folder) / f"{self.user}.sqlite"

    @property
    def job_folder(self) -> Path:
        """Where the job's images are, seen from outside."""
        return self.store / self.user / JOB

    def manifests(self) -> dict[str, dict[str, Any]]:
        """What is committed, by unit."""
        found = {}
        for path in self.job_folder.rglob(".units/[!.]*.json"):
            if not path.name.endswith(".failed.json"):
                found[path.stem] = json.loads(path.read_text())
        return found

    def starts(self) -> list[str]:
        """Every start of raytrace so far, e.g. `v4242-R22_S11-E000/attempt-1`."""
        log = self.notes / "raytrace.starts"
        return log.read_text().split() if log.exists() else []

    # -- attempts

    def start(self, *, beside: bool = False) -> Attempt:
        """Start `lsst-trf run` once more, on the same worker or another."""
        self.n_started += 1
        workdir = self.folder / ("work" if self.same_workdir and not beside else f"work-{self.n_started}")
        errors = self.folder / f"{self.n_started}.stderr"
        words = ["run", "--job", str(self.folder / "job.json"), "--site", str(self.folder / "site.toml")]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [COMMAND, *words, "--workdir", str(workdir), "--cores", "2", "--memory-mb", str(MEMORY_MB)],
                cwd=self.folder,
                env={**os.environ, **IMPATIENT, "RUCIO_JOB_PASSWORD": PASSWORD, "IOD_RELEASES": self._releases(),
                     "PYTHONFAULTHANDLER": "1",  # should it ever die of a signal, it says where
                     **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )  # fmt: skip
        self.attempts.append(Attempt(process, workdir, errors))
        return self.attempts[-1]

    def _releases(self) -> str:
        return str(self.folder / "releases")

    def end(self) -> None:
        """Kill whatever still runs, and remove all of it."""
        for pid in self.leftovers():
            os.kill(pid, signal.SIGKILL)
        for attempt in self.attempts:
            attempt.process.wait()
        for gone in (self.folder, self.store / self.user):
            shutil.rmtree(gone, ignore_errors=True)
        self.sqlite.unlink(missing_ok=True)

    def leftovers(self) -> list[int]:
        """Processes that work in the case's folder."""
        return processes_in(self.folder)

    def stray_files(self) -> Iterator[Path]:
        """Files at the destination that no manifest names."""
        named = {
            self.job_folder / f"v{one['visit']}" / file["name"]
            for one in self.manifests().values()
            for file in one["files"]
        }
        for path in (self.store / self.user).rglob("*"):
            if path.is_file() and path not in named and not (path.parent.name == ".units" and path.name[0] != "."):
                yield path
