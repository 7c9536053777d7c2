"""The only place that starts simulator processes.

Rules of this file: a command is a list, never text for a shell; every process leads its own session, and whatever it
started is gone before its result is handed out (PhoSim's driver leaves writers behind when it is killed); a stop flag
ends everything at once; waiting costs nothing (a blocking wait a process, and the supervisor's one thread for all
limits).
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

import msgspec
from msgspec.structs import replace

from transformation.cgroup import Box, Boxes, BoxFacts, count_oom_kills, open_boxes
from transformation.family import COOKIE, end_family, end_strays, release, start_own
from transformation.helper import start_module
from transformation.limits import NO_LIMITS, Budget, EndedBy, Limits
from transformation.supervise import Observer, Running, Supervisor
from transformation.terminal import Terminal, open_terminal

_TERM_GRACE_S = 0.3
"""Between SIGTERM and SIGKILL: the simulators have nothing to save, and a pilot gives us three seconds in all."""
_LOOK_AGAIN_S = 0.01


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A process to run."""

    argv: tuple[str, ...]
    folder: Path
    """Working directory."""
    stdout: Path
    stderr: Path
    stdin: Path | None = None
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The whole environment of the process but for the job's own mark: nothing is inherited."""
    limits: Limits = NO_LIMITS
    observer: Observer | None = None
    """With it, stdout is a pseudo-terminal where there is one to be had, copied to the file `stdout`."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a process and of all it started."""

    exit_status: int | None
    """None if a signal ended it."""
    signal: int | None
    ended_by: EndedBy
    wall_s: float
    cpu_s: float
    max_rss_bytes: int
    """Of its largest process, or of all together when they were looked at, whichever is more."""
    remark: str = ""
    """What it had taken, if it was ended for that."""
    alone: bool = False
    """It was ended for what the job had left, although no other simulator process was there."""
    oom_killed: bool = False
    """The kernel says that it ended a process of it for memory."""
    oom_nearby: bool = False
    """The kernel says that it ended some process of the job for memory meanwhile."""

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


class Processes:
    """Runs processes for several threads and can stop them all."""

    def __init__(self, *, look_s: float = 30.0) -> None:
        """`look_s`: seconds between two looks at CPU time and memory."""
        self.supervisor = Supervisor(look_s=look_s)
        self._word = os.urandom(6).hex()
        self._numbers = count(1)
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._guardian: subprocess.Popen[bytes] | None = None
        self._guardian_log: Path | None = None
        self._boxes: Boxes | None = None
        self.n_started = 0
        """How many processes were started so far."""

    def prepare(self, budget: Budget, log: Path) -> None:
        """Before the first of a job's simulators: what all may take together, boxes where the node has any, and where
        the guardian writes that sees to their end if we are killed."""
        self.supervisor.budget = budget
        self._boxes = open_boxes()
        self._guardian_log = log

    @property
    def stopping(self) -> bool:
        """True once `stop` was called."""
        return self._stopping.is_set()

    @property
    def pulse(self) -> int:
        """Grows whenever a look finds that some process has used CPU time since the last."""
        return self.supervisor.pulse

    def run(self, command: Command) -> Finished:
        """Run to the end, or to a limit, or to `stop`; blocks. Raises `StartFailed`."""
        started, n_oom_kills = time.monotonic(), count_oom_kills()
        terminal = open_terminal() if command.observer else None
        try:
            with self._started(command, started, terminal) as (running, box):
                if terminal and command.observer:
                    terminal.let_go()
                    terminal.copy_until_over(running.pid, command.stdout, command.observer.printed)
                # Left unreaped until its family is gone: the number cannot be given to a stranger meanwhile.
                os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
                end_family(running.pid, running.word)
            if terminal and command.observer:
                terminal.copy_rest(command.stdout, command.observer.printed)
        finally:
            if terminal:
                terminal.close()
        facts = BoxFacts() if box is None else box.close()
        return replace(
            _reaped(running, time.monotonic() - started),
            oom_killed=facts.n_oom_kills > 0,
            oom_nearby=count_oom_kills() > n_oom_kills,
        )

    def stop(self) -> None:
        """End every process now and let none start; returns when their signals are sent."""
        self._stopping.set()
        with self._starting:  # one that is being started now is seen by the next line
            pass
        if self.supervisor.end_all(signal.SIGTERM):
            end = time.monotonic() + _TERM_GRACE_S
            while not self.supervisor.is_idle and time.monotonic() < end:
                time.sleep(_LOOK_AGAIN_S)
            self.supervisor.end_all(signal.SIGKILL)

    def close(self) -> None:
        """Let watchdog and guardian end, and whatever simulators have left."""
        self.supervisor.close()
        end_strays()
        if self._boxes is not None:
            self._boxes.close()
        self._dismiss_guardian()

    @contextmanager
    def _started(self, command: Command, now: float, terminal: Terminal | None) -> Iterator[tuple[Running, Box | None]]:
        """Start the process; `stop` and the watchdog see it until the block ends."""
        with self._starting:
            if self.stopping:
                raise StartFailed("the job is stopping")
            self._ensure_guardian()
            word = f"{self._word}-{next(self._numbers)}"
            pid = _spawn(command, terminal, word)
            self.n_started += 1
            running = Running(
                pid=pid, word=word, limits=command.limits, folder=command.folder,
                logs=(command.stdout, command.stderr), observer=command.observer, begun=now, advanced=now,
            )  # fmt: skip
            self.supervisor.enter(running)
        budget = self.supervisor.budget
        box = self._boxes.open(budget.memory_bytes) if self._boxes and budget else None
        if box is not None:
            box.put(pid)
        try:
            yield running, box
        finally:
            self.supervisor.leave(running)

    def _ensure_guardian(self) -> None:
        """Have it before there is anything to guard; nobody waits for its imports: its pipe tells it all it must know.

        A node that is short of memory may have ended it, so it is looked after at each start.
        """
        if self._guardian_log is None or (self._guardian is not None and self._guardian.poll() is None):
            return
        self._dismiss_guardian()
        try:
            words = (self._word, str(os.getpid()))
            self._guardian = start_module("transformation.guardian", self._guardian_log, arguments=words)
        except OSError as error:
            raise StartFailed(f"the guardian cannot be started: {error.strerror}") from None

    def _dismiss_guardian(self) -> None:
        if self._guardian is not None:
            guardian, self._guardian = self._guardian, None
            guardian.kill()
            guardian.communicate()
            release(guardian.pid)


