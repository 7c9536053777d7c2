"""The only place that starts processes.

Rules of this file: a command is a list, never text for a shell; every process leads its own session, and whatever it
started is gone before its result is handed out (PhoSim's driver leaves writers behind when it is killed); a stop flag
ends everything at once; waiting costs nothing (a blocking wait a process, one watchdog thread for all limits, which
looks at CPU times twice a minute).
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Protocol

from transformation.sessions import cpu_of_sessions, end_session, signal_group
from transformation.terminal import Terminal, open_terminal

_TERM_GRACE_S = 0.3
"""Between SIGTERM and SIGKILL: the simulators have nothing to save, and a pilot gives us three seconds in all."""
_TICK_S = 0.5
_PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)
"""Lets a helper find this package, installed or not."""


class EndedBy(StrEnum):
    """Why a process is over."""

    ITSELF = "itself"
    WALL_LIMIT = "wall limit"
    NO_CPU_TIME = "no CPU time used"
    STOP = "stop"


class Observer(Protocol):
    """Is told how a process goes on; from several threads."""

    def printed(self, text: bytes) -> None:
        """A piece of its stdout."""

    def used(self, cpu_s: float) -> None:
        """CPU seconds of the process and of all it started, now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A process to run."""

    argv: tuple[str, ...]
    folder: Path
    """Working directory."""
    stdout: Path
    stderr: Path
    stdin: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """The whole environment of the process, nothing is inherited."""
    wall_limit_s: float | None = None
    idle_limit_s: float | None = None
    """After so long without any CPU time used, it counts as hung."""
    observer: Observer | None = None
    """With it, stdout is a pseudo-terminal where there is one to be had, copied to the file `stdout`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What became of a process and of all it started."""

    exit_status: int | None
    """None if a signal ended it."""
    signal: int | None
    ended_by: EndedBy
    wall_s: float
    cpu_s: float
    max_rss_bytes: int

    @property
    def good(self) -> bool:
        """True if it ended by itself with status 0 (which with PhoSim proves little)."""
        return self.ended_by is EndedBy.ITSELF and self.exit_status == 0

    def __str__(self) -> str:
        if self.ended_by is not EndedBy.ITSELF:
            return f"stopped ({self.ended_by}) after {self.wall_s:.1f} s"
        if self.signal is not None:
            return f"killed by {_signal_name(self.signal)} after {self.wall_s:.1f} s"
        return f"exit status {self.exit_status} after {self.wall_s:.1f} s"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


class StartFailed(Exception):
    """The program could not be started at all; `str()` says which and why."""


@dataclass(slots=True, kw_only=True)
class _Running:
    pid: int
    """Also the id of its session and process group."""
    command: Command
    begun: float
    """`time.monotonic`, as the next."""
    advanced: float
    """When CPU time was last seen to grow."""
    cpu_s: float = 0.0
    """When last looked at."""
    ended_by: EndedBy = EndedBy.ITSELF

    def limit_passed(self, now: float) -> EndedBy | None:
        """The limit that it has passed, if any."""
        wall_s, idle_s = self.command.wall_limit_s, self.command.idle_limit_s
        if wall_s is not None and now > self.begun + wall_s:
            return EndedBy.WALL_LIMIT
        return EndedBy.NO_CPU_TIME if idle_s is not None and now > self.advanced + idle_s else None


class Processes:
    """Runs processes for several threads and can stop them all."""

    def __init__(self, *, look_s: float = 30.0) -> None:
        """`look_s`: seconds between two looks at CPU times."""
        self._look_s = look_s
        self.pulse = 0
        """Grows whenever a look finds that some process has used CPU time since the last."""
        self._lock = threading.Lock()
        self._running: dict[int, _Running] = {}
        self._stopping = threading.Event()
        self._closing = threading.Event()
        self._watchdog: threading.Thread | None = None
        self.n_started = 0
        """How many processes were started so far."""

    @property
    def stopping(self) -> bool:
        """True once `stop` was called."""
        return self._stopping.is_set()

    def run(self, command: Command) -> Finished:
        """Run to the end, or to a limit, or to `stop`; blocks. Raises `StartFailed`."""
        started = time.monotonic()
        terminal = open_terminal() if command.observer else None
        try:
            with self._started(command, started, terminal) as running:
                if terminal and command.observer:
                    terminal.let_go()
                    terminal.copy_until_over(running.pid, command.stdout, command.observer.printed)
                # Left unreaped until its session is empty: the number cannot be given to a stranger meanwhile.
                os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
                end_session(running.pid)
            if terminal and command.observer:
                terminal.copy_rest(command.stdout, command.observer.printed)
        finally:
            if terminal:
                terminal.close()
        _, status, usage = os.wait4(running.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return Finished(
            exit_status=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            ended_by=running.ended_by,
            wall_s=time.monotonic() - started,
            cpu_s=usage.ru_utime + usage.ru_stime,
            # Linux counts ru_maxrss in units of 1024 bytes.
            max_rss_bytes=usage.ru_maxrss * 1024,
        )

    def stop(self) -> None:
        """End every process now and let none start; returns when their signals are sent."""
        self._stopping.set()
        if self._end_all(signal.SIGTERM):
            time.sleep(_TERM_GRACE_S)
            self._end_all(signal.SIGKILL)

    def _end_all(self, number: int) -> bool:
        with self._lock:
            for one in self._running.values():
                one.ended_by = EndedBy.STOP
                signal_group(one.pid, number)
            return bool(self._running)

    def close(self) -> None:
        """Let the watchdog end."""
        self._closing.set()
        if self._watchdog is not None:
            self._watchdog.join()

    @contextmanager
    def _started(self, command: Command, now: float, terminal: Terminal | None) -> Iterator[_Running]:
        """Start the process; `stop` and the watchdog see it until the block ends."""
        with self._lock:
            if self.stopping:
                raise StartFailed("the job is stopping")
            pid = _spawn(command, terminal)
            running = _Running(pid=pid, command=command, begun=now, advanced=now)
            self._running[pid] = running
            self.n_started += 1
            self._watch()
        try:
            yield running
        finally:
            with self._lock:
                del self._running[pid]

    def _watch(self) -> None:
        if self._watchdog is None:
            self._watchdog = threading.Thread(target=self._enforce_limits, name="watchdog", daemon=True)
            self._watchdog.start()

    def _enforce_limits(self) -> None:
        next_look = time.monotonic() + self._look_s
        while not self._closing.wait(min(_TICK_S, self._look_s)):
            now = time.monotonic()
            if now >= next_look:
                self._look(now)
                next_look = now + self._look_s
            with self._lock:
                for one in self._running.values():
                    passed = one.limit_passed(now)
                    # A second look at the same process must not say "wall limit" of one that `stop` has ended.
                    if passed is not None and one.ended_by is EndedBy.ITSELF:
                        one.ended_by = passed
                    if passed is not None:
                        signal_group(one.pid, signal.SIGKILL)

    def _look(self, now: float) -> None:
        """Note which processes have used CPU time since the last look: the only sign of life that proves any."""
        with self._lock:
            running = list(self._running.values())
        used_s = cpu_of_sessions({one.pid for one in running})
        advanced = [one for one in running if used_s.get(one.pid, 0.0) > one.cpu_s]
        for one in running:
            one.cpu_s = used_s.get(one.pid, one.cpu_s)
        for one in advanced:
            one.advanced = now
            if one.command.observer:
                one.command.observer.used(one.cpu_s)
        if advanced:
            self.pulse += 1


def _spawn(command: Command, terminal: Terminal | None) -> int:
    """Start the program as leader of a new session; its standard streams are files, or a terminal of its own."""
    if shutil.which(command.argv[0], path=command.environment.get("PATH")) is None:
        raise StartFailed(f"{command.argv[0]} is not there or not executable")
    with (
        (command.stdin or Path(os.devnull)).open("rb") as stdin,
        command.stdout.open("ab") as stdout,
        command.stderr.open("ab") as stderr,
    ):
        try:
            process = subprocess.Popen(
                (*_die_with_us(), *command.argv),
                cwd=command.folder,
                env=dict(command.environment),
                stdin=stdin,
                stdout=terminal.process_end if terminal else stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            raise StartFailed(f"{command.argv[0]} cannot be started: {error.strerror}") from None
    # The thread that called `run` reaps it with wait4, which also tells CPU time and peak memory.
    process.returncode = 0
    return process.pid


@cache
def _die_with_us() -> tuple[str, ...]:
    """Prefix of a command that lets the kernel kill the process when we are killed (`setpriv` of util-linux).

    Nothing else can: after SIGKILL there is nobody left to tidy up, and a batch system may not do it either.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


