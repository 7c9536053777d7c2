"""Starting, watching and ending processes, all of them real."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.unit.process_world import PATH, alive, command, noted, shell
from transformation.family import adopt_orphans
from transformation.helper import start_module
from transformation.limits import EndedBy
from transformation.process import Command, Finished, Processes, StartFailed, forbid_core_files

pytestmark = pytest.mark.allow_processes


def test_core_files_are_forbidden_to_all_that_is_started() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
        forbid_core_files()
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.parametrize(
    ("script", "status", "number", "good"),
    [
        ("exit 0", 0, None, True),
        ("exit 7", 7, None, False),
        ("exit 143", 143, None, False),
        ("kill -TERM $$", None, signal.SIGTERM, False),
        ("kill -SEGV $$", None, signal.SIGSEGV, False),
        ("kill -KILL $$", None, signal.SIGKILL, False),
    ],
)
def test_how_a_process_ends(
    processes: Processes, tmp_path: Path, script: str, status: int | None, number: int | None, good: bool
) -> None:
    finished = processes.run(shell(tmp_path, script))
    assert (finished.exit_status, finished.signal, finished.good) == (status, number, good)
    assert finished.ended_by is EndedBy.ITSELF


@pytest.mark.parametrize(
    ("finished", "words"),
    [
        ({"exit_status": 3}, "exit status 3 after 2.5 s"),
        ({"signal": 11}, "killed by SIGSEGV after 2.5 s"),
        ({"signal": 40}, "killed by signal 40 after 2.5 s"),
        ({"signal": 9, "ended_by": EndedBy.WALL_LIMIT}, "stopped (wall limit) after 2.5 s"),
        ({"signal": 15, "ended_by": EndedBy.STOP}, "stopped (stop) after 2.5 s"),
    ],
)
def test_the_end_in_words(finished: dict[str, object], words: str) -> None:
    facts = {"exit_status": None, "signal": None, "ended_by": EndedBy.ITSELF, **finished}
    one = Finished(**facts, wall_s=2.5, cpu_s=0.0, max_rss_bytes=0)  # type: ignore[arg-type]
    assert str(one) == words
    assert not one.good


def test_streams_are_files(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hello\n")
    script = "cat; echo warned >&2; pwd"
    finished = processes.run(command(tmp_path, "/bin/sh", "-c", script, stdin=tmp_path / "in"))
    assert finished.good
    assert (tmp_path / "out").read_text() == f"hello\n{tmp_path}\n"
    assert (tmp_path / "err").read_text() == "warned\n"


def test_output_of_a_second_run_is_appended_and_stdin_is_empty(processes: Processes, tmp_path: Path) -> None:
    for _ in range(2):
        assert processes.run(shell(tmp_path, "cat; echo line")).good
    assert (tmp_path / "out").read_text() == "line\nline\n"


def test_nothing_of_our_environment_is_inherited(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X509_USER_PROXY", "/tmp/secret")
    assert processes.run(command(tmp_path, "env", GREETING="hi")).good
    mark, *others = sorted((tmp_path / "out").read_text().splitlines(), key=lambda line: not line.startswith("IOD_"))
    assert re.fullmatch(r"IOD_PROCESS=[0-9a-f]{12}-1", mark)
    assert sorted(others) == sorted([f"PATH={PATH}", "GREETING=hi"])


def test_text_is_no_shell(processes: Processes, tmp_path: Path) -> None:
    assert processes.run(command(tmp_path, "echo", "$(touch pwned)", ";", "touch", "pwned", "*")).good
    assert (tmp_path / "out").read_text() == "$(touch pwned) ; touch pwned *\n"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("make", ["missing", "not executable", "folder gone"])
def test_what_cannot_be_started(processes: Processes, tmp_path: Path, make: str) -> None:
    program = tmp_path / "program"
    if make != "missing":
        program.write_text("#!/bin/sh\nexit 0\n")
    if make == "folder gone":
        program.chmod(0o755)
        gone = tmp_path / "gone"
        one = Command(argv=(str(program),), folder=gone, stdout=tmp_path / "out", stderr=tmp_path / "err")
    else:
        one = command(tmp_path, str(program))
    with pytest.raises(StartFailed, match="program"):
        processes.run(one)
    # A failed start leaves nothing behind that would disturb the next.
    assert processes.run(shell(tmp_path, "exit 0")).good


def test_cpu_and_memory_are_recorded(processes: Processes, tmp_path: Path) -> None:
    # Linux lets a process begin with the peak of the one that started it: it has to grow past ours to be seen.
    most_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 60_000_000
    script = f"import time\nb = bytearray({most_bytes}); b[::4096] = b'x' * len(b[::4096])\n"
    script += "while time.process_time() < 0.3: pass"
    finished = processes.run(command(tmp_path, sys.executable, "-c", script))
    assert finished.good, (tmp_path / "err").read_text()
    assert 0.3 <= finished.cpu_s < 3.0
    assert finished.wall_s >= 0.3
    assert most_bytes < finished.max_rss_bytes < most_bytes + 60_000_000


def test_children_count_too(processes: Processes, tmp_path: Path) -> None:
    """A stage is often a script around the program that does the work."""
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    finished = processes.run(shell(tmp_path, f'{sys.executable} -c "{busy}"; exit 0'))
    assert finished.cpu_s >= 0.3


def test_the_wall_limit(processes: Processes, tmp_path: Path) -> None:
    finished = processes.run(shell(tmp_path, "trap '' TERM; sleep 30 & echo $! > child; wait", limit_s=0.3))
    assert finished.ended_by is EndedBy.WALL_LIMIT
    assert not finished.good
    assert 0.3 <= finished.wall_s < 3.0
    assert not alive(noted(tmp_path / "child"))


def test_a_process_within_its_limit_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    assert processes.run(shell(tmp_path, "sleep 0.7", limit_s=20.0)).good


def test_stop_ends_everything_and_lets_nothing_start(processes: Processes, tmp_path: Path) -> None:
    results: list[Finished] = []
    scripts = ["echo $$ > pid0; sleep 30", "trap '' TERM; echo $$ > pid1; sleep 30; sleep 30"]

    def run(at: int) -> None:
        results.append(processes.run(shell(tmp_path, scripts[at])))

    threads = [threading.Thread(target=run, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    pids = [noted(tmp_path / f"pid{at}") for at in range(2)]
    began = time.monotonic()
    processes.stop()
    for thread in threads:
        thread.join(10.0)
    assert time.monotonic() - began < 2.0, "a pilot gives three seconds in all"
    assert processes.stopping
    assert {finished.ended_by for finished in results} == {EndedBy.STOP}
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(StartFailed, match="stopping"):
        processes.run(shell(tmp_path, "exit 0"))


def test_stop_gives_time_to_end_in_order(processes: Processes, tmp_path: Path) -> None:
    thread = threading.Thread(
        target=lambda: processes.run(
            shell(tmp_path, "trap 'echo bye; exit 0' TERM; echo $$ > pid; while :; do sleep 0.01; done")
        )
    )
    thread.start()
    noted(tmp_path / "pid")
    processes.stop()
    thread.join(10.0)
    assert (tmp_path / "out").read_text() == "bye\n"


OWN_GROUP = "import os, time; os.setpgrp(); print(os.getpid(), file=open('child', 'w'), flush=True); time.sleep(30)"


@pytest.mark.parametrize(
    "left_behind",
    [
        "sleep 30 & echo $! > child",
        # In a process group of its own, as a shell with job control does, but in our session still.
        f'{sys.executable} -c "{OWN_GROUP}" & while ! test -s child; do sleep 0.01; done',
        "trap '' HUP TERM; (trap '' TERM; sleep 30; sleep 30) & echo $! > child",
    ],
)
def test_what_a_process_leaves_running_is_gone_when_run_returns(
    processes: Processes, tmp_path: Path, left_behind: str
) -> None:
    finished = processes.run(shell(tmp_path, f"{left_behind}; exit 0"))
    assert finished.good
    assert finished.wall_s < 5.0
    assert not alive(noted(tmp_path / "child"))


@pytest.fixture
def adopting() -> Iterator[None]:
    assert adopt_orphans()
    yield
    adopt_orphans(adopt=False)


def children() -> list[int]:
    """Our own, zombies included."""
    return [child.pid for child in psutil.Process().children()]


NEW_SESSION = "setsid sh -c 'echo $$ > child; exec sleep 30' & while ! test -s child; do sleep 0.01; done"
"""A daemon, which outlives the process that started it in a session that is not ours."""


@pytest.mark.usefixtures("adopting")
@pytest.mark.parametrize("left_behind", [NEW_SESSION, f"({NEW_SESSION})"], ids=["daemon", "daemon of a child"])
def test_a_daemon_is_found_ended_and_waited_for(processes: Processes, tmp_path: Path, left_behind: str) -> None:
    before = children()
    finished = processes.run(shell(tmp_path, f"{left_behind}; while ! test -s child; do sleep 0.01; done; exit 0"))
    child = noted(tmp_path / "child")
    assert finished.good
    assert not alive(child)
    assert children() == before, "not even a zombie is left"


@pytest.mark.usefixtures("adopting")
def test_a_daemon_without_our_mark_goes_with_the_last_simulator(processes: Processes, tmp_path: Path) -> None:
    script = "env -i setsid sh -c 'echo $$ > child; exec /bin/sleep 30' & while ! test -s child; do sleep 0.01; done"
    assert processes.run(shell(tmp_path, script)).good
    child = noted(tmp_path / "child")
    processes.close()
    assert not alive(child)
    assert child not in children()


@pytest.mark.usefixtures("adopting")
def test_a_daemon_of_one_process_is_not_ended_with_another(processes: Processes, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    script = f"({NEW_SESSION}) & while ! test -e go; do sleep 0.01; done"
    thread = threading.Thread(target=lambda: processes.run(shell(one, script)))
    thread.start()
    child = noted(one / "child")
    assert processes.run(shell(two, "exit 0")).good
    assert alive(child)
    (one / "go").touch()
    thread.join(10.0)
    assert not alive(child)


@pytest.mark.usefixtures("adopting")
def test_children_that_are_not_of_a_simulator_are_left_alone(processes: Processes, tmp_path: Path) -> None:
    helper = start_module("http.server", tmp_path / "log", arguments=("0", "--bind", "127.0.0.1"))
    own = subprocess.Popen(["sleep", "30"])
    try:
        assert processes.run(shell(tmp_path, NEW_SESSION)).good
        processes.close()
        assert helper.poll() is None
        assert own.poll() is None
    finally:
        for child in (helper, own):
            child.kill()
            child.communicate()


def test_nobody_is_adopted_unasked(processes: Processes, tmp_path: Path) -> None:
    """Tests and commands that only look must not end what others started in this process."""
    stranger = subprocess.Popen(["sleep", "30"], start_new_session=True)
    try:
        assert processes.run(shell(tmp_path, "exit 0")).good
        processes.close()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_no_core_file(processes: Processes, tmp_path: Path) -> None:
    own = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (own[1], own[1]))
    try:
        finished = processes.run(shell(tmp_path, "sleep 0.2; ulimit -c > limit; kill -SEGV $$"))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, own)
    assert finished.signal == signal.SIGSEGV
    assert (tmp_path / "limit").read_text() == "0\n"


def test_several_threads_run_at_the_same_time(processes: Processes, tmp_path: Path) -> None:
    began = time.monotonic()
    results: dict[int, Finished] = {}

    def run(at: int) -> None:
        results[at] = processes.run(shell(tmp_path, f"sleep 0.4; exit {at}"))

    threads = [threading.Thread(target=run, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {at: finished.exit_status for at, finished in results.items()} == {at: at for at in range(6)}
    assert time.monotonic() - began < 2.0
