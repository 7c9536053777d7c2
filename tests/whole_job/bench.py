"""Runs the real `lsst-trf` in a folder of its own, and gathers everything it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.whole_job.aftermath import Outcome, check_aftermath, processes_in
from tests.whole_job.faulty_release import break_stage, copy_release
from tests.whole_job.sky import one_star

COMMAND = str(Path(sys.executable).with_name("lsst-trf"))
TIME_LIMIT_S = 120.0
"""For one job of a few seconds: only a hang gets there."""

Spec = dict[str, object]


@dataclass(slots=True, kw_only=True)
class Bench:
    """A folder with a catalog, a release, a store and any number of work folders."""

    folder: Path
    release: Path
    """The release's own folder."""
    started: list[StartedJob] = field(default_factory=list)
    may_leave_processes: bool = False
    """For tests that kill a job, or whose simulator starts what no job can find."""

    @property
    def store(self) -> Path:
        """Where jobs put their images unless their spec says otherwise."""
        return self.folder / "store"

    @property
    def notes(self) -> Path:
        """What a faulty release writes down, and the flags it looks at."""
        return self.folder / "notes"

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the request, e.g. a catalog."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def spec(self, **changes: object) -> Spec:
        """A job of one small unit: a star on R22_S11, one exposure, no amplifiers. A change to None drops the key."""
        spec: Spec = {
            "schema_version": 1,
            "name": "run-00019",
            "user": "tonyj",
            "catalogs": ["sky.txt"],
            "sensors": "R22_S11",
            "exposures": [0],
            "amplifiers": False,
            "release": self.release.name,
            "output": {"base": str(self.store)},
            **changes,
        }
        if not (self.folder / "sky.txt").exists():
            self.write("sky.txt", one_star())
        return {key: value for key, value in spec.items() if value is not None}

    def write_spec(self, **changes: object) -> Path:
        """The same as a file."""
        return self.write("job.json", json.dumps(self.spec(**changes)))

    def break_stage(self, stage: str, script: str) -> None:
        """From now on use a copy of the release in which a stage is that shell script; see `faulty_release`."""
        self.notes.mkdir(exist_ok=True)
        if self.release.parent != self.folder / "releases":
            self.release = copy_release(self.release, self.folder / "releases" / self.release.name)
        break_stage(self.release, stage, script, self.notes)

    def starts(self, stage: str = "raytrace") -> list[str]:
        """What the broken stage was started for, e.g. `v4242-R22_S11-E000/attempt-1`, in order."""
        log = self.notes / f"{stage}.starts"
        return log.read_text().split() if log.exists() else []

    def command(
        self,
        arguments: Sequence[str] | None = None,
        *,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run any command of `lsst-trf` in the bench's folder."""
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment(environment),
            input=stdin,
            capture_output=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def run_job(
        self,
        spec: Spec | None = None,
        *arguments: str,
        workdir: str = "work",
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        request: Sequence[str] | None = None,
        store: Path | None = None,
    ) -> Outcome:
        """Run a job to its end and check all that holds for every job; `request` replaces `--job FILE`."""
        if request is None:
            path = self.write(f"{workdir}.json", json.dumps(spec or self.spec()))
            request = ["--job", str(path)]
        done = self.command(
            ["run", *request, "--workdir", str(self.folder / workdir), *arguments],
            stdin=stdin,
            environment=environment,
        )
        return check_aftermath(
            Outcome(
                exit_code=done.returncode,
                stdout=done.stdout,
                stderr=done.stderr,
                workdir=self.folder / workdir,
                store=store or self.store,
            ),
            may_leave_processes=self.may_leave_processes,
        )

    def start_job(self, spec: Spec | None = None, *arguments: str, workdir: str = "work") -> StartedJob:
        """Start a job and come back at once."""
        path = self.write(f"{workdir}.json", json.dumps(spec or self.spec()))
        output = self.folder / f"{workdir}.stdout", self.folder / f"{workdir}.stderr"
        with output[0].open("wb") as stdout, output[1].open("wb") as stderr:
            process = subprocess.Popen(
                [COMMAND, "run", "--job", str(path), "--workdir", str(self.folder / workdir), *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        job = StartedJob(process=process, output=output, workdir=self.folder / workdir, store=self.store)
        self.started.append(job)
        return job

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Ours, with the release root and without what PanDA would set."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PANDA", "PanDA", "PILOT"))}
        return {**kept, "IOD_RELEASES": str(self.release.parent), **(more or {})}

    def close(self) -> None:
        """Kill what still runs in this folder, all of it started by this bench; fails if a job left it."""
        running = [job for job in self.started if job.process.poll() is None]
        for job in running:
            job.process.kill()
            job.process.wait()
        leftovers = processes_in(self.folder)
        for pid in leftovers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.may_leave_processes or not leftovers
        assert self.may_leave_processes or not running


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedJob:
    """A job that runs beside the test."""

    process: subprocess.Popen[bytes]
    output: tuple[Path, Path]
    workdir: Path
    store: Path

    def wait_for(self, event: str, unit: str = "") -> None:
        """Until the journal holds that event, of that unit if one is named."""
        wait_until(lambda: self._has(event, unit) or self.process.poll() is not None, f"event {event} {unit}")
        assert self._has(event, unit), f"the job ended before {event} {unit}: {self.output[1].read_text()}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to `lsst-trf` alone."""
        self.process.send_signal(number)

    def end(self) -> Outcome:
        """Wait for its end and check all that holds for every job."""
        return check_aftermath(self.killed())

    def killed(self) -> Outcome:
        """Wait for its end; a job that was killed keeps no promise but those of its store and journal."""
        exit_code = self.process.wait(timeout=TIME_LIMIT_S)
        stdout, stderr = (path.read_text() for path in self.output)
        return Outcome(exit_code=exit_code, stdout=stdout, stderr=stderr, workdir=self.workdir, store=self.store)

    def _has(self, event: str, unit: str) -> bool:
        with suppress(FileNotFoundError):
            for line in (self.workdir / "journal.jsonl").read_text().splitlines():
                if f'"event":"{event}"' in line and unit in line:
                    return True
        return False


def wait_until(condition: Callable[[], bool], what: str, time_limit_s: float = 60.0) -> None:
    """Poll until the condition holds; fails after the time limit."""
    end = time.monotonic() + time_limit_s
    while not condition():
        assert time.monotonic() < end, f"waited {time_limit_s:.0f} s for {what}"
        time.sleep(0.005)
