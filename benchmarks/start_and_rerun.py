"""From the start of `lsst-trf` to its first simulator process, and a job that is done already."""

from __future__ import annotations

import shutil
import statistics
import sys
from pathlib import Path

from benchmarks.job import TINY, run_job, wrap_program, write_catalog, write_spec

_STAMP = """\
import os, sys, time
with open("{stamp}", "a") as stamp:
    stamp.write(f"{{time.time()}}\\n")
os.execv(sys.executable, [sys.executable, __file__ + ".real", *sys.argv[1:]])
"""


def measure(folder: Path) -> dict[str, float]:
    """Seconds to the first simulator process with a catalog of 1 MB; wall and processes of the second run."""
    folder.mkdir(parents=True)
    stamp = folder / "stamp"
    release = wrap_program(TINY, folder / "releases", "phosim.py", _STAMP.format(stamp=stamp))
    catalog = write_catalog(folder / "catalog.txt", visit=1002, n_objects=12_000)
    spec = write_spec(
        folder / "job.json", catalog=catalog, sensors="R22_S11", release=release.name, base=folder / "store"
    )
    to_first, again_s = [], []
    for number in range(5):
        shutil.rmtree(folder / "store", ignore_errors=True)
        stamp.unlink(missing_ok=True)
        first = run_job(spec, folder / f"work-{number}", release.parent)
        assert first.exit_code == 0, first.report
        to_first.append(float(stamp.read_text().split()[0]) - first.started_s)
        stamp.unlink()
        again = run_job(spec, folder / f"again-{number}", release.parent)
        assert again.exit_code == 0, again.report
        assert not stamp.exists(), "a finished job started a simulator process"
        again_s.append(again.wall_s)
    size_mb = catalog.stat().st_size / 1e6
    shutil.rmtree(folder)
    return {
        "catalog_mb": size_mb,
        "to_first_process_s": statistics.median(to_first),
        "rerun_s": statistics.median(again_s),
        "rerun_simulator_processes": 0,
    }


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
