"""Jobs whose images go to XRootD servers on loopback: the tail after the last process, memory, failing over.

Real jobs of quicksim-tiny, two units at once. Failing over is timed by the job with its trouble less the same job
without, so that it holds all that a user waits for.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

import psutil

from benchmarks.job import TINY, Run, run_job, wrap_program, write_catalog, write_spec
from tests.servers.proxy import Proxy
from tests.servers.xrootd_server import XRootDServer

_RAFT, _N_UNITS = "R22_S..", 9
_ROUNDS = 3
_SLOW_BYTES_PER_S = 60_000.0
_NOTE_END = '#!/bin/sh\n"$0.real" "$@"; code=$?; date +%s.%N >> {ends}; exit $code\n'


def measure(folder: Path) -> dict[str, float]:
    """Seconds and MB; of several rounds the medians."""
    folder.mkdir(parents=True)
    # Over the whole raft, some for each of its small sensors: the tail is that of a job that has been at work.
    catalog = write_catalog(folder / "sky.txt", visit=4242, n_objects=10_000, spread_deg=0.7)
    with ExitStack() as stack:
        servers = [XRootDServer().start() for _ in range(2)]
        for server in servers:
            stack.callback(server.close)
        bench = _Bench(folder=folder, catalog=catalog, urls=[server.root_url for server in servers])
        found = _tail_and_memory(bench)
        alone_s = statistics.median(bench.job("R22_S11", [servers[1].root_url]).wall_s for _ in range(_ROUNDS))
        found |= {f"fail_over_{name}_s": seconds for name, seconds in _dead_at_the_start(bench, servers, alone_s)}
        found |= {f"fail_over_{name}_s": seconds for name, seconds in _dead_in_a_copy(bench, servers)}
    shutil.rmtree(folder)
    return {**found, "fail_over_worst_s": max(value for key, value in found.items() if key.startswith("fail_over"))}


@dataclass(slots=True, kw_only=True)
class _Bench:
    folder: Path
    catalog: Path
    urls: list[str]
    n_jobs: int = 0
    releases: Path = field(init=False)

    def __post_init__(self) -> None:
        self.releases = self.folder / "releases"
        self.releases.mkdir()
        wrap_program(TINY, self.releases, "bin/e2adc", _NOTE_END.format(ends=self.folder / "ends"))

    def job(self, sensors: str, bases: list[str]) -> Run:
        """Another job, done."""
        run = run_job(*self._new(sensors, bases), self.releases)
        assert run.exit_code == 0, run.report["exitMsg"]
        return run

    def workdir(self) -> Path:
        """Of the newest job."""
        return self.folder / f"work-{self.n_jobs}"

    def _new(self, sensors: str, bases: list[str]) -> tuple[Path, Path]:
        self.n_jobs += 1
        path = self.folder / f"job-{self.n_jobs}.json"
        write_spec(path, catalog=self.catalog, sensors=sensors, release=TINY.name, base=self.folder)
        spec = json.loads(path.read_text())
        path.write_text(json.dumps({**spec, "output": {"base": bases}}))
        return path, self.workdir()


def _tail_and_memory(bench: _Bench) -> dict[str, float]:
    tails, uploads, peaks = [], [], []
    for _ in range(_ROUNDS):
        (bench.folder / "ends").unlink(missing_ok=True)
        with _MoverMemory() as mover:
            run = bench.job(_RAFT, bench.urls[:1])
        events = [json.loads(line) for line in (bench.workdir() / "journal.jsonl").read_text().splitlines()]
        judged = {event["unit"]: _time_s(event) for event in events if event["event"] == "unit_attempted"}
        committed = {event["unit"]: _time_s(event) for event in events if event["event"] == "unit_committed"}
        assert len(committed) == _N_UNITS
        ended_s = max(map(float, (bench.folder / "ends").read_text().split()))
        tails.append(max(committed.values()) - ended_s)
        uploads += [committed[unit] - judged[unit] for unit in committed]
        peaks.append(run.report["resource"]["wrapper_max_rss_bytes"] + mover.peak_bytes)  # type: ignore[index]
    return {
        "tail_s": statistics.median(tails),
        "upload_s": statistics.median(uploads),
        "wrapper_and_mover_mb": max(peaks) / 1e6,
    }


def _time_s(event: dict[str, str]) -> float:
    return datetime.fromisoformat(event["t"]).timestamp()


class _MoverMemory:
    """Peak memory of the mover below this process while it is looked at; bytes."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    if any(word.endswith("xrootd_mover") for word in process.cmdline()):
                        self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)


def _dead_at_the_start(bench: _Bench, servers: list[XRootDServer], alone_s: float) -> list[tuple[str, float]]:
    first, second = servers
    found = []
    for name, fault, repair in (("refused", first.stop, first.start), ("silent", first.freeze, first.thaw)):
        fault()
        wall_s = statistics.median(
            bench.job("R22_S11", [first.root_url, second.root_url]).wall_s for _ in range(_ROUNDS)
        )
        repair()
        found.append((name, wall_s - alone_s))
    return found


def _dead_in_a_copy(bench: _Bench, servers: list[XRootDServer]) -> list[tuple[str, float]]:
    """From the fault to the commit at the other server."""
    first, second = servers
    return [
        ("killed_in_a_copy", _fail_over_s(bench, first, second, first.kill, first.start)),
        ("frozen_in_a_copy", _fail_over_s(bench, first, second, first.freeze, first.thaw)),
    ]


def _fail_over_s(
    bench: _Bench, first: XRootDServer, second: XRootDServer, fault: Callable[[], object], repair: Callable[[], object]
) -> float:
    with Proxy(first.port) as proxy:
        proxy.bytes_per_s = _SLOW_BYTES_PER_S
        faults: list[float] = []

        def strike() -> None:
            while not any(path.suffix == ".new" for path in first.store.rglob(".*.new")):
                time.sleep(0.01)
            fault()
            faults.append(time.time())

        striker = threading.Thread(target=strike, daemon=True)
        striker.start()
        bench.job("R22_S11", [f"root://localhost:{proxy.port}//store", second.root_url])
        striker.join()
        repair()
    events = [json.loads(line) for line in (bench.workdir() / "journal.jsonl").read_text().splitlines()]
    return next(_time_s(event) for event in events if event["event"] == "unit_committed") - faults[0]


if __name__ == "__main__":
    subprocess.run(["uptime"], check=True)
    print(json.dumps(measure(Path(sys.argv[1])), indent=1))
