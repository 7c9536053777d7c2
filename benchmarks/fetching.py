"""`iod fetch` of a job of 306 files over `xrdcp -r`, both from one XRootD server on loopback."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from benchmarks import xrootd_upload as upload
from submitter.folders import Folders
from submitter.jobs import Job, Plan, Shape
from submitter.state import Store
from tests.servers.xrootd_server import XRootDServer

_TURNS = 5
_NAME, _USER = "run-00001", "bench"


def measure(folder: Path) -> dict[str, float]:
    """Seconds (medians of five, turn by turn) and their ratios: the command from its start to its end, and the
    Python call, which has its modules loaded."""
    walls: dict[str, list[float]] = {"iod_fetch": [], "client_fetch": [], "xrdcp_r": []}
    with upload.running_server() as server:
        base = f"{server.root_url}/job"
        upload.fill(folder / "sources", base)
        home = folder / "home"
        _remember(home, base)
        environment = {**os.environ, "IOD_HOME": str(home)}
        for turn in range(_TURNS):
            to = folder / f"to-{turn}"
            walls["iod_fetch"].append(_timed(lambda to=to: _fetch_by_command(to / "command", environment)))
            walls["client_fetch"].append(_fetch_by_client(to / "client", home))
            walls["xrdcp_r"].append(_timed(lambda to=to: _xrdcp_recursively(server, to / "xrdcp")))
            shutil.rmtree(to)
    shutil.rmtree(folder)
    median = {name: statistics.median(seconds) for name, seconds in walls.items()}
    return {
        **{f"{name}_s": seconds for name, seconds in median.items()},
        "command_over_xrdcp_r": median["iod_fetch"] / median["xrdcp_r"],
        "client_over_xrdcp_r": median["client_fetch"] / median["xrdcp_r"],
    }


def _remember(home: Path, base: str) -> None:
    """A job that stands at that base, in the file of jobs."""
    folders = Folders(home)
    folders.prepare()
    spec = {"schema_version": 1, "name": _NAME, "user": _USER, "sensors": "R.*", "catalogs": ["/none"]}
    with closing(Store(folders.database)) as store:
        store.add_job(
            Job(
                name=_NAME,
                user=_USER,
                task="bench",
                backend="local",
                site="local",
                base=base,
                spec=json.dumps(spec).encode(),
                digest="0" * 64,
                plan=Plan(shapes=(Shape(sensors=(), exposures=()),), visits=((upload.VISIT, 0),)),
            )
        )


def _fetch_by_command(to: Path, environment: Mapping[str, str]) -> None:
    command = [str(Path(sys.executable).with_name("iod")), "fetch", _NAME, "--to", str(to)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert sum(1 for _ in to.rglob("*.gz")) == upload.N_UNITS * upload.N_FILES


def _fetch_by_client(to: Path, home: Path) -> float:
    from submitter.client import Client

    with Client(Folders(home)) as client:
        began = time.monotonic()
        report = client.fetch(_NAME, to=to)
        wall_s = time.monotonic() - began
    assert len(report.of("fetched")) == upload.N_UNITS * upload.N_FILES
    return wall_s


def _xrdcp_recursively(server: XRootDServer, to: Path) -> None:
    to.mkdir(parents=True)
    source = f"{server.root_url}/job/{_USER}/{_NAME}"
    subprocess.run(["xrdcp", "--silent", "-r", "--parallel", "4", source, str(to)], check=True)
    assert sum(1 for _ in to.rglob("*.gz")) == upload.N_UNITS * upload.N_FILES


def _timed(call: Callable[[], None]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
