"""What transformation and hooks add to a pilot's cycle, and how large the log is that the pilot packs.

A cycle is the wall time from the start of the pilot (panda-pilot 3.7.0.36, in a PID namespace of its own) to its last
word to the server. Once with a payload that is /bin/true, under the user `generic`; once with our transformation, user
and hooks, a job of one unit and storage at a real XRootD door. From the difference goes the time in which a simulator
process ran: each stage is wrapped to note it.

The pilot's cycle goes in steps: measured, 3.2 s for `sleep 0` to `sleep 0.9`, 7.6 s for `sleep 1.2` to `sleep 5.6`, and
12.2 s for `sleep 6.2`. What a payload adds shows as nothing or as 4.4 s, as chance will have it. So both payloads are
delayed by each of ten times that cover such a step, and the means are compared. The same three commands are timed
without the pilot, too.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from quicksim.release import build_release, release_name
from tests.pilot.real_pilot import LIMIT_S, TRANSFORMATION, Pilot
from tests.pilot.scenarios import HOOKS, SCENARIOS, Bed
from tests.pilot.source import why_not
from tests.servers.xrootd_server import XRootDServer

ROUNDS = 5
STEP_S = 5.0
"""Of the pilot's cycle, about."""
_DELAYS_S = [0.5 * number for number in range(round(STEP_S / 0.5))]
_STAGES = ("phosim.py", "atmosphere", "instrument", "trim", "raytrace")
_TIMED = """\
begin=$(date +%s.%N); real; code=$?; end=$(date +%s.%N)
times > "$notes/times.$$"
echo "$begin $end" >> "$notes/walls"
exit $code
"""
_DELAYED = f"""\
if [ -e "$notes/delay_s" ]; then sleep "$(cat "$notes/delay_s")"; rm "$notes/delay_s"; fi
{_TIMED}"""
_TRUE = "#!/bin/sh\nsleep {delay_s}\nexec /bin/true\n"


def measure(folder: Path) -> dict[str, float]:
    """Seconds and bytes."""
    if reason := why_not():
        raise SystemExit(f"the pilot runs in a PID namespace only: {reason}")
    folder.mkdir(parents=True)
    server = XRootDServer().start()
    try:
        release = build_release(folder / "releases" / release_name(tiny=True), tiny=True)
        bed = Bed(folder=folder, server=server, release=release)
        return _cycles(bed) | _logs(bed)
    finally:
        server.close()


def _cycles(bed: Bed) -> dict[str, float]:
    """Means with the pilot, medians without; the first of our jobs on a node pays for the site doctor, too."""
    release = bed.broken("cycle", {**dict.fromkeys(_STAGES, _TIMED), "phosim.py": _DELAYED})
    site = bed.site("cycle", release=release)
    nodes = [bed.folder / "node-of-pilots", bed.folder / "node"]
    for node in nodes:
        node.mkdir()
    _ours(bed, "first", site, nodes[0], 0.0)
    base_s = [_cycle(_true(bed, f"true-{delay_s}", site, delay_s)) for delay_s in _DELAYS_S]
    ours_s = [_ours(bed, f"ours-{delay_s}", site, nodes[0], delay_s) for delay_s in _DELAYS_S]
    alone, cpu = [], []
    for number in range(1 + ROUNDS):
        wall_s, cpu_s = _alone(bed, f"alone-{number}", site, nodes[1])
        simulating_s, simulators_cpu_s = _simulating(bed)
        alone.append(wall_s - simulating_s)
        cpu.append(cpu_s - simulators_cpu_s)
    return {
        "true_cycle_s": statistics.mean(base_s),
        "added_s": statistics.mean(ours_s) - statistics.mean(base_s),
        "added_without_pilot_s": statistics.median(alone[1:]),
        "added_without_pilot_first_s": alone[0],
        "added_cpu_s": statistics.median(cpu[1:]),
    }


def _true(bed: Bed, name: str, site: Path, delay_s: float) -> Pilot:
    script = bed.folder / f"{name}.sh"
    script.write_text(_TRUE.format(delay_s=delay_s))
    return _pilot(bed, name, site, "generic", "", transformation=script)


def _ours(bed: Bed, name: str, site: Path, node: Path, delay_s: float) -> float:
    """The cycle without the time in which a simulator ran; the delay, before the first of them, is in it."""
    (bed.folder / "cycle-notes/delay_s").write_text(str(delay_s))
    parameters = f"--job {bed.job(name)}"
    cycle_s = _cycle(_pilot(bed, name, site, "imsim", parameters, environment={"TMPDIR": str(node)}))
    return cycle_s - _simulating(bed)[0]


def _alone(bed: Bed, name: str, site: Path, node: Path) -> tuple[float, float]:
    """Wall and CPU time of the three commands that the pilot would run, by bash in the job's folder."""
    work = bed.folder / name
    work.mkdir()
    shutil.copy(TRANSFORMATION, work)
    job = f"./lsst-trf.sh --job {bed.job(name)}"
    runtimes = str(bed.folder / "cvmfs")
    environment = {**os.environ, "IOD_RUNTIMES": runtimes, "IOD_SITE": str(site), "TMPDIR": str(node)}
    begun, used_s = time.monotonic(), _children_cpu_s()
    for command in (f"{HOOKS} preprocess", job, f"{HOOKS} postprocess"):
        bash = ["/bin/bash", "-c", command]
        subprocess.run(bash, cwd=work, env=environment, check=True, capture_output=True, timeout=LIMIT_S)
    return time.monotonic() - begun, _children_cpu_s() - used_s


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _pilot(bed: Bed, name: str, site: Path, user: str, parameters: str, **more: object) -> Pilot:
    folder = bed.folder / name
    folder.mkdir()
    return Pilot(folder=folder, site=site, user=user, parameters=parameters, **more)  # type: ignore[arg-type]


def _cycle(pilot: Pilot) -> float:
    begun = time.monotonic()
    pilot.start()
    begun += pilot.layout_s
    told = pilot.outcome()
    wall_s = time.monotonic() - begun
    assert told["state"] == "finished", told
    return wall_s


def _simulating(bed: Bed) -> tuple[float, float]:
    """How long at least one simulator process ran since this was asked last, and the CPU time of all of them."""
    notes = bed.folder / "cycle-notes"
    walls = notes / "walls"
    spans = sorted(tuple(map(float, line.split())) for line in walls.read_text().splitlines())
    total_s, until = 0.0, 0.0
    for begin, end in spans:
        total_s += max(0.0, end - max(begin, until))
        until = max(until, end)
    walls.unlink()
    cpu_s = 0.0
    for path in notes.glob("times.*"):
        # The second line is that of the children: `0m1.230s 0m0.040s`.
        for minutes, seconds in re.findall(r"(\d+)m([\d.]+)s", path.read_text().splitlines()[1]):
            cpu_s += 60 * int(minutes) + float(seconds)
        path.unlink()
    return total_s, cpu_s


def _logs(bed: Bed) -> dict[str, float]:
    sizes = {}
    for key, name in (("log_bytes", "plugin-raft"), ("killed_log_bytes", "plugin-payload-killed")):
        pilot = SCENARIOS[name](bed, name).start()
        pilot.outcome()
        sizes[key] = float(pilot.log_tarball().stat().st_size)
    return sizes


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
