"""Real processes that take too much, hang or hide, and what becomes of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from transformation import supervise
from transformation.disk_use import FolderMeter, taken_bytes
from transformation.limits import NO_LIMITS, Budget, EndedBy, Limits
from transformation.process import Command, Finished, Processes
from transformation.supervise import Running, Supervisor

pytestmark = pytest.mark.allow_processes

MB = 1_000_000
HOLD = "import sys, time; x = bytearray(b'x') * int(sys.argv[1]); open(sys.argv[2], 'w').close(); time.sleep(60)"


@pytest.fixture
def processes() -> Iterator[Processes]:
    one = Processes(look_s=0.05)
    yield one
    one.stop()
    one.close()


def command(folder: Path, *argv: str, limits: Limits = NO_LIMITS) -> Command:
    folder.mkdir(exist_ok=True)
    return Command(
        argv=argv, folder=folder, stdout=folder.parent / f"{folder.name}.out", stderr=folder.parent / "err",
        limits=limits, environment={"PATH": os.environ["PATH"]},
    )  # fmt: skip


def shell(folder: Path, script: str, limits: Limits = NO_LIMITS) -> Command:
    return command(folder, "/bin/sh", "-c", script, limits=limits)


def holding(folder: Path, size_mb: int) -> Command:
    """A process that takes so much memory and says so."""
    return command(folder, sys.executable, "-c", HOLD, str(size_mb * MB), "held")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Others:
    """Processes that run beside the test."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._threads: dict[str, threading.Thread] = {}
        self.finished: dict[str, Finished] = {}

    def start(self, command: Command) -> None:
        name = command.folder.name

        def run() -> None:
            self.finished[name] = self._processes.run(command)

        self._threads[name] = threading.Thread(target=run)
        self._threads[name].start()

    def end_of(self, name: str) -> Finished:
        self._threads[name].join(20.0)
        return self.finished[name]


@pytest.fixture
def others(processes: Processes) -> Iterator[Others]:
    one = Others(processes)
    yield one
    processes.stop()
    for thread in one._threads.values():
        thread.join(20.0)


# -- memory


def test_the_greediest_is_ended_and_the_others_go_on(processes: Processes, others: Others, tmp_path: Path) -> None:
    own_mb = 2 * supervise.memory_of(os.getpid()) // MB
    processes.supervisor.budget = Budget(memory_bytes=(own_mb + 300) * MB, part_bytes=100 * MB, scratch=tmp_path)
    others.start(holding(tmp_path / "modest", 60))
    wait_until((tmp_path / "modest/held").exists)
    others.start(holding(tmp_path / "greedy", own_mb + 300))
    finished = others.end_of("greedy")
    assert finished.ended_by is EndedBy.MEMORY
    assert not finished.alone
    assert finished.max_rss_bytes > 60 * MB
    assert "of the job's" in finished.remark
    assert "modest" not in others.finished
    assert processes.supervisor.most_memory_bytes > 120 * MB
    assert str(finished).startswith("stopped (the job's memory ran out) after ")


def test_memory_counts_for_all_that_a_process_has_started(processes: Processes, others: Others, tmp_path: Path) -> None:
    folder = tmp_path / "family"
    processes.supervisor.budget = Budget(memory_bytes=1 << 40, part_bytes=1 << 40, scratch=tmp_path)
    child = f'{sys.executable} -c "{HOLD}" {80 * MB}'
    others.start(shell(folder, f"{child} one & {child} two & wait"))
    wait_until(lambda: processes.supervisor.most_memory_bytes > supervise.memory_of(os.getpid()) + 160 * MB)
    processes.stop()
    assert others.end_of("family").max_rss_bytes > 160 * MB


def test_who_is_ended_for_memory_with_nobody_beside_it_was_alone(processes: Processes, tmp_path: Path) -> None:
    processes.supervisor.budget = Budget(memory_bytes=50 * MB, part_bytes=50 * MB, scratch=tmp_path)
    finished = processes.run(holding(tmp_path / "one", 100))
    assert (finished.ended_by, finished.alone) == (EndedBy.MEMORY, True)


# -- CPU, output, signs of life


def test_cpu_time_of_all_children_is_limited(processes: Processes, tmp_path: Path) -> None:
    burn = f"{sys.executable} -c 'while True: pass'"
    finished = processes.run(shell(tmp_path / "one", f"{burn} & {burn} & wait", Limits(cpu_s=0.8)))
    assert finished.ended_by is EndedBy.CPU_LIMIT
    assert finished.wall_s < 20.0


def test_a_log_that_grows_without_end(processes: Processes, tmp_path: Path) -> None:
    finished = processes.run(shell(tmp_path / "one", "yes", Limits(log_bytes=5 * MB)))
    assert finished.ended_by is EndedBy.LOG_LIMIT
    assert "it may print 5 MB" in finished.remark


def test_many_files_that_are_too_much_together(processes: Processes, tmp_path: Path) -> None:
    script = "n=0; while :; do n=$((n+1)); head -c 500000 /dev/zero > file$n; done"
    finished = processes.run(shell(tmp_path / "one", script, Limits(scratch_bytes=20 * MB)))
    assert finished.ended_by is EndedBy.SCRATCH_LIMIT
    assert taken_bytes(tmp_path / "one") > 20 * MB


