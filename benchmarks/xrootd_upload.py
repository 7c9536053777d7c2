"""Uploading and committing over `xrdcp`, and asking what is done, against one XRootD server on loopback."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.servers.xrootd_server import Options, XRootDServer
from transformation.layout import JobPlace
from transformation.model.work import ExpectedFile, MadeFile, Role, Unit
from transformation.outcomes import Committed, Receipt
from transformation.resume import Done, what_is_done
from transformation.stage_out import commit_unit
from transformation.storage.memory import MemoryStorage
from transformation.storage.retrying import RetryingStorage
from transformation.storage.xrootd import XRootDStorage

N_UNITS, N_FILES, FILE_BYTES = 18, 17, 800_000
N_RESUMED_UNITS = 378
UNITS_AT_ONCE = 2
"""What a job on two cores commits at once."""
VISIT, _DIGEST = "87393588", "d" * 64
_TURNS = 3


def measure(folder: Path) -> dict[str, float]:
    """Seconds (medians of three, turn by turn), their ratios, and the mover's peak memory."""
    sources = folder / "sources"
    units = [_unit(number) for number in range(N_UNITS)]
    made = [_made(sources, unit) for unit in units]
    walls: dict[str, list[float]] = {"ours": [], "xrdcp_r": [], "xrdcp_each": []}
    mover_bytes = 0
    with running_server() as server:
        for turn in range(_TURNS):
            base = f"{server.root_url}/ours-{turn}"
            wall_s, peak_bytes = _commit_all(base, units, made)
            walls["ours"].append(wall_s)
            mover_bytes = max(mover_bytes, peak_bytes)
            walls["xrdcp_r"].append(_timed(_xrdcp_recursively(server, sources, f"r-{turn}")))
            walls["xrdcp_each"].append(_timed(_xrdcp_each(server, sources, f"each-{turn}")))
            for used in server.store.iterdir():
                shutil.rmtree(used)
        resume_s = _resume(server)
    shutil.rmtree(folder)
    median = {name: statistics.median(seconds) for name, seconds in walls.items()}
    return {
        **{f"{name}_s": seconds for name, seconds in median.items()},
        "over_xrdcp_r": median["ours"] / median["xrdcp_r"],
        "over_xrdcp_each": median["ours"] / median["xrdcp_each"],
        "mover_peak_mb": mover_bytes / 1e6,
        "resume_378_units_s": resume_s,
    }


@contextmanager
def running_server() -> Iterator[XRootDServer]:
    """One for a benchmark."""
    # In memory where we may: the disk's writing back would decide more than what is compared.
    server = XRootDServer(Options(capacity_mb=2000 if os.geteuid() == 0 else None)).start()
    try:
        yield server
    finally:
        server.close()


def fill(sources: Path, base: str) -> None:
    """Commit all units at that base."""
    units = [_unit(number) for number in range(N_UNITS)]
    _commit_all(base, units, [_made(sources, unit) for unit in units])


def _unit(number: int) -> Unit:
    sensor, exposure = f"R{number // 18:02d}_S{number // 2 % 9:02d}", number % 2
    names = (f"lsst_{kind}_{VISIT}_f2_{sensor}_E{exposure:03d}.fits.gz" for kind in range(N_FILES))
    files = tuple(ExpectedFile(name=name, role=Role.ELECTRON_IMAGE) for name in names)
    return Unit(
        visit=VISIT,
        sensor=sensor,
        exposure=exposure,
        filter=2,
        seed=1,
        exposure_s=15.0,
        files=files,
        estimated_bytes=1,
    )


def _made(folder: Path, unit: Unit, n_bytes: int = FILE_BYTES) -> list[MadeFile]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for expected in unit.files:
        content = os.urandom(n_bytes)
        path = folder / expected.name
        path.write_bytes(content)
        adler32 = f"{zlib.adler32(content):08x}"
        files.append(MadeFile(name=expected.name, path=path, role=expected.role, size_bytes=n_bytes, adler32=adler32))
    return files


def _place(base: str) -> JobPlace:
    return JobPlace(base=base, user="bench", job="run-00001")


def _commit_all(base: str, units: Sequence[Unit], made: Sequence[Sequence[MadeFile]]) -> tuple[float, int]:
    """Wall time to the last commit, and the mover's peak memory in bytes.

    The mover runs already, as in every job: what is done was asked before anything was simulated.
    """
    storage = XRootDStorage()
    assert storage.stat(base) is None
    tokens = count()

    def commit(unit: Unit, files: Sequence[MadeFile]) -> bool:
        outcome = commit_unit(
            RetryingStorage(storage),
            _place(base),
            unit,
            files,
            receipt=Receipt(digest=_DIGEST, attempt=1),
            token=f"bench-{next(tokens)}",
            clock=time.time,
            record=lambda _: None,
        )
        return isinstance(outcome, Committed)

    began = time.monotonic()
    with ThreadPoolExecutor(UNITS_AT_ONCE) as pool:
        assert all(pool.map(commit, units, made))
    wall_s = time.monotonic() - began
    peak_bytes = _peak_memory_bytes(storage.mover_pid)
    storage.close()
    return wall_s, peak_bytes


def _peak_memory_bytes(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


def _xrdcp_recursively(server: XRootDServer, sources: Path, name: str) -> Callable[[], None]:
    host = f"localhost:{server.port}"
    subprocess.run(["xrdfs", host, "mkdir", f"/store/{name}"], check=True)
    command = ["xrdcp", "--silent", "-r", "--parallel", "4", str(sources), f"{server.root_url}/{name}"]
    return lambda: _run(command)


def _xrdcp_each(server: XRootDServer, sources: Path, name: str) -> Callable[[], None]:
    def copy_all() -> None:
        for path in sorted(sources.iterdir()):
            _run(["xrdcp", "--silent", str(path), f"{server.root_url}/{name}/{path.name}"])

    return copy_all


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)


def _timed(call: Callable[[], None]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _resume(server: XRootDServer) -> float:
    """Seconds to find that 378 units of one visit are done, the start of the mover included."""
    units = [_unit(number) for number in range(N_RESUMED_UNITS)]
    _lay_out(server, units)
    storage = XRootDStorage()
    began = time.monotonic()
    verdicts = what_is_done(storage, _place(server.root_url), units, {VISIT: _DIGEST})
    wall_s = time.monotonic() - began
    storage.close()
    assert all(isinstance(verdict, Done) for verdict in verdicts.values())
    assert len(verdicts) == len(units)
    return wall_s


def _lay_out(server: XRootDServer, units: Sequence[Unit]) -> None:
    """Commit small units in memory and write what stands there into the server's folder."""
    memory = MemoryStorage()
    for unit in units:
        outcome = commit_unit(
            memory,
            _place("memory:/store"),
            unit,
            _made(server.folder / "small", unit, 10),
            receipt=Receipt(digest=_DIGEST, attempt=1),
            token="bench",
            clock=time.time,
            record=lambda _: None,
        )
        assert isinstance(outcome, Committed)
    for url, content in memory.files.items():
        path = server.store / url.removeprefix("memory:/store/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
