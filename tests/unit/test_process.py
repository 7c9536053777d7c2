"""Starting, watching and ending processes, all of them real."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from transformation.family import adopt_orphans
from transformation.helper import Helper, HelperFailed, start_module
from transformation.limits import Budget, EndedBy, Limits
from transformation.process import Command, Finished, Processes, StartFailed

pytestmark = pytest.mark.allow_processes

PATH = os.environ["PATH"]


@pytest.fixture
def processes() -> Iterator[Processes]:
    one = Processes()
    yield one
    one.stop()
    one.close()


def command(
    folder: Path, *argv: str, stdin: Path | None = None, limit_s: float | None = None, **environment: str
) -> Command:
    return Command(
        argv=argv, folder=folder, stdout=folder / "out", stderr=folder / "err", stdin=stdin,
        limits=Limits(wall_s=limit_s), environment={"PATH": PATH, **environment},
    )  # fmt: skip


def shell(folder: Path, script: str, *, limit_s: float | None = None) -> Command:
    return command(folder, "/bin/sh", "-c", script, limit_s=limit_s)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def noted(path: Path) -> int:
    """The process id that a script wrote."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


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


# -- helpers

HELPER = """\
import os, sys, time
print("started", os.getpid(), file=sys.stderr, flush=True)
for line in sys.stdin:
    match line.split():
        case ["crash"]: os._exit(3)
        case ["sleep", seconds]: time.sleep(float(seconds))
        case ["half"]: print("half", end="", flush=True); os._exit(0)
    print("you said " + line.strip(), flush=True)
"""


class Bench:
    """A helper made of the module above."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "helper.log"
        self.helper = Helper("echo_helper", self.log)

    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("started")]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "echo_helper.py").write_text(HELPER)
    monkeypatch.setattr("transformation.helper._PACKAGE_PARENT", str(tmp_path))
    one = Bench(tmp_path)
    yield one
    one.helper.close()


def test_a_helper_answers_from_one_process(bench: Bench) -> None:
    bench.helper.warm_up()
    for word in (b"one", b"two"):
        assert bench.helper.ask(word, timeout_s=10.0) == b"you said " + word + b"\n"
    assert len(bench.pids()) == 1


@pytest.mark.parametrize("question", [b"crash", b"half"])
def test_a_helper_that_dies_is_started_again(bench: Bench, question: bytes) -> None:
    with pytest.raises(HelperFailed, match=r"echo_helper ended with .*helper\.log"):
        bench.helper.ask(question, timeout_s=10.0)
    assert bench.helper.ask(b"hello", timeout_s=10.0) == b"you said hello\n"
    assert len(bench.pids()) == 2


def test_a_silent_helper_is_ended(bench: Bench) -> None:
    bench.helper.ask(b"hello", timeout_s=10.0)
    began = time.monotonic()
    with pytest.raises(HelperFailed, match="gave no answer in 0 s"):
        bench.helper.ask(b"sleep 30", timeout_s=0.2)
    assert time.monotonic() - began < 2.0
    assert not alive(bench.pids()[0])
    assert bench.helper.ask(b"hello", timeout_s=10.0) == b"you said hello\n"


def test_closing_interrupts_a_question(bench: Bench) -> None:
    bench.helper.warm_up()
    bench.helper.ask(b"hello", timeout_s=10.0)
    timer = threading.Timer(0.2, bench.helper.close)
    timer.start()
    with pytest.raises(HelperFailed):
        bench.helper.ask(b"sleep 30", timeout_s=20.0)
    timer.join()
    assert not alive(bench.pids()[0])


def test_closing_twice_is_harmless(bench: Bench) -> None:
    bench.helper.close()
    bench.helper.ask(b"hello", timeout_s=10.0)
    bench.helper.close()
    bench.helper.close()
    assert not alive(bench.pids()[0])


def test_the_real_helper_answers(tmp_path: Path) -> None:
    helper = Helper("transformation.fits_facts", tmp_path / "log")
    try:
        answer = helper.ask(b'{"path":"/nowhere","is_image":true}', timeout_s=30.0)
    finally:
        helper.close()
    assert b"cannot be read: No such file" in answer
