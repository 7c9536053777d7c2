"""The jobs that the tests give to pilots, by name; started together, since a pilot mostly waits."""

from __future__ import annotations

import base64
import json
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pilot.real_pilot import BIN, PAYLOAD, PILOT, Pilot
from tests.pilot.source import ROOT
from tests.servers.xrootd_server import XRootDServer
from tests.whole_job.faulty_release import break_stage, copy_release
from tests.whole_job.sky import RAFT, one_star
from transformation import __version__

SOME_UNITS = 4
"""Done before a job of 18 is stopped."""
HOOKS = shlex.join([str(BIN / "python"), str(ROOT / "pilot_hooks")])
FAST_CLOCKS = {
    # The looping rule, 120 times as fast: two hours are a minute, a look each quarter of an hour one each 10 s. The
    # pilot counts in whole minutes.
    "looping_verification_time": "10",
    "looping_limit_default": "60",
    "looping_limit_min_default": "60",
}
SILENT_S = 85
"""Longer than the looping limit by far."""
# A little CPU time each second, and not a word.
_SILENT = f"""
second=0
while [ $second -lt {SILENT_S} ]; do
    i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done
    sleep 1; second=$((second+1))
done
real
"""
_STUCK = "sleep 1000"
_BIG_SCRATCH = "head -c 60000000 /dev/urandom > screens.bin; real"
"""PhoSim's screens take 304 MB and do not pack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """What all pilots share: storage, a release, a published runtime."""

    folder: Path
    server: XRootDServer
    release: Path

    def site(self, name: str, *, release: Path | None = None) -> Path:
        """A site file of its own; pilot and job learn of it by `iod-site export`, by the queue's `environ` at last."""
        runtime = self.folder / f"cvmfs/imsim-runtime/{__version__}/imsim-runtime-{__version__}"
        if not runtime.exists():
            runtime.parent.mkdir(parents=True, exist_ok=True)
            runtime.symlink_to(BIN.parent)
        path = self.folder / f"{name}.toml"
        path.write_text(
            f'name = "{name}"\n'
            f'[cvmfs]\nruntimes = ["{self.folder}/cvmfs"]\n'
            f'[releases]\nroots = ["{(release or self.release).parent}"]\ndefault = "{self.release.name}"\n'
            f'[storage]\nbases = ["{self.server.root_url}"]\n'
            f'[catalog]\nkind = "sqlite"\npath = "{self.folder}/{name}.sqlite"\n'
            "[worker]\nlook_s = 2.0\n"
            '[[panda.queues]]\nname = "IMSIM_TEST"\ncores = 2\n'
        )
        return path

    def job(self, name: str, **changes: object) -> Path:
        """A job spec: one star on one sensor, one exposure."""
        sky = self.folder / "sky.txt"
        if not sky.exists():
            sky.write_text(one_star(RAFT))
        spec = {
            "schema_version": 1,
            "name": name,
            "user": "tonyj",
            "catalogs": [str(sky)],
            "sensors": "R22_S11",
            "exposures": [0],
            "amplifiers": False,
            "output": {"base": self.server.root_url},
            **changes,
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(spec))
        return path

    def broken(self, name: str, stages: Mapping[str, str]) -> Path:
        """A copy of the release in which scripts stand in the place of stages."""
        release = copy_release(self.release, self.folder / name / self.release.name)
        notes = self.folder / f"{name}-notes"
        notes.mkdir()
        for stage, script in stages.items():
            break_stage(release, stage, script, notes)
        return release

    def images(self, name: str) -> list[str]:
        """What a job has on storage."""
        return sorted(path.name for path in (self.server.store / "tonyj" / name).rglob("*.fits.gz"))


Scenario = Callable[[Bed, str], Pilot]


