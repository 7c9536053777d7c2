"""Full verification of a repository over HTTP: its time beside one `curl` for each object, and its peak memory.

Time is taken on the real repository of the tests. Memory is taken on two releases that are made for it, one with thirty
times the files of the other. Server and clients share this machine.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cvmfs_publish.manifest import write_release
from tests.cvmfs.made import Made, make_repository
from tests.cvmfs.replica import NAME, NOW, unpack

_REPEATS = 5
_FEW, _MANY = 100, 3_000
_FILE_BYTES = 3_000
_WITH_PEAK = """
import sys
from cvmfs_publish.cli import main
code = main(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print("peak kB", peak.split()[1])
sys.exit(code)
"""


def measure(folder: Path) -> dict[str, float]:
    """Medians of several runs in turn, and the peaks."""
    return {**_measure_time(folder / "time"), **_measure_memory(folder)}


def _measure_time(folder: Path) -> dict[str, float]:
    root = unpack(folder)
    objects = [path for path in (root / "cvmfs" / NAME / "data").rglob("*") if path.is_file()]
    with _served(root) as server:
        url = f"{server}/cvmfs/{NAME}"
        key = str(root / "test.example.org.pub")
        words = ["verify", "--http", url, "--repository", NAME, "--public-key", key, "--now", NOW]
        command = [str(Path(sys.executable).with_name("iod-publish")), *words]
        urls = [f"{url}/{path.relative_to(root / 'cvmfs' / NAME)}" for path in objects]
        fetches = [["curl", "-sf", "-o", "/dev/null", one] for one in urls]
        pairs = [(_seconds([command]), _seconds(fetches)) for _ in range(_REPEATS)]
    return {
        "objects": len(objects),
        "verify_s": statistics.median(verify_s for verify_s, _ in pairs),
        "one_curl_each_s": statistics.median(fetch_s for _, fetch_s in pairs),
        "ratio": statistics.median(verify_s / fetch_s for verify_s, fetch_s in pairs),
    }


def _measure_memory(folder: Path) -> dict[str, float]:
    few_mb, many_mb = (_peak_mb(_make(folder / f"{count}", count)) for count in (_FEW, _MANY))
    return {"peak_few_mb": few_mb, "peak_many_mb": many_mb, "peak_growth": many_mb / few_mb}


def _make(folder: Path, files: int) -> Made:
    chance = random.Random(files)
    tree = folder / "tree/toy/1.0/toy-1.0"
    for number in range(files):
        path = tree / f"data/{number % 50:02}/{number:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(_FILE_BYTES))
    facts = {"name": "toy-1.0", "simulator": "toy", "version": "1.0", "kind": "data", "licence": "CC0-1.0"}
    write_release(tree, facts)
    return make_repository(folder / "web", folder / "tree", "toy/1.0")


def _peak_mb(made: Made) -> float:
    with _served(made.root) as server:
        command = [sys.executable, "-c", _WITH_PEAK, "verify", *made.options(server)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.rpartition("peak kB ")[2]) / 1024


def _seconds(commands: Sequence[Sequence[str]]) -> float:
    begun_s = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun_s


@contextmanager
def _served(root: Path) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(root), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline().split(' port ')[1].split()[0])}"
        finally:
            server.terminate()
