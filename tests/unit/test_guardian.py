"""Nothing outlives a job that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.unit.process_world import alive, noted, shell, wait_until
from transformation.limits import Budget
from transformation.process import Processes

pytestmark = pytest.mark.allow_processes


JOB = """
import os, sys, time
from pathlib import Path
from transformation import process
from transformation.limits import Budget
folder, script = Path(sys.argv[1]), sys.argv[2]
at_once = process.start_module
def start_module(*words, **more):
    time.sleep(0.5)
    return at_once(*words, **more)
process.start_module = start_module
processes = process.Processes()
processes.prepare(Budget(memory_bytes=1 << 40, part_bytes=1 << 40, scratch=folder), folder / "guardian")
command = process.Command(
    argv=("/bin/sh", "-c", script), folder=folder, stdout=folder / "out", stderr=folder / "err",
    environment={name: os.environ[name] for name in ("PATH", "OF_TEST")})
processes.run(command)
"""
"""A job on a machine that is slow to start helpers: one that started its guardian late would be dead before."""


SHARP_EYED = JOB.replace(
    "processes.run(command)",
    """
import fcntl, termios, threading
from transformation.family import adopt_orphans
adopt_orphans()
def have_a_look():
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        time.sleep(0.01)
    pipe = processes._guardian.stdin
    for word in (b"look", b"and say when you have"):  # it reads the second when it is done with the first
        pipe.write(word)
        pipe.flush()
        while any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))):
            time.sleep(0.01)
    (folder / "looked").touch()
threading.Thread(target=have_a_look, daemon=True).start()
processes.run(command)
""",
)
"""A job whose guardian looks around when the daemon is there, not only every few seconds."""


def carriers(mark: str) -> list[int]:
    """Living processes with that word in their environment."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if one.status() != psutil.STATUS_ZOMBIE and one.environ().get("OF_TEST") == mark:
                found.append(one.pid)
    return found


@pytest.mark.parametrize(
    "left_behind",
    ["sleep 300", "trap '' TERM HUP; setsid sleep 300", "(setsid sh -c 'sleep 300 & sleep 300')"],
    ids=["child", "daemon", "daemon with a child"],
)
def test_nothing_outlives_a_job_that_is_killed_as_soon_as_a_simulator_runs(tmp_path: Path, left_behind: str) -> None:
    """The guardian ends what nobody else can; the simulator kills the job as its first act."""
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, str(tmp_path), f"{left_behind} & kill -KILL $PPID; wait"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OF_TEST": str(tmp_path)},
    )
    assert job.wait() == -signal.SIGKILL
    wait_until(lambda: not carriers(str(tmp_path)))


def test_a_daemon_that_threw_its_environment_away_does_not_outlive_a_job_that_is_killed(tmp_path: Path) -> None:
    """The guardian has seen it: nothing else tells whose it was."""
    pid = tmp_path / "pid"
    script = f"(env -i setsid sh -c 'echo $$ > {pid}; exec sleep 300' &); sleep 300"
    job = subprocess.Popen(
        [sys.executable, "-c", SHARP_EYED, str(tmp_path), script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OF_TEST": str(tmp_path)},
    )
    wait_until((tmp_path / "looked").exists)
    daemon = noted(pid)
    assert alive(daemon)
    job.kill()
    job.wait()
    wait_until(lambda: not alive(daemon))
    wait_until(lambda: not carriers(str(tmp_path)))


def test_a_guardian_that_was_killed_is_replaced(processes: Processes, tmp_path: Path) -> None:
    processes.prepare(Budget(memory_bytes=1 << 40, part_bytes=1 << 40, scratch=tmp_path), tmp_path / "guardian")
    assert processes.run(shell(tmp_path, "exit 0")).good
    (guardian,) = guardians(processes)
    os.kill(guardian, signal.SIGKILL)
    wait_until(lambda: not alive(guardian))
    assert processes.run(shell(tmp_path, "exit 0")).good
    (another,) = guardians(processes)
    assert another != guardian
    processes.close()
    assert not alive(another)


def guardians(processes: Processes) -> list[int]:
    """Children of ours that guard these processes."""
    words = ("transformation.guardian", processes._word, str(os.getpid()))
    return [child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE
            and tuple(child.cmdline()[-3:]) == words]  # fmt: skip
