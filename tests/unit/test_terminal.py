"""Lines of a process as it prints them, and its CPU time as the sign of life; with real processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from transformation import process
from transformation.limits import EndedBy, Limits
from transformation.process import Command, Processes
from transformation.terminal import open_terminal

pytestmark = pytest.mark.allow_processes

BUFFERED = "import sys, time\nfor n in range(3): print('line', n); time.sleep(0.4)\n"
"""Python, like C, prints in blocks unless stdout is a terminal."""


@dataclass(slots=True)
class Notes:
    """An observer that writes down what it is told, and when."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def printed(self, text: bytes) -> None:
        self.pieces.append((time.monotonic(), text))

    def used(self, cpu_s: float) -> None:
        self.cpu_s.append(cpu_s)


@pytest.fixture
def processes() -> Iterator[Processes]:
    one = Processes(look_s=0.05)
    yield one
    one.stop()
    one.close()


def python(folder: Path, code: str, notes: Notes | None = None, idle_limit_s: float | None = None) -> Command:
    return Command(
        argv=(sys.executable, "-c", code), folder=folder, stdout=folder / "out", stderr=folder / "err",
        environment={"PATH": os.environ["PATH"]}, observer=notes, limits=Limits(idle_s=idle_limit_s),
    )  # fmt: skip


def test_lines_arrive_as_they_are_printed(tmp_path: Path, processes: Processes) -> None:
    notes = Notes()
    assert processes.run(python(tmp_path, BUFFERED, notes)).good
    assert b"".join(text for _, text in notes.pieces) == b"line 0\nline 1\nline 2\n"
    assert (tmp_path / "out").read_bytes() == b"line 0\nline 1\nline 2\n"
    times = [when for when, _ in notes.pieces]
    assert times[-1] - times[0] > 0.6, "all of it came at the end"


def test_large_output_is_whole_and_unchanged(tmp_path: Path, processes: Processes) -> None:
    notes = Notes()
    code = "import sys\nfor n in range(20000): sys.stdout.buffer.write(b'%d\\r\\n\\t\\x00\\x04\\xff\\n' % n)\n"
    assert processes.run(python(tmp_path, code, notes)).good
    expected = b"".join(b"%d\r\n\t\x00\x04\xff\n" % number for number in range(20000))
    assert (tmp_path / "out").read_bytes() == expected
    assert b"".join(text for _, text in notes.pieces) == expected


def test_without_a_terminal_to_be_had_output_goes_to_the_file(
    tmp_path: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "open_terminal", lambda: None)
    notes = Notes()
    assert processes.run(python(tmp_path, BUFFERED, notes)).good
    assert (tmp_path / "out").read_text() == "line 0\nline 1\nline 2\n"
    assert notes.pieces == []


def test_no_terminal_where_none_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[int, int]:
        raise OSError("out of pty devices")

    monkeypatch.setattr(os, "openpty", refuse)
    assert open_terminal() is None


def test_a_process_on_a_terminal_dies_of_signals_as_any_other(tmp_path: Path, processes: Processes) -> None:
    finished = processes.run(python(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", Notes()))
    assert (finished.exit_status, finished.signal) == (None, 11)
    # It leads its own session and has no controlling terminal: nothing hangs it up.
    assert processes.run(python(tmp_path, "open('/dev/tty')", Notes())).exit_status == 1


def test_who_keeps_the_terminal_open_after_the_end_does_not_hold_us_up(tmp_path: Path, processes: Processes) -> None:
    code = "import subprocess; subprocess.Popen(['setsid', 'sleep', '3']); print('done')"
    begun = time.monotonic()
    notes = Notes()
    assert processes.run(python(tmp_path, code, notes)).good
    assert time.monotonic() - begun < 2.5
    assert b"".join(text for _, text in notes.pieces) == b"done\n"


def test_a_full_log_disk_does_not_hold_the_process_up(tmp_path: Path, processes: Processes) -> None:
    notes = Notes()
    command = python(tmp_path, BUFFERED, notes)
    (tmp_path / "out").symlink_to("/dev/full")
    assert processes.run(command).good
    assert b"".join(text for _, text in notes.pieces).count(b"\n") == 3


def test_no_descriptor_stays_open(tmp_path: Path, processes: Processes) -> None:
    processes.run(python(tmp_path, "print()", Notes()))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        processes.run(python(tmp_path, "print()", Notes()))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_cpu_time_of_the_whole_tree_is_seen(tmp_path: Path, processes: Processes) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    notes = Notes()
    processes.run(python(tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])", notes))
    assert processes.pulse >= 2
    assert notes.cpu_s == sorted(notes.cpu_s)
    assert notes.cpu_s[-1] > 0.2


def test_a_process_that_uses_no_cpu_time_is_ended_as_hung(tmp_path: Path, processes: Processes) -> None:
    finished = processes.run(python(tmp_path, "import time; time.sleep(60)", Notes(), idle_limit_s=0.6))
    assert finished.ended_by is EndedBy.NO_CPU_TIME
    assert finished.wall_s < 20
    pulse = processes.pulse
    processes.run(python(tmp_path, "import time; time.sleep(60)", Notes(), idle_limit_s=0.4))
    assert processes.pulse - pulse <= 4, "no sign of life but that of its start"


def test_a_process_that_works_on_is_not_hung(tmp_path: Path, processes: Processes) -> None:
    code = "import time\nwhile time.process_time() < 1.5: pass"
    assert processes.run(python(tmp_path, code, Notes(), idle_limit_s=0.8)).good
