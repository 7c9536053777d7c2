"""What validating an instance catalog costs: time over a bare loop that splits its lines, and peak memory.

    python benchmarks/catalog_validation.py

Goals: under 4 times the bare loop for a catalog of 95 MB, and a peak memory that does not grow from 1 MB to 95 MB.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ROUNDS = 5
SMALL_BYTES, LARGE_BYTES = 1_000_000, 95_000_000

HEADER = """\
rightascension 60.49045502638662697
declination -38.16437495898705379
mjd 60143.42156961110595148
filter 2
rotskypos 131.23506207988341998
nsnap 1
obshistid 398414
seed 398414
seeing 0.7501810
vistime 30.0000000
"""
DEFAULTS = {"minsource": "1", "camconfig": "1", "telconfig": "0"}

_LOOP = """\
import json, resource, sys, time
began = time.perf_counter()
for line in open(sys.argv[1], "rb"):
    line.split()
wall_s = time.perf_counter() - began
"""
_VALIDATION = """\
import json, pathlib, resource, sys, time
from transformation.instance_catalog import read_instance_catalogs
began = time.perf_counter()
folder = pathlib.Path(sys.argv[2])
read_instance_catalogs(
    [pathlib.Path(sys.argv[1])], defaults=json.loads(sys.argv[3]), objects_out=folder / "objects", spool=folder
)
wall_s = time.perf_counter() - began
"""
_REPORT = """\
print(json.dumps({"wall_s": wall_s, "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def object_lines(seed: int) -> Iterator[str]:
    """Stars and galaxies without end, as DC2 wrote them: half points, half sersic2d."""
    draw = random.Random(seed)
    while True:
        ra, dec = 60.49 + draw.uniform(-2, 2), -38.16 + draw.uniform(-2, 2)
        place = f"object {draw.getrandbits(45)} {ra:.14f} {dec:.14f} {draw.uniform(15, 30):.7f}"
        yield (
            f"{place} starSED/phoSimMLT/lte0{draw.randint(25, 40)}-4.5-1.0a+0.4.BT-Settl.spec.gz"
            f" 0 0 0 0 0 0 point none CCM {draw.uniform(0, 0.02):.8f} 3.1\n"
        )
        shear = " ".join(f"{draw.gauss(0, 0.01):.9g}" for _ in range(3))
        shape = f"{draw.uniform(0, 1):.9g} {draw.uniform(0, 1):.9g} {draw.uniform(0, 180):.9g} {draw.choice('14')}"
        yield (
            f"{place} galaxySED/Exp.{draw.randint(10, 99)}E08.04Z.spec.gz {draw.uniform(0, 3):.9g} {shear} 0 0"
            f" sersic2d {shape} CCM 0.1 3.000000000000001 CCM {draw.uniform(0, 0.02):.8f} 3.1\n"
        )


def write_catalog(path: Path, size_bytes: int) -> None:
    """A valid catalog of about this size, always the same."""
    with path.open("w", encoding="ascii") as catalog:
        written = catalog.write(HEADER)
        for line in object_lines(seed=398414):
            written += catalog.write(line)
            if written >= size_bytes:
                return


def run_fresh(program: str, *arguments: str) -> dict[str, float]:
    """What a program reports of itself, run in a process of its own."""
    command = [sys.executable, "-c", program + _REPORT, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def measure() -> dict[str, float]:
    """Wall times in seconds (medians), peak memory in MB, and the two ratios that matter."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.txt"), Path(folder, "large.txt")
        write_catalog(small, SMALL_BYTES)
        write_catalog(large, LARGE_BYTES)
        defaults = json.dumps(DEFAULTS)
        loops, validations = [], []
        # Side by side, so that a machine that slows down slows both.
        for _ in range(ROUNDS):
            loops.append(run_fresh(_LOOP, str(large)))
            validations.append(run_fresh(_VALIDATION, str(large), folder, defaults))
        tiny = run_fresh(_VALIDATION, str(small), folder, defaults)
    loop_s = statistics.median(run["wall_s"] for run in loops)
    validation_s = statistics.median(run["wall_s"] for run in validations)
    peak_large_mb = max(run["peak_kb"] for run in validations) / 1024
    peak_small_mb = tiny["peak_kb"] / 1024
    return {
        "loop_s": loop_s,
        "validation_s": validation_s,
        "validation_over_loop": validation_s / loop_s,
        "peak_1mb_catalog_mb": peak_small_mb,
        "peak_95mb_catalog_mb": peak_large_mb,
        "peak_growth": peak_large_mb / peak_small_mb,
    }


def main() -> None:
    """Print the measurements as a table."""
    for name, value in measure().items():
        print(f"{name:24} {value:8.2f}")


if __name__ == "__main__":
    main()
