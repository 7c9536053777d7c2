"""Runs the PanDA pilot of PyPI, fed a job from a file, with nothing fetched from anywhere.

Always in a PID namespace of its own: the pilot's `kill_orphans` (pilot/util/processes.py) ends every process of the
same user whose parent is process 1, other people's included. What it costs is mostly waiting: 3 s until a job's final
state is known, and after each failure 115 s more (`wait_for_aborted_job_stageout`). So tests start their pilots
together, and each is ended as soon as it has said its last word.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilot_hooks.core.carry import install
from tests.pilot.source import NAMESPACE, ROOT, pilot_source

TRANSFORMATION = ROOT / "transformation/lsst-trf.sh"
ALLOWED_BASE = "https://storage.googleapis.com/drp-us-central1-containers"
"""The pilot checks a transformation's URL against a list; with HARVESTER_WORKDIR nothing is fetched from there."""
BIN = Path(sys.executable).parent
PANDA_ID = "1234567"
LOG = "imsim.log.tgz"
LIMIT_S = 600
"""After so long a pilot is given up; on a quiet machine the slowest takes 210 s, 115 of them asleep."""
PILOT = r"\S*python\S* pilot\.py "
PAYLOAD = r"\S*python\S* \S*/bin/lsst-trf run "
_LONGEST_TURN_S = 15.0
_FINAL = frozenset({"finished", "failed", "holding"})

Job = dict[str, object]


