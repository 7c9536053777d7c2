"""The pilot packs a work folder, under another name, while its other threads go on: nothing is lost by that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pilot_hooks.core import packing
from tests.pilot.source import NoPilot, pilot_source
from tests.unit.pilot_hooks.stories import event, start, write_journal, write_report

ROOT = Path(__file__).parents[3]


def test_a_folder_without_a_payload_is_packed_at_once(tmp_path: Path) -> None:
    packing.end(tmp_path)
    assert packing.wait_for_end(tmp_path, limit_s=0.0)


def test_a_folder_is_packed_when_all_is_done_there(tmp_path: Path) -> None:
    packing.begin(tmp_path)
    assert not packing.wait_for_end(tmp_path, limit_s=0.0)
    threading.Timer(0.05, packing.end, [tmp_path]).start()
    assert packing.wait_for_end(tmp_path, limit_s=30.0)
    packing.begin(tmp_path)  # the pilot asks for its commands again
    assert packing.wait_for_end(tmp_path, limit_s=0.0)


def test_a_folder_that_is_away_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    assert not packing.wait_for_folder(folder, limit_s=0.0)
    threading.Timer(0.05, folder.mkdir).start()
    assert packing.wait_for_folder(folder, limit_s=30.0)


PLUG_IN = """
import json, sys, threading
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import pilot.user
pilot.user.__path__.append(sys.argv[2])
from pilot.common.errorcodes import ErrorCodes
from pilot.user.imsim import common, diagnose
from pilot.util.constants import UTILITY_BEFORE_PAYLOAD

work = Path(sys.argv[3])
away = work.with_name("tarball_PandaJob_1")
job = SimpleNamespace(workdir=str(work), transformation="https://x.org/lsst-trf.sh", jobparams="")
assert common.get_utility_commands(UTILITY_BEFORE_PAYLOAD, job)["label"] == "preprocess"

# The thread that stages out is to wait, but packs the folder all the same, as it does without clean-up.
packer = threading.Thread(target=common.remove_redundant_files, args=(str(work),))
packer.start()
packer.join(0.2)
waited = packer.is_alive() and (work / "scratch").is_dir()
work.rename(away)
threading.Timer(0.2, away.rename, [work]).start()
ErrorCodes().add_error_code(15)  # what the pilot makes of the exit code where it finds no stderr
code = diagnose.interpret(job)
packer.join(60)
print(json.dumps({**vars(job), "waited": waited, "code": code, "scratch": (work / "scratch").exists()}))
"""


@pytest.mark.allow_processes
def test_the_plug_in_in_the_pilot_s_own_modules(tmp_path: Path) -> None:
    try:
        source = pilot_source()
    except NoPilot as error:
        pytest.skip(str(error))
    (tmp_path / "users").mkdir()
    (tmp_path / "users/imsim").symlink_to(ROOT / "pilot_hooks")
    work = tmp_path / "work"
    (work / "scratch").mkdir(parents=True)
    text = "NO_SENSOR_MATCHES: nothing matches; correct it"
    write_journal(work, start(), event("job_end", 9, exitCode=15, exitAcronym="NO_SENSOR_MATCHES", exitMsg=text))
    write_report(work)
    found = in_pilot(source, tmp_path / "users", work)
    assert found["waited"]
    assert (found["code"], found["exeerrorcode"], found["exeerrordiag"]) == (15, 15, text)
    assert (found["piloterrorcodes"], found["piloterrordiags"]) == ([1305], [text])
    assert not found["scratch"]


def in_pilot(source: Path, users: Path, work: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PLUG_IN, str(source), str(users), str(work)],
        env={**os.environ, "PILOT_USER": "generic"},
        cwd=users,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
