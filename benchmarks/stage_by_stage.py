"""CPU time of a raft visit stage by stage over nine `phosim.py -g no -s SENSOR` runs of the same release.

The release is quicksim-tiny with PhoSim 3.4's fixed costs at a twentieth: 30 s for the set-up of a visit, 30 s a
raytrace, 10 s an e2adc. Each stage burns CPU until that is what it took in all; at a smaller scale the start of Python
would weigh more than the costs that are imitated.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.job import TINY, run_job, wrap_program, write_catalog, write_spec

SENSORS = [f"R22_S{x}{y}" for x in range(3) for y in range(3)]
_SCALE = 0.05
_CHARGES_S = {"atmosphere": 30.0, "raytrace": 30.0, "e2adc": 10.0}
"""CPU-seconds of PhoSim 3.4 (v3.4-47), whatever the catalog."""
_BURN = """\
#!/bin/sh
# The stage, then as much CPU time as PhoSim's takes in all.
"${{0%/*}}/${{0##*/}}.real" || exit $?
exec "{python}" -S -c 'import os
while sum(os.times()[:4]) < {burn_s}: pass'
"""


def measure(folder: Path) -> dict[str, float]:
    """CPU seconds both ways, their ratio, and what watching costs: CPU of the wrapper over that of the simulators."""
    folder.mkdir(parents=True)
    release = _charging_release(folder / "releases")
    catalog = write_catalog(folder / "catalog.txt", visit=1003, n_objects=900, nsnap=2, spread_deg=1.0)
    spec = write_spec(
        folder / "job.json", catalog=catalog, sensors="R22_S..", release=release.name, base=folder / "store"
    )
    before_s = _children_cpu_s()
    run = run_job(spec, folder / "work", release.parent)
    assert run.exit_code == 0, run.report
    staged_s = _children_cpu_s() - before_s
    before_s = _children_cpu_s()
    for sensor in SENSORS:
        _drive(release, catalog, sensor, folder / "driven" / sensor)
    driven_s = _children_cpu_s() - before_s
    shutil.rmtree(folder)
    found = run.report["resource"]
    assert isinstance(found, dict)
    return {
        "staged_cpu_s": staged_s,
        "driven_cpu_s": driven_s,
        "ratio": staged_s / driven_s,
        "wrapper_cpu_s": found["wrapper_cpu_s"],
        "ratio_of_simulators": (staged_s - found["wrapper_cpu_s"]) / driven_s,
    }


def measure_watching(folder: Path, unit_s: float = 60.0) -> dict[str, float]:
    """CPU of the wrapper over that of its simulators while one unit of that length runs, beyond a short one's."""
    folder.mkdir(parents=True)
    wrapper_s, job_s = [], []
    for number, burn_s in enumerate((1.0, unit_s)):
        release = _charging_release(folder / f"releases-{number}", {"raytrace": burn_s / _SCALE})
        catalog = write_catalog(folder / f"catalog-{number}.txt", visit=1004, n_objects=10)
        spec = write_spec(
            folder / f"job-{number}.json", catalog=catalog, sensors="R22_S11", release=release.name,
            base=folder / f"store-{number}",
        )  # fmt: skip
        run = run_job(spec, folder / f"work-{number}", release.parent)
        assert run.exit_code == 0, run.report
        found = run.report["resource"]
        assert isinstance(found, dict)
        wrapper_s.append(found["wrapper_cpu_s"])
        job_s.append(found["cpu_s"])
    shutil.rmtree(folder)
    return {"watching_over_job": max(0.0, wrapper_s[1] - wrapper_s[0]) / (job_s[1] - job_s[0]), "watched_s": job_s[1]}


def _charging_release(into: Path, charges_s: dict[str, float] | None = None) -> Path:
    release = TINY
    for number, (stage, charge_s) in enumerate((charges_s or _CHARGES_S).items()):
        script = _BURN.format(python=sys.executable, burn_s=charge_s * _SCALE)
        release = wrap_program(release, into / str(number), f"bin/{stage}", script)
    return release


def _drive(release: Path, catalog: Path, sensor: str, folder: Path) -> None:
    """One run of the driver for one sensor."""
    work, output = folder / "work", folder / "output"
    for fresh in (work, output):
        fresh.mkdir(parents=True)
    commands = folder / "commands.txt"
    commands.write_text("backalpha 0.0\nbackbeta 4.0\nbackgamma 10.0\n")
    argv = [sys.executable, str(release / "phosim.py"), str(catalog), "-c", str(commands), "-s", sensor]
    argv += ["-i", "lsst", "-g", "no", "-w", str(work), "-o", str(output)]
    environment = {**os.environ, "QUICKSIM_PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (folder / "out").open("wb") as log:
        subprocess.run(argv, env=environment, stdout=log, stderr=log, check=True)
    made = len(list(output.glob("*.fits.gz")))
    assert made == 34, f"{sensor}: {made} images"


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]) / "stages"))
    print(measure_watching(Path(sys.argv[1]) / "watching"))
