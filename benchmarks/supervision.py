"""What supervision costs, how soon a job is over after SIGTERM, and what is made twice after SIGKILL."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import ROOT, TINY, wrap_program, write_catalog, write_spec

RAFT = "R22_S.."
SEED = 20261122
N_TERMINATED = 60
N_KILLED = 6
HANDS = 2
_UNITS = 18
_MOST_HANDS = 32
_STEADY_S = 60.0

_NOTE = '#!/bin/sh\necho "$PWD" >> {notes}\n"${{0%/*}}/raytrace.real" || exit $?\nexec sleep {seconds}\n'
_STUBBORN = """\
#!/bin/sh
# Ignores SIGTERM, and has a child that does so too.
trap '' TERM
(sleep {seconds}) &
"${{0%/*}}/raytrace.real" || exit $?
exec sleep {seconds}
"""
_DRIVER = """\
import sys
import transformation.cli
transformation.cli.affinity_cores = lambda: {hands}
sys.exit(transformation.cli.main(sys.argv[1:]))
"""
"""`lsst-trf` on a machine with more cores than this one may have; what it starts only sleeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A release, a spec and a store."""

    folder: Path
    release: Path
    spec: Path

    def start(self, workdir: str, hands: int = HANDS) -> subprocess.Popen[bytes]:
        """Start a job."""
        program = ["-m", "transformation"] if hands == HANDS else ["-c", _DRIVER.format(hands=hands)]
        argv = [sys.executable, *program, "run", "--job", str(self.spec), "--memory-mb", "64000"]
        environment = {**os.environ, "IOD_RELEASES": str(self.release.parent), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [*argv, "--workdir", str(self.folder / workdir)], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def report(self, workdir: str) -> dict[str, object]:
        """What a job left."""
        report: dict[str, object] = json.loads((self.folder / workdir / "jobReport.json").read_text())
        return report


def make_sandbox(folder: Path, script: str, *, nsnap: int, sensors: str = RAFT) -> Sandbox:
    """A raft of small sensors whose raytrace is that script."""
    folder.mkdir(parents=True)
    release = wrap_program(TINY, folder / "releases", "bin/raytrace", script)
    catalog = write_catalog(folder / "catalog.txt", visit=1001, n_objects=900, nsnap=nsnap, spread_deg=0.7)
    spec = write_spec(
        folder / "job.json", catalog=catalog, sensors=sensors, release=release.name, base=folder / "store"
    )
    return Sandbox(folder=folder, release=release, spec=spec)


def measure(folder: Path) -> dict[str, float]:
    """All three."""
    return _terminated(folder / "term") | _killed(folder / "kill") | _cost(folder / "cost")


def _terminated(folder: Path) -> dict[str, float]:
    """Seconds from SIGTERM, at random moments of a job with simulators that ignore it, to the end of the job."""
    sandbox = make_sandbox(folder, _STUBBORN.format(seconds=1), nsnap=2)
    moments = random.Random(SEED)
    took_s = []
    codes: Counter[int] = Counter()
    for number in range(N_TERMINATED):
        workdir = f"work-{number}"
        job = sandbox.start(workdir)
        while not (folder / workdir / "jobReport.json").exists():
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 8.0))
        sent = time.monotonic()
        job.send_signal(signal.SIGTERM)
        codes[job.wait()] += 1
        took_s.append(time.monotonic() - sent)
        report = sandbox.report(workdir)
        assert report["exitCode"] == job.returncode, report["exitMsg"]
        assert not _left_in(folder), "a process was left behind"
        subprocess.run(["rm", "-rf", str(folder / "store"), str(folder / workdir)], check=True)
    assert codes.keys() <= {0, 44}, codes
    took_s.sort()
    return {
        "term_n": float(N_TERMINATED),
        "term_median_s": took_s[len(took_s) // 2],
        "term_p99_s": took_s[min(len(took_s) - 1, round(0.99 * len(took_s)))],
    }


def _killed(folder: Path) -> dict[str, float]:
    """How many of 18 units are simulated twice when the job is killed at a random moment and run again."""
    notes = folder / "starts"
    sandbox = make_sandbox(folder, _NOTE.format(notes=notes, seconds=0.3), nsnap=2)
    moments = random.Random(SEED)
    redone = []
    for number in range(N_KILLED):
        job = sandbox.start(f"first-{number}")
        time.sleep(moments.uniform(2.0, 10.0))
        job.kill()
        job.wait()
        before = len(notes.read_text().split()) if notes.exists() else 0
        assert sandbox.start(f"second-{number}").wait() == 0
        starts = notes.read_text().split() if notes.exists() else []
        assert before < len(starts) or before == _UNITS
        redone.append(len(starts) - _UNITS)
        subprocess.run(["rm", "-rf", str(folder / "store"), str(notes)], check=True)
    return {"kill_n": float(N_KILLED), "redone_most": float(max(redone)), "redone_mean": sum(redone) / len(redone)}


def _cost(folder: Path) -> dict[str, float]:
    """CPU seconds of `lsst-trf` in a minute in which 32 simulators run, over that minute."""
    notes = folder / "starts"
    sandbox = make_sandbox(folder, _NOTE.format(notes=notes, seconds=600), nsnap=_MOST_HANDS // 9 + 1)
    job = sandbox.start("work", hands=_MOST_HANDS)
    try:
        while len(_left_in(folder, "sleep")) < _MOST_HANDS:
            assert job.poll() is None, sandbox.report("work")["exitMsg"]
            time.sleep(1.0)
        begun, before_s = time.monotonic(), _cpu_s(job.pid)
        time.sleep(_STEADY_S)
        share = (_cpu_s(job.pid) - before_s) / (time.monotonic() - begun)
    finally:
        job.terminate()
        job.wait()
    return {"cost_share": share}


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _left_in(folder: Path, program: str = "") -> list[str]:
    """Processes that work in the folder, all or those of a program."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                name = (process / "comm").read_text().strip()
                found += [process.name] if program in {"", name} else []
    return found