@dataclass(slots=True, kw_only=True)
class Pilot:
    """One pilot with one job, in a folder of its own."""

    folder: Path
    site: Path
    """Site file: everything that the pilot is told comes from `iod-site export` of it."""
    user: str = "generic"
    """`--pilot-user`."""
    parameters: str
    """`jobPars`: text for a shell, as PanDA passes it."""
    transformation: Path = TRANSFORMATION
    fields: Mapping[str, object] = field(default_factory=dict)
    """Other fields of the job."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Other values in `pilot.cfg`, to make its clocks run faster."""
    environment: Mapping[str, str] = field(default_factory=dict)
    cleans_up: bool = False
    """As pilots do on the grid: then our user is asked before the log is packed, and the work folder is gone after."""
    act: Callable[[Pilot], None] | None = None
    """What happens to it while it runs."""
    layout_s: float = 0.0
    """How long it took to lay everything out."""
    cycle_s: float = 0.0
    """From its start to its last word."""
    _last_word: dict[str, Any] = field(default_factory=dict)
    _told: Future[dict[str, Any]] = field(default_factory=Future)
    """Done with the last word. Each pilot has a thread that watches it: tests look at one after the other."""
    _process: subprocess.Popen[bytes] | None = None

    # -- where things are

    @property
    def home(self) -> Path:
        """The pilot's own work folder."""
        return next(iter((self.folder / "run/work").glob("PanDA_Pilot3_*")), self.folder / "run/work/none")

    @property
    def workdir(self) -> Path:
        """The job's."""
        return self.home / f"PanDA_Pilot-{PANDA_ID}"

    @property
    def logs(self) -> Path:
        """Where log tarballs are staged out to."""
        return self.folder / "logs"

    def log_tarball(self) -> Path:
        """The one of this job."""
        return next(self.logs.rglob(LOG))

    def heartbeat(self) -> dict[str, Any]:
        """What the pilot would have told the server last."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.home / "heartbeat.json").read_text()))
        return {}

    def metadata(self) -> dict[str, Any]:
        """The job report that went to the server with it."""
        return dict(json.loads(self.heartbeat()["metaData"]))

    def events(self) -> list[dict[str, Any]]:
        """The job's journal, whole lines only."""
        lines = self.file("journal.jsonl").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @property
    def committed(self) -> int:
        """How many units are, so far."""
        return sum(event["event"] == "unit_committed" for event in self.events())

    def file(self, name: str) -> str:
        """A file of the job's work folder, or of the log that it was packed into; empty if it is not there."""
        with suppress(OSError):
            return (self.workdir / name).read_text(errors="replace")
        with suppress(OSError, KeyError, StopIteration, tarfile.TarError), tarfile.open(self.log_tarball()) as tar:
            member = next(one for one in tar if one.name.partition("/")[2] == name)
            if content := tar.extractfile(member):
                return content.read().decode(errors="replace")
        return ""

    def said(self) -> str:
        """All that the pilot said; its log file begins anew after each job."""
        with suppress(OSError):
            return (self.folder / "output").read_text(errors="replace")
        return ""

    # -- life

    def start(self) -> Pilot:
        """Lay everything out and start it; returns at once. What goes wrong is told by `outcome`."""
        try:
            self._start()
        except BaseException as error:  # noqa: BLE001 - the test is to see it
            self._told.set_exception(error)
        else:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def let_others_start(self, over: threading.Event) -> None:
        """Wait until the payload is under way, which is when the pilot has most of its work behind it."""
        end = time.monotonic() + _LONGEST_TURN_S
        while not (self.file("payload.stdout") or self._told.done() or time.monotonic() > end):
            if over.wait(0.1):
                return

    def _start(self) -> None:
        begun = time.monotonic()
        run = self.folder / "run"
        shutil.copytree(pilot_source(), run, ignore=shutil.ignore_patterns("test", "*.egg-info"))
        for place in (run / "work", run / "hw", self.folder / "tmp"):
            place.mkdir()
        shutil.copy(self.transformation, run / "hw" / self.transformation.name)
        install(run)
        shutil.copytree(Path(__file__).with_name("multistep"), run / "pilot/user/multistep")
        queue = self._export()
        (run / "pandaJobData.out").write_text(urllib.parse.urlencode(self._job()))
        command = [*NAMESPACE, "timeout", "-k", "10", str(LIMIT_S), sys.executable, "pilot.py"]
        command += ["--pilot-user", self.user, "-a", str(run / "work"), "-j", "test", "-q", queue["nickname"]]
        command += ["-w", "generic", "-i", "PR", "-t", "-z", "-d", "--use-rucio-traces", "False", "-v", "1"]
        command += ["--url", "http://127.0.0.1", "-p", "25090", "--cleanup", str(self.cleans_up)]
        self.layout_s = time.monotonic() - begun
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=run,
                env=self._environment(queue),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _watch(self) -> None:
        begun = time.monotonic()
        try:
            if self.act is not None:
                self.act(self)
            self.wait_for("the final state", self._has_ended)
            self.cycle_s = time.monotonic() - begun
            if self.cleans_up:
                self.wait_for("the log", lambda: any(self.logs.rglob(LOG)))
        except BaseException as error:  # noqa: BLE001 - the test is to see it
            self._told.set_exception(error)
        else:
            self._told.set_result(self._last_word)
        self.end()

    def _has_ended(self) -> bool:
        self._last_word = self.heartbeat()
        return self._last_word.get("state") in _FINAL

    def wait_for(self, what: str, seen: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
        """Until something is so; fails if the pilot ends before, or takes too long."""
        end = time.monotonic() + limit_s
        while not seen():
            over = self._process is None or self._process.poll() is not None
            assert not (over and not seen()), f"the pilot ended before {what}: {self.said()[-3000:]}"
            assert time.monotonic() < end, f"waited {limit_s} s for {what}: {self.said()[-3000:]}"
            time.sleep(0.05)

    def outcome(self) -> dict[str, Any]:
        """The final message to the server; the pilot is ended once it is known."""
        return self._told.result(LIMIT_S)

    def end(self) -> None:
        """End it and all it has started: the namespace goes with its first process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pids(self, expression: str) -> list[int]:
        """Processes in the pilot's namespace, by our numbers, whose command line begins as the expression says."""
        assert self._process is not None
        found, todo = [], [self._process.pid]
        while todo:
            pid = todo.pop()
            with suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():  # each knows only its own children
                    todo += [int(child) for child in (thread / "children").read_text().split()]
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if re.match(expression, line):
                    found.append(pid)
        return found

    def signal(self, expression: str, number: signal.Signals) -> None:
        """Send a signal to the process of the namespace whose command line begins so: `PILOT` or `PAYLOAD`."""
        # Between fork and exec a child looks like its parent, but is younger.
        os.kill(min(self.pids(expression)), number)

    # -- what it is told

    def _export(self) -> dict[str, Any]:
        """Its cache and settings, from the site file alone; the queue."""
        cache = self.folder / "cache"
        command = ["export", str(self.site), "--to", "pilot", "--out", str(cache), "--base", str(self.logs)]
        command += ["--update-sleep", "5", "--server", "http://127.0.0.1:25090"]
        subprocess.run([str(BIN / "iod-site"), *command], check=True, stdout=subprocess.DEVNULL)
        settings = (cache / "pilot.cfg").read_text()
        for name, value in self.settings.items():
            settings, found = re.subn(rf"(?m)^{name}:.*$", f"{name}: {value}", settings)
            assert found == 1, f"pilot.cfg has no {name}"
        (cache / "pilot.cfg").write_text(settings)
        self.logs.mkdir()
        return dict(json.loads((cache / "queuedata.json").read_text()))

    def _job(self) -> Job:
        """As the server's dispatcher gives it (`pandaserver/jobdispatcher/Protocol.py`), one log file and no output."""
        return {
            "PandaID": PANDA_ID,
            "taskID": "77",
            "jobDefinitionID": "42",
            "jobsetID": "NULL",
            "jobName": "imsim.test",
            "transformation": f"{ALLOWED_BASE}/{self.transformation.name}",
            "jobPars": self.parameters,
            "prodSourceLabel": "test",
            "processingType": "imsim",
            "attemptNr": 1,
            "coreCount": 2,
            "inFiles": "",
            "outFiles": LOG,
            "logFile": LOG,
            "logGUID": "11111111-2222-3333-4444-555555555555",
            "scopeLog": "panda",
            "scopeOut": "panda",
            "ddmEndPointOut": f"{_log_storage(self.folder / 'cache')}",
            "realDatasets": "imsim.test",
            "destinationDblock": "imsim.test",
            "swRelease": "NULL",
            "homepackage": "NULL",
            "cmtConfig": "NULL",
            **self.fields,
        }

    def _environment(self, queue: Mapping[str, Any]) -> dict[str, str]:
        """As the pilot wrapper leaves it: the queue's `environ` is exported."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        exported = dict(word.split("=", 1) for word in shlex.split(queue["environ"]))
        own = {
            "HARVESTER_PILOT_CONFIG": str(self.folder / "cache/pilot.cfg"),
            "HARVESTER_WORKDIR": str(self.folder / "run/hw"),
            "PILOT_NOKILL": "1",
            "TMPDIR": str(self.folder / "tmp"),
        }
        return {**kept, **exported, **own, **self.environment}


def _log_storage(cache: Path) -> str:
    return str(next(iter(json.loads((cache / "cric_ddmendpoints.json").read_text()))))
