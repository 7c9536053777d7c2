"""Watches all simulator processes of a job at once: one thread, which sleeps nearly always.

Twice a second it compares wall times, sizes of logs and the free disk: some system calls. Every `look_s` seconds it
reads the process table once for CPU time and memory, and the sizes of work folders; sooner after a start, when memory
grows, and when what it saw could reach the job's share before the next look. Whoever passes a limit is killed; what the
limits are and who is greediest is decided in `limits`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from transformation.disk_use import FolderMeter, free_bytes, size_of, taken_bytes
from transformation.family import families, reap_adopted, signal_group
from transformation.limits import (
    Budget,
    EndedBy,
    Limits,
    Passed,
    Usage,
    Victim,
    out_of_memory,
    out_of_scratch,
    passed,
    reason_to_wait,
    seconds_to_next_look,
)
from transformation.proc_table import Table, memory_of, read_table

_TICK_S = 0.5
_FIRST_LOOK_S = 1.0
"""After a start; the gap doubles from look to look."""
_STOOD_STILL_S = 5.0
"""A tick that comes so late: the machine, or all of us, was stopped meanwhile."""
_ROOM_MADE_S = 10.0
"""What one that was ended for its work files leaves is removed by then; only then another one has to go."""
_LEAST_REST_S = 2.0
"""Between two counts of everything in the scratch folder."""


class Observer(Protocol):
    """Is told how a process goes on; from several threads."""

    def printed(self, text: bytes) -> None:
        """A piece of its stdout."""

    def used(self, cpu_s: float) -> None:
        """CPU seconds of the process and of all it started, now and then."""


class Running(msgspec.Struct, kw_only=True):
    """A simulator process under way."""

    pid: int
    """Also the id of its session and process group."""
    word: str
    """In the environment of all it starts."""
    limits: Limits
    folder: Path
    logs: tuple[Path, ...]
    observer: Observer | None
    begun: float
    """`time.monotonic`, as the next."""
    advanced: float
    """When CPU time was last seen to grow."""
    usage: Usage = msgspec.field(default_factory=Usage)
    ended_by: EndedBy = EndedBy.ITSELF
    remark: str = ""
    alone: bool = False
    """No other one was there when it was ended."""


class Supervisor:
    """Of all simulator processes of a job."""

    def __init__(self, *, look_s: float) -> None:
        self._look_s = look_s
        self._lock = threading.Lock()
        self._running: dict[int, Running] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._meter: FolderMeter | None = None
        self._ticked = self._looked = time.monotonic()
        self._next_look = self._gap_s = look_s
        self._room_made = 0.0
        self._total_bytes = self._own_bytes = 0
        self.budget: Budget | None = None
        """To be set before the first process starts, if there is one."""
        self.pulse = 0
        """Grows whenever a look finds that some process has used CPU time since the last."""
        self.most_memory_bytes = 0
        """Of the whole job, `lsst-trf` included, at any look."""

    # -- for those who start and end processes

    def enter(self, running: Running) -> None:
        """A process has started."""
        with self._lock:
            self._running[running.pid] = running
            self._gap_s = min(_FIRST_LOOK_S, self._look_s)
            self._next_look = time.monotonic() + self._gap_s
            if self._thread is None:
                self._ticked = self._looked = time.monotonic()
                self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)
                self._thread.start()

    def leave(self, running: Running) -> None:
        """It is over."""
        with self._lock:
            self._running.pop(running.pid, None)

    def end_all(self, number: int) -> bool:
        """Send a signal to all; whether there was any."""
        with self._lock:
            for one in self._running.values():
                one.ended_by = EndedBy.STOP
                signal_group(one.pid, number)
            return bool(self._running)

    @property
    def is_idle(self) -> bool:
        """True if no process is under way."""
        with self._lock:
            return not self._running

    def close(self) -> None:
        """Let the thread end."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def n_running(self) -> int:
        """Processes that are under way."""
        return len(self._running)

    def reason_to_wait(self) -> EndedBy | None:
        """Why no further process should begin now; None if one may."""
        budget = self.budget
        if budget is None:
            return None
        with self._lock:
            usages = {pid: one.usage for pid, one in self._running.items()}
        free = free_bytes(budget.scratch)
        return reason_to_wait(budget, usages, taken_bytes=self._taken(budget, free), free_bytes=free)

    def memory_in_words(self) -> str:
        """At the last look."""
        most = "no limit" if self.budget is None else f"{self.budget.memory_bytes / 1e6:,.0f} MB"
        return f"{self._total_bytes / 1e6:,.0f} of {most} of memory"

    def scratch_in_words(self) -> str:
        """Now."""
        budget = self.budget
        if budget is None:
            return ""
        needed = f"{budget.unit_scratch_bytes / 1e6:,.0f} MB are needed for a unit"
        if budget.scratch_bytes is not None:
            taken = taken_bytes(budget.scratch)
            return f"{budget.scratch} holds {taken / 1e6:,.0f} of {budget.scratch_bytes / 1e6:,.0f} MB, {needed}"
        free = f"{budget.scratch} has {free_bytes(budget.scratch) / 1e6:,.0f} MB free"
        return f"{free}, {needed} and {budget.reserve_bytes / 1e6:,.0f} MB kept in reserve"

    # -- the thread

    def _work(self) -> None:
        while not self._closing.wait(min(_TICK_S, self._look_s)):
            now = time.monotonic()
            self._forgive_pause(now)
            with self._lock:
                running = dict(self._running)
            with suppress(OSError):  # of a machine that is out of something: the next look may be luckier
                if now >= self._next_look:
                    self._look(running, now)
                for one in running.values():
                    one.usage.log_bytes = max(map(size_of, one.logs), default=0)
                self._watch_disk(running, now)
            self._enforce(running, now)

    def _forgive_pause(self, now: float) -> None:
        """Time in which nothing moved, we neither, counts for nobody: a batch system may suspend a job for hours."""
        late_s = now - self._ticked - _TICK_S
        self._ticked = now
        if late_s > _STOOD_STILL_S:
            with self._lock:
                for one in self._running.values():
                    one.begun += late_s
                    one.advanced += late_s

    def _look(self, running: dict[int, Running], now: float) -> None:
        """CPU time, which is the only sign of life that proves any, memory and work folders."""
        table = read_table()
        self._measure(running, table, now)
        before, past_s = self._total_bytes, now - self._looked
        self._own_bytes = memory_of(os.getpid()) + _memory_of_helpers(table, running)
        self._total_bytes = self._own_bytes + sum(one.usage.memory_bytes for one in running.values())
        self.most_memory_bytes = max(self.most_memory_bytes, self._total_bytes)
        self._looked = now
        self._gap_s = min(2 * self._gap_s, self._look_s)
        wait_s = seconds_to_next_look(self.budget, self._total_bytes, before, past_s, self._gap_s)
        self._next_look = now + wait_s
        if self.budget is not None:
            usages = _usages(running)
            self._end(running, out_of_memory(self.budget, usages, own_bytes=self._own_bytes))
        reap_adopted()

    def _measure(self, running: dict[int, Running], table: Table, now: float) -> None:
        found = families(table, {pid: one.word for pid, one in running.items()})
        advanced = False
        for pid, one in running.items():
            usage, members = one.usage, found[pid]
            cpu_s = sum(member.cpu_s for member in members)
            usage.memory_bytes = sum(memory_of(member.pid) for member in members)
            usage.most_memory_bytes = max(usage.most_memory_bytes, usage.memory_bytes)
            if one.limits.scratch_bytes is not None:
                usage.scratch_bytes = taken_bytes(one.folder)
            if cpu_s > usage.cpu_s:
                usage.cpu_s, one.advanced, advanced = cpu_s, now, True
                if one.observer:
                    one.observer.used(cpu_s)
        self.pulse += advanced

    def _watch_disk(self, running: dict[int, Running], now: float) -> None:
        budget = self.budget
        if budget is None or now < self._room_made:
            return
        free = free_bytes(budget.scratch)
        taken = self._taken(budget, free)
        usages = _usages(running)
        victim = out_of_scratch(budget, usages, taken_bytes=taken, free_bytes=free)
        if victim is not None:
            for one in running.values():
                one.usage.scratch_bytes = taken_bytes(one.folder)
            victim = out_of_scratch(budget, usages, taken_bytes=taken, free_bytes=free)
        if victim is not None:
            self._room_made = now + _ROOM_MADE_S
        self._end(running, victim)

    def _taken(self, budget: Budget, free: int) -> int:
        """What the job has in its scratch folder, as far as that matters."""
        if budget.scratch_bytes is None:
            return 0
        if self._meter is None:
            rest_s = min(_LEAST_REST_S, self._look_s)
            self._meter = FolderMeter(folder=budget.scratch, rest_s=self._look_s, least_rest_s=rest_s)
        enough = budget.scratch_bytes - budget.unit_scratch_bytes
        return self._meter.taken(time.monotonic(), free=free, enough=enough)

    def _end(self, running: dict[int, Running], victim: Victim | None) -> None:
        if victim is not None:
            one = running[victim.pid]
            one.alone = len(running) == 1
            self._kill(one, victim.why)

    def _enforce(self, running: dict[int, Running], now: float) -> None:
        for one in running.values():
            why = passed(one.limits, one.usage, lived_s=now - one.begun, idle_s=now - one.advanced)
            if why is not None:
                self._kill(one, why)

    def _kill(self, one: Running, why: Passed) -> None:
        with self._lock:
            if one.pid not in self._running:
                return  # over meanwhile: its number may be somebody else's
            # A second look at the same process must not say "wall limit" of one that `stop` has ended.
            if one.ended_by is EndedBy.ITSELF:
                one.ended_by, one.remark = why.ended_by, why.remark
            signal_group(one.pid, signal.SIGKILL)


def _usages(running: dict[int, Running]) -> dict[int, Usage]:
    """Of those that nobody has ended yet."""
    return {pid: one.usage for pid, one in running.items() if one.ended_by is EndedBy.ITSELF}


def _memory_of_helpers(table: Table, running: dict[int, Running]) -> int:
    own = os.getpid()
    return sum(memory_of(one.pid) for one in table.values() if one.parent == own and one.pid not in running)