def test_one_file_that_is_too_much_is_stopped_by_the_kernel_at_once(processes: Processes, tmp_path: Path) -> None:
    processes.supervisor._look_s = 30.0
    finished = processes.run(
        shell(tmp_path / "one", "sleep 0.3; exec cat /dev/zero > big", Limits(scratch_bytes=3 * MB))
    )
    assert finished.signal == signal.SIGXFSZ
    assert (tmp_path / "one/big").stat().st_size == 3 * MB


@pytest.mark.parametrize("how", ["kill -STOP $$", "trap '' TERM INT HUP; kill -STOP $$; sleep 60"])
def test_a_process_that_stops_itself_is_ended_as_hung(processes: Processes, tmp_path: Path, how: str) -> None:
    finished = processes.run(shell(tmp_path / "one", how, Limits(idle_s=0.5)))
    assert finished.ended_by is EndedBy.NO_CPU_TIME


def test_stop_ends_a_process_that_has_stopped_itself(processes: Processes, others: Others, tmp_path: Path) -> None:
    others.start(shell(tmp_path / "one", "touch there; kill -STOP $$; sleep 60"))
    wait_until((tmp_path / "one/there").exists)
    processes.stop()
    assert others.end_of("one").ended_by is EndedBy.STOP


# -- the disk


def test_the_one_with_the_most_work_files_is_ended_before_the_disk_is_full(
    processes: Processes, others: Others, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [100 * MB]
    monkeypatch.setattr(supervise, "free_bytes", lambda _folder: free[0])
    processes.supervisor.budget = Budget(
        memory_bytes=1 << 40, part_bytes=1 << 30, scratch=tmp_path, reserve_bytes=10 * MB
    )
    for name, size_mb in (("small", 1), ("large", 4)):
        others.start(shell(tmp_path / name, f"head -c {size_mb}000000 /dev/zero > file; touch written; sleep 60"))
        wait_until((tmp_path / name / "written").exists)
    free[0] = 9 * MB
    finished = others.end_of("large")
    assert (finished.ended_by, finished.alone) == (EndedBy.DISK, False)
    assert "9 MB free, 10 MB are kept in reserve" in finished.remark
    ticked = processes.supervisor._ticked
    wait_until(lambda: processes.supervisor._ticked > ticked + 0.3)
    assert "small" not in others.finished, "room is being made: nobody else has to go meanwhile"
    assert processes.supervisor.reason_to_wait() is EndedBy.DISK
    free[0] = 13 * MB
    assert processes.supervisor.reason_to_wait() is None


def test_the_jobs_share_of_scratch(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "inputs").write_bytes(b"x" * 3 * MB)
    processes.supervisor.budget = Budget(
        memory_bytes=1 << 40, part_bytes=1 << 40, scratch=tmp_path, scratch_bytes=8 * MB
    )
    finished = processes.run(shell(tmp_path / "one", "head -c 6000000 /dev/zero > file; sleep 60"))
    assert (finished.ended_by, finished.alone) == (EndedBy.SCRATCH, True)
    assert "may have 8 MB" in finished.remark


def test_what_folders_take_is_counted_without_following_links(tmp_path: Path) -> None:
    scratch, elsewhere = tmp_path / "scratch", tmp_path / "elsewhere"
    (scratch / "deep/er").mkdir(parents=True)
    elsewhere.mkdir()
    for file in (scratch / "deep/er/file", elsewhere / "file"):
        file.write_bytes(b"x" * MB)
    (scratch / "link").symlink_to(elsewhere)
    (scratch / "hole").touch()
    os.truncate(scratch / "hole", 1 << 40)
    assert MB <= taken_bytes(scratch) < MB + 100_000
    assert taken_bytes(tmp_path / "missing") == 0


def test_a_folder_is_counted_again_only_when_that_could_matter(tmp_path: Path) -> None:
    meter = FolderMeter(folder=tmp_path, rest_s=30.0, least_rest_s=2.0)
    assert meter.taken(0.0, free=100 * MB, enough=50 * MB) == 0
    (tmp_path / "file").write_bytes(b"x" * MB)
    assert meter.taken(29.0, free=60 * MB, enough=50 * MB) == 0, "even if all that vanished were the folder's"
    assert meter.taken(30.0, free=60 * MB, enough=50 * MB) >= MB
    (tmp_path / "more").write_bytes(b"x" * MB)
    assert meter.taken(31.0, free=5 * MB, enough=50 * MB) < 2 * MB, "not so soon"
    assert meter.taken(32.0, free=5 * MB, enough=50 * MB) >= 2 * MB


# -- time that counts for nobody


def test_time_in_which_we_stood_still_ourselves_is_forgiven(tmp_path: Path) -> None:
    supervisor = Supervisor(look_s=30.0)
    now = time.monotonic()
    one = Running(
        pid=1, word="", limits=Limits(wall_s=100.0), folder=tmp_path, logs=(), observer=None, begun=now, advanced=now
    )
    supervisor._running[1] = one
    supervisor._ticked = now
    supervisor._forgive_pause(now + 0.6)
    assert one.begun == now
    supervisor._forgive_pause(now + 7200.0)
    assert one.begun == pytest.approx(now + 7199, abs=1.0)
    assert one.advanced == one.begun


def test_finished_is_a_value() -> None:
    one = Finished(exit_status=0, signal=None, ended_by=EndedBy.ITSELF, wall_s=1.0, cpu_s=1.0, max_rss_bytes=1)
    assert one.good
    assert not replace(one, ended_by=EndedBy.MEMORY).good