class HelperFailed(Exception):
    """A helper process did not answer; `str()` says how it ended."""


class Helper:
    """One of our own modules in a child process that answers a line with a line.

    Started at the first question and again after a failure; ends when its stdin is closed, also if we are killed.
    """

    def __init__(self, module: str, log: Path) -> None:
        self._module = module
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def warm_up(self) -> None:
        """Start the process, so that the first answer does not wait for its imports."""
        self._ensure()

    def ask(self, question: bytes, *, timeout_s: float) -> bytes:
        """The answer to one line; raises `HelperFailed`, after which the next question finds a new process."""
        process = self._ensure()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question + b"\n")
            process.stdin.flush()
            silent = not select.select([process.stdout], [], [], timeout_s)[0]
            answer = b"" if silent else process.stdout.readline()
        except (OSError, ValueError):  # ValueError: `close` was called meanwhile
            answer, silent = b"", False
        if not answer.endswith(b"\n"):
            self.close()
            ended = f"gave no answer in {timeout_s:.0f} s" if silent else f"ended with {process.returncode}"
            raise HelperFailed(f"-m {self._module} {ended}, see {self._log}")
        return answer

    def close(self) -> None:
        """End the process; safe to call from another thread to interrupt `ask`."""
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):
                    if stream is not None:
                        stream.close()

    def _ensure(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = start_module(self._module, self._log)
        return self._process


def start_module(module: str, log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """One of our own modules in a child process with pipes at stdin and stdout; it has to end when stdin is closed.

    It inherits our environment, credentials included, and gets `environment` on top.
    """
    with log.open("ab") as stderr:
        return subprocess.Popen(
            (sys.executable, "-m", module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            # A signal to our process group is ours to answer; the child ends when we close its stdin.
            start_new_session=True,
            env={**os.environ, **(environment or {}), "PYTHONPATH": _PACKAGE_PARENT},
        )
