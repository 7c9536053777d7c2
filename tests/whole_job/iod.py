"""Runs the real `iod` in a folder of its own: its home, catalogs, a release and a store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from submitter.client import Client
from submitter.commands.status import document
from submitter.folders import Folders
from tests.panda_stub.server import TOKEN, PandaStub
from tests.whole_job.aftermath import processes_in
from tests.whole_job.bench import TIME_LIMIT_S, Bench

COMMAND = str(Path(sys.executable).with_name("iod"))
_NOT_OURS = ("PANDA", "PanDA", "PILOT", "OIDC", "IOD", "X509", "NO_COLOR")


@dataclass(slots=True, kw_only=True)
class Iod:
    """One user on one machine."""

    bench: Bench
    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    """Of the environment, beside the usual ones."""

    @property
    def environment(self) -> dict[str, str]:
        """What `iod` sees."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        ours = {"IOD_HOME": str(self.home), "IOD_RELEASES": str(self.bench.release.parent)}
        return {**kept, **ours, **self.variables}

    def run(self, *arguments: str, stdin: bytes = b"", code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the bench's folder; it has to end with that code, if one is given."""
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.bench.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
        found = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert code is None or found.returncode == code, found.stdout + found.stderr
        return found

    def json(self, *arguments: str, code: int | None = 0) -> Any:
        """The one JSON document of a command."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command and come back at once."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.bench.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def submit(self, *arguments: str, code: int | None = 0) -> Any:
        """Submit one small unit, or what the arguments say instead."""
        usual = [
            "--catalog",
            "sky.txt",
            "--sensors",
            "R22_S11",
            "--exposures",
            "0",
            "--no-amplifiers",
            "--output",
            "store",
        ]
        self.bench.spec()
        words = [*usual, "--release", self.bench.release.name, *arguments]
        return self.json("submit", *words, code=code)

    def wait(self, name: str, *states: str) -> Any:
        """The status of a job once it is in one of these states (default: once it is over)."""
        wanted = states or ("done", "partial", "failed", "killed")
        end = time.monotonic() + TIME_LIMIT_S
        with Client(Folders(self.home)) as client:
            while client.job(name).state not in wanted:
                assert time.monotonic() < end, f"{name} is {client.job(name).state}, not {wanted}"
                time.sleep(0.1)
                client.refresh()
            return json.loads(json.dumps(document(client.status(name))))

    def use_panda(self, stub: PandaStub, *, token: str = TOKEN) -> None:
        """From now on speak to that server, with a token."""
        self.configure(f'[panda]\nserver = "{stub.url}"\ntimeout_s = 20.0\n')
        token_file = self.home / "panda" / ".token"
        token_file.parent.mkdir(parents=True, exist_ok=True)
        token_file.write_text(json.dumps({"id_token": token}))
        token_file.chmod(0o600)

    def configure(self, text: str) -> None:
        """Write the user's configuration."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "config.toml").write_text(text)

    def local_processes(self) -> list[int]:
        """Runner and jobs of this home."""
        return processes_in(self.home)

    def power_cut(self) -> None:
        """Kill all that runs here at once, as a restart of the machine does."""
        for pid in self.local_processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Nothing is left running."""
        self.power_cut()
        until(lambda: not self.local_processes(), "the end of what a test left running")


def until(condition: Callable[[], bool], what: str) -> None:
    """Look now and then until the condition holds."""
    end = time.monotonic() + TIME_LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {TIME_LIMIT_S:.0f} s for {what}"
        time.sleep(0.05)