def _reaped(running: Running, wall_s: float) -> Finished:
    """Wait for the leader, whose family is gone."""
    _, status, usage = os.wait4(running.pid, 0)
    release(running.pid)
    code = os.waitstatus_to_exitcode(status)
    return Finished(
        exit_status=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        ended_by=running.ended_by,
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        # Linux counts ru_maxrss in units of 1024 bytes.
        max_rss_bytes=max(usage.ru_maxrss * 1024, running.usage.most_memory_bytes),
        remark=running.remark,
        alone=running.alone,
    )


def _spawn(command: Command, terminal: Terminal | None, word: str) -> int:
    """Start the program as leader of a new session; its standard streams are files, or a terminal of its own."""
    if shutil.which(command.argv[0], path=command.environment.get("PATH")) is None:
        raise StartFailed(f"{command.argv[0]} is not there or not executable")
    with (
        (command.stdin or Path(os.devnull)).open("rb") as stdin,
        command.stdout.open("ab") as stdout,
        command.stderr.open("ab") as stderr,
    ):
        try:
            process = start_own(
                lambda: subprocess.Popen(
                    (*_die_with_us(), *command.argv),
                    cwd=command.folder,
                    env={**command.environment, COOKIE: word},
                    stdin=stdin,
                    stdout=terminal.process_end if terminal else stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            )
        except OSError as error:
            raise StartFailed(f"{command.argv[0]} cannot be started: {error.strerror}") from None
    # The thread that called `run` reaps it with wait4, which also tells CPU time and peak memory.
    process.returncode = 0
    _limit_by_kernel(process.pid, command.limits)
    return process.pid


def forbid_core_files() -> None:
    """None of this process, nor of any that it starts from now on, whatever our caller allows."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def _limit_by_kernel(pid: int, limits: Limits) -> None:
    """No core file, however it dies, and no file larger than its scratch may be."""
    bounds = {resource.RLIMIT_CORE: 0}
    if limits.scratch_bytes is not None:
        bounds[resource.RLIMIT_FSIZE] = limits.scratch_bytes
    for kind, most in bounds.items():
        with suppress(ProcessLookupError, PermissionError, ValueError):  # over already; or our own limit is lower
            resource.prlimit(pid, kind, (most, most))


@cache
def _die_with_us() -> tuple[str, ...]:
    """Prefix of a command that lets the kernel kill the process when we are killed (`setpriv` of util-linux).

    The guardian does so too, for all that the process has started; but it needs a moment, and may be killed itself.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
