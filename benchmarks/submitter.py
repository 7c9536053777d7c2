"""The submitter: how fast it answers, and how it takes a campaign. Measured beside a stand-in for the PanDA server."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import ROOT
from submitter.jobs import Job, Part, Plan, Shape, State
from submitter.state import Store

IOD = str(Path(sys.executable).with_name("iod"))
N_JOBS = 10_000
FEW_VISITS, MANY_VISITS = 100, 1_000
RELEASE = "phosim-3.4.2"
"""Not to be seen here, so that nothing is measured but the submitter."""
_HEADER = """\
rightascension 0
declination 0
filter 2
seed {seed}
obshistid {visit}
vistime 33
nsnap 2
minsource 0
camconfig 1
telconfig 0
"""
_STAR = "object {number} {ra:.4f} 0 18 ../sky/sed_flat.txt 0 0 0 0 0 0 star none none\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One start of `iod`."""

    wall_s: float
    peak_mb: float
    """Of `iod` itself."""
    stdout: str


def measure(folder: Path) -> dict[str, float]:
    """Answers of `iod` (median of five starts), and one request of many visits on all sensors."""
    home = folder / "home"
    fill(home, N_JOBS)
    few, many = (submit(folder / f"campaign-{n}", n) for n in (FEW_VISITS, MANY_VISITS))
    return {
        "help_s": statistics.median(run(["--help"], home).wall_s for _ in range(5)),
        "status_s": statistics.median(run(["status"], home).wall_s for _ in range(5)),
        "submit_s": many["wall_s"],
        "calls": many["calls"],
        "inputs": many["inputs"],
        "peak_mb": many["peak_mb"],
        "peak_growth": many["peak_mb"] / few["peak_mb"],
    }


def fill(home: Path, n_jobs: int) -> None:
    """A state file with so many jobs of a year."""
    home.mkdir(parents=True)
    plan = Plan(shapes=(Shape(sensors=("R22_S11",), exposures=((0, 1),)),), visits=(("42", 0),))
    begun_s = time.time() - 3e7
    with closing(Store(home / "jobs.sqlite")) as store:
        store.add_jobs((_job(number, begun_s, plan), [_DONE]) for number in range(n_jobs))


_DONE = Part(job_id=0, number=1, state=State.DONE, n_done=2, remote_id=1)


def _job(number: int, begun_s: float, plan: Plan) -> Job:
    return Job(
        name=f"tonyj-ImsimOnDemand-{number:05d}",
        user="tonyj",
        task="ImsimOnDemand",
        release="quicksim-1.0",
        backend="panda",
        site="local",
        base="root://store.example.org//lsst",
        spec=b"{}",
        digest=f"{number:064x}",
        state=State.DONE,
        submitted_s=begun_s + 3000 * number,
        plan=plan,
        n_units=2,
    )


def submit(folder: Path, n_visits: int) -> dict[str, float]:
    """One request of so many visits on all 189 sensors, to a server that takes everything."""
    from tests.panda_stub.server import TOKEN, running_stub

    home = folder / "home"
    (home / "panda").mkdir(parents=True)
    (home / "panda" / ".token").write_text(json.dumps({"id_token": TOKEN}))
    (folder / "catalogs").mkdir()
    for number in range(n_visits):
        stars = "".join(_STAR.format(number=n, ra=n / 100) for n in range(1, 11))
        text = _HEADER.format(seed=1000 + number, visit=700_000 + number) + stars
        (folder / "catalogs" / f"visit_{number:04d}.txt").write_text(text)
    with running_stub() as stub:
        (home / "config.toml").write_text(f'[panda]\nserver = "{stub.url}"\n')
        words = ["submit", "--visits", f"{folder}/catalogs/*.txt", "--sensors", "R.._S..", "--release", RELEASE]
        done = run([*words, "--backend", "panda", "--output", str(folder / "store"), "--json"], home)
        inputs = sum(len(task.params["pfnList"]) for task in stub.server.tasks.values())
        assert json.loads(done.stdout)["units"] == n_visits * 189 * 2
        return {"wall_s": done.wall_s, "peak_mb": done.peak_mb, "calls": stub.count("task/submit"), "inputs": inputs}


def run(words: Sequence[str], home: Path) -> Run:
    """Start `iod` and wait for its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        [IOD, *words], cwd=ROOT, env={**os.environ, "IOD_HOME": str(home)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout as stream:
        stdout = stream.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, stdout
    return Run(wall_s=time.monotonic() - began, peak_mb=usage.ru_maxrss * 1024 / 1e6, stdout=stdout)


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
