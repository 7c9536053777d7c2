"""What transformation and hooks add to a pilot's cycle, and how large the log is that the pilot packs.

A cycle is the wall time from the start of the pilot (panda-pilot 3.7.0.36, in a PID namespace of its own) to its last
word to the server. Once with a payload that is /bin/true, under the user `generic`; once with our transformation, user
and hooks, a job of one unit and storage at a real XRootD door. From the difference goes the time in which a simulator
process ran: each stage is wrapped to note it. The pilot looks once a second whether a payload has ended, so a single
difference is a whole number of seconds too much or too little; the same commands are timed without the pilot, too.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from quicksim.release import build_release, release_name
from tests.pilot.real_pilot import LIMIT_S, TRANSFORMATION, Pilot, why_not
from tests.pilot.scenarios import HOOKS, SCENARIOS, Bed
from tests.servers.xrootd_server import XRootDServer

ROUNDS = 5
_STAGES = ("phosim.py", "atmosphere", "instrument", "trim", "raytrace")
_TIMED = 'begin=$(date +%s.%N); real; code=$?; echo "$begin $(date +%s.%N)" >> "$notes/walls"; exit $code'
_TRUE = "#!/bin/sh\nexec /bin/true\n"


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
    release = bed.broken("cycle", dict.fromkeys(_STAGES, _TIMED))
    walls = bed.folder / "cycle-notes/walls"
    site = bed.site("cycle", release=release)
    nothing = bed.folder / "true.sh"
    nothing.write_text(_TRUE)
    of_true, ours, alone = [], [], []
    for number in range(ROUNDS):
        of_true.append(_cycle(_pilot(bed, f"true-{number}", site, "generic", "", transformation=nothing)))
        walls.unlink(missing_ok=True)
        parameters = f"--job {bed.job(f'cycle-{number}')} --site {site}"
        ours.append(_cycle(_pilot(bed, f"ours-{number}", site, "imsim", parameters)) - _simulating_s(walls))
        walls.unlink()
        work = bed.folder / f"alone-{number}"
        work.mkdir()
        shutil.copy(TRANSFORMATION, work)
        job = f"./lsst-trf.sh --job {bed.job(f'alone-{number}')} --site {site}"
        commands = (f"{HOOKS} preprocess --site {site}", job, f"{HOOKS} postprocess")
        alone.append(sum(_timed(command, work, bed) for command in commands) - _simulating_s(walls))
    return {
        "true_cycle_s": statistics.median(of_true),
        "our_cycle_without_simulators_s": statistics.median(ours),
        "added_s": statistics.median(ours) - statistics.median(of_true),
        "added_without_pilot_s": statistics.median(alone),
    }


def _pilot(bed: Bed, name: str, site: Path, user: str, parameters: str, **more: Path) -> Pilot:
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


def _timed(command: str, work: Path, bed: Bed) -> float:
    """As the pilot runs it: by bash, in the job's folder."""
    environment = {**os.environ, "IOD_RUNTIMES": str(bed.folder / "cvmfs")}
    begun = time.monotonic()
    bash = ["/bin/bash", "-c", command]
    subprocess.run(bash, cwd=work, env=environment, check=True, capture_output=True, timeout=LIMIT_S)
    return time.monotonic() - begun


def _simulating_s(walls: Path) -> float:
    """How long at least one simulator process ran."""
    spans = sorted(tuple(map(float, line.split())) for line in walls.read_text().splitlines())
    total_s, until = 0.0, 0.0
    for begin, end in spans:
        total_s += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total_s


def _logs(bed: Bed) -> dict[str, float]:
    sizes = {}
    for key, name in (("log_bytes", "plugin-raft"), ("killed_log_bytes", "plugin-payload-killed")):
        pilot = SCENARIOS[name](bed, name).start()
        pilot.outcome()
        sizes[key] = float(pilot.log_tarball().stat().st_size)
    return sizes


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