def _pilot(
    user: str,
    *,
    stages: Mapping[str, str] | None = None,
    spec: Mapping[str, object] | None = None,
    parameters: Callable[[Path], str] = lambda job: f"--job {job}",
    **more: Any,
) -> Scenario:
    """A job under that pilot user; `stages`: scripts in the place of a release's."""

    def build(bed: Bed, name: str) -> Pilot:
        folder = bed.folder / f"pilot-{name}"
        folder.mkdir()
        site = bed.site(name, release=bed.broken(name, stages) if stages else None)
        job = bed.job(name, **(spec or {}))
        fields = _STEPS if user == "multistep" else {}
        return Pilot(folder=folder, site=site, user=user, parameters=parameters(job), fields=fields, **more)

    return build


_STEPS = {step: str({"command": HOOKS, "args": step}) for step in ("preprocess", "postprocess")}
"""Of a task with `multiStepExec`."""


def _form_of_2014(job: Path) -> str:
    """With what a shell would fall over, if it were not quoted: as lsstSubmit.py writes it."""
    catalog = json.loads(job.read_text())["catalogs"][0]
    pairs = f"DP_USER=tonyj|PIPELINE_TASK=imsim|NAME={job.stem}|SENSORS=R22_S11|R22_S12|CATALOG_URL={catalog}"
    return f' --lsstJobParams="{pairs}|EXPOSURES=0|AMPLIFIERS=false"'


def _packed(job: Path) -> str:
    """As the server packs the parameters of a task with `encJobParams`."""
    return base64.b64encode(f"--job {job}".encode()).decode()


_RAFT: dict[str, object] = {"sensors": "R22_S..", "exposures": "all"}
"""18 units."""
_NOTHING_MATCHES = {"sensors": "R99_S.."}
_BIG = {"atmosphere": _BIG_SCRATCH}
_BIG_AND_SLOW = {**_BIG, "raytrace": "sleep 1; real"}


def _after_some_units(expression: str, number: signal.Signals) -> Callable[[Pilot], None]:
    def act(pilot: Pilot) -> None:
        pilot.wait_for("some units", lambda: pilot.committed >= SOME_UNITS)
        pilot.signal(expression, number)

    return act


_kill_payload = _after_some_units(PAYLOAD, signal.SIGKILL)


def _stop_pilot(pilot: Pilot) -> None:
    """As a batch system does it.

    The pilot leaves the job three seconds, which a busy machine may not have, and packs its folder meanwhile, or never.
    """
    _after_some_units(PILOT, signal.SIGTERM)(pilot)
    pilot.wait_for("the job's end", lambda: '"running"' not in (pilot.file("jobReport.json") or '"running"'))


# Those that take longest first.
SCENARIOS: Mapping[str, Scenario] = {
    "generic-stuck": _pilot("generic", stages={"raytrace": _STUCK}, settings=FAST_CLOCKS),
    "plugin-stuck": _pilot("imsim", stages={"raytrace": _STUCK}, settings=FAST_CLOCKS),
    "generic-failing": _pilot("generic", spec=_NOTHING_MATCHES),
    "plugin-failing": _pilot("imsim", cleans_up=True, spec=_NOTHING_MATCHES),
    "plugin-pilot-stopped": _pilot("imsim", spec=_RAFT, stages=_BIG_AND_SLOW, act=_stop_pilot),
    # As the wrapper would start it where CVMFS is not mounted.
    "multistep-sick-worker": _pilot("multistep", environment={"IOD_RUNTIMES": "/cvmfs/nowhere.example.org/lsst"}),
    "plugin-payload-killed": _pilot("imsim", cleans_up=True, spec=_RAFT, stages=_BIG_AND_SLOW, act=_kill_payload),
    "multistep-payload-killed": _pilot("multistep", spec=_RAFT, stages=_BIG_AND_SLOW, act=_kill_payload),
    "generic-silent": _pilot("generic", stages={"raytrace": _SILENT}, settings=FAST_CLOCKS),
    "plugin-silent": _pilot("imsim", stages={"raytrace": _SILENT}, settings=FAST_CLOCKS),
    "plugin-raft": _pilot("imsim", cleans_up=True, spec=_RAFT, stages=_BIG),
    "generic-good": _pilot("generic", parameters=_form_of_2014),
    "plugin-good": _pilot("imsim", parameters=_packed),
    "multistep-good": _pilot("multistep"),
}
