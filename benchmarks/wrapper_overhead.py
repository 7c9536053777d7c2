"""Job wall time over the best `xargs -P` schedule of the same simulator commands on the same inputs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.job import QUICKSIM, run_job, wrap_program, write_catalog, write_spec

CORES = 2
SENSORS = ("R22_S11", "R22_S01", "R22_S10", "R22_S12")

_BURN = """\
#!/bin/sh
# A unit of a known length: the real raytrace, then as many loops as fill the time on this machine.
"${{0%/*}}/raytrace.real" || exit $?
exec "{python}" -c 'for _ in range({loops}): pass'
"""


def measure(unit_s: float, folder: Path) -> dict[str, float]:
    """Wall times of both schedules, and their ratio, for four units of about that length on two cores."""
    folder.mkdir(parents=True)
    script = _BURN.format(python=sys.executable, loops=int(unit_s * _loops_a_second()))
    release = wrap_program(QUICKSIM, folder / "releases", "bin/raytrace", script)
    catalog = write_catalog(folder / "catalog.txt", visit=1001, n_objects=2000, spread_deg=0.5)
    spec = write_spec(
        folder / "job.json", catalog=catalog, sensors="|".join(SENSORS), release=release.name, base=folder / "store"
    )
    best_s = _xargs(release, catalog, folder / "xargs")
    run = run_job(spec, folder / "work", release.parent, cores=CORES)
    assert run.exit_code == 0, run.report
    shutil.rmtree(folder)
    resource = run.report["resource"]
    assert isinstance(resource, dict)
    return {
        "unit_s": unit_s,
        "xargs_s": best_s,
        "job_s": run.wall_s,
        "ratio": run.wall_s / best_s,
        "wrapper_cpu_s": resource["wrapper_cpu_s"],
        "wrapper_peak_mb": resource["wrapper_max_rss_bytes"] / 1e6,
    }


def _loops_a_second() -> float:
    """How many empty loops a second this machine does with both cores busy."""
    code = "import time; t=time.process_time()\nfor _ in range(30_000_000): pass\nprint(time.process_time()-t)"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(CORES)]
    return 30_000_000 / max(float(one.communicate()[0]) for one in both)


def _xargs(release: Path, catalog: Path, work: Path) -> float:
    """The same commands by hand: set-up, trim, then raytrace and e2adc of each unit through xargs."""
    (work / "output").mkdir(parents=True)
    commands = work / "commands.txt"
    commands.write_text("backalpha 0.0\nbackbeta 4.0\nbackgamma 10.0\n")
    shim = work / "shim"
    shim.mkdir()
    (shim / "condor_submit_dag").write_text("#!/bin/sh\nexit 0\n")
    (shim / "condor_submit_dag").chmod(0o755)
    run = work / "work"
    run.mkdir()
    unit = work / "unit.sh"
    unit.write_text(
        f"cd {run}\n"
        f"cat raytrace_1001_$1_E000_0.pars trimcatalog_1001_$1.pars > $1.in\n"
        f"{release}/bin/raytrace < $1.in > $1.out && {release}/bin/e2adc < e2adc_1001_$1_E000.pars > $1.e2\n"
    )
    script = (
        f"{sys.executable} {release}/phosim.py {catalog} -c {commands} -s '{'|'.join(SENSORS)}' -g condor -u standard"
        f" --checkpoint=0 -w {run} -o {work}/output > {work}/set-up.out &&"
        f" cd {run} && for group in trim_1001_*.pars; do {release}/bin/trim < $group > $group.out; done &&"
        f" printf '%s\\n' {' '.join(SENSORS)} | xargs -P {CORES} -n 1 sh {unit}"
    )
    environment = {
        **os.environ,
        "PATH": f"{shim}:{os.environ['PATH']}",
        "QUICKSIM_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    started = time.monotonic()
    subprocess.run(["sh", "-c", script], env=environment, check=True)
    wall_s = time.monotonic() - started
    made = sorted(run.glob("lsst_*.fits.gz"))
    assert len(made) == 17 * len(SENSORS), f"{len(made)} images"
    return wall_s
