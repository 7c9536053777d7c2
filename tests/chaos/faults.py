"""Everything that can go wrong, one generator each.

A fault runs up to its first `yield` before an attempt starts, up to the second at a moment drawn at random while the
attempt runs, and to its end once the attempt is over: then all must be as it was. If the attempt ends before its moment
comes it is closed at the first `yield`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.world import World
from tests.servers.faulty_proxy import Fault as HttpFault
from tests.servers.faulty_proxy import dribble, lost_answer, only, status

Steps = Generator[None, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    """Class in the campaign's table."""
    name: str
    run: Callable[[World], Steps]
    codes: frozenset[str] = frozenset()
    """How an attempt that meets it may end, beside OK and PARTIAL."""
    needs: frozenset[str] = frozenset()
    """`root`, `rucio`, `sqlite`, `remote catalog`, `disk`, `clock`."""
    stage: str = ""
    """The simulator's stage that does something else, if it is one."""
    ends_wrapper: bool = False
    """The attempt itself is killed: it owes no report."""


# -- the simulator

_DAMAGED = {"OUTPUT_DAMAGED", "SIMULATOR_CRASHED"}
"""Where amplifiers are wanted, e2adc reads the image before the judge does, and fails."""
_IMAGE_FAULTS = {
    "crash": ("simulator crash", "kill -SEGV $$", {"SIMULATOR_CRASHED"}),
    "error": ("simulator crash", "echo 'no such table' >&2; exit 1", {"SIMULATOR_CRASHED"}),
    "error after good images": ("simulator crash", "real; exit 1", {"SIMULATOR_CRASHED"}),
    "killed": ("simulator SIGKILL", "kill -KILL $$", {"SIMULATOR_KILLED", "OUT_OF_MEMORY"}),
    "stopped": ("simulator SIGSTOP", "kill -STOP $$", {"SIMULATOR_HUNG"}),
    "sleeps": ("simulator hang", "sleep 300", {"SIMULATOR_HUNG"}),
    "spins": ("simulator hang", "while :; do :; done", {"SIMULATOR_HUNG"}),
    "exits 0 without images": ("exit-0 failure", "exit 0", {"OUTPUT_MISSING"}),
    "another exposure": ("exit-0 failure", "real; mv $image another_E009.fits.gz", {"OUTPUT_MISSING"}),
    "garbage": ("garbage image", "real; echo 'not an image' > $image", _DAMAGED),
    "another seed": ("garbage image", "real; doctor card SEED 99 $image", {"OUTPUT_WRONG"}),
    "truncated": ("truncated image", "real; truncate -s 3000 $image", _DAMAGED),
    "last bytes lost": ("truncated image", "real; truncate -s -9 $image", _DAMAGED),
    "zero": ("zero image", "real; doctor zero $image", {"IMAGE_ALL_ZERO"}),
    "eats memory": (
        "memory exhaustion",
        "python3 -c 'import time; b = bytearray(1500 << 20); time.sleep(4)'; real",
        {"OUT_OF_MEMORY", "MEMORY_SHORT", "PARTIAL_MORE_RESOURCES"},
    ),
    "leaves an orphan": ("simulator orphan", "setsid sleep 300 & real", set()),
}


def _of_raytrace(name: str, kind: str, action: str, codes: set[str]) -> Fault:
    def run(world: World) -> Steps:
        # Either the first try of each unit fails, or every try of one: the first is cured within the job.
        unit = world.draw.choice(["*S10-E000*", "*S11-E00*"])
        condition = world.draw.choice(['test "$attempt" = attempt-1', f"case $unit in {unit}) :;; *) false;; esac"])
        yield from _switched(world, "raytrace", f"if {condition}; then {action}; else real; fi")

    return Fault(kind=kind, name=name, run=run, codes=frozenset({*codes, "BAD_WORKER"}), stage="raytrace")


def _of_stage(stage: str, name: str, action: str) -> Fault:
    def run(world: World) -> Steps:
        yield from _switched(world, stage, action)

    codes = {"SET_UP_FAILED", "SIMULATOR_CRASHED", "SIMULATOR_KILLED", "OUTPUT_MISSING", "BAD_WORKER"}
    return Fault(kind="set-up failure", name=f"{stage} {name}", run=run, codes=frozenset(codes), stage=stage)


def _switched(world: World, stage: str, script: str) -> Steps:
    """Have a stage do something else for an attempt."""
    switch = world.notes / f"{stage}.fault"
    switch.write_text(f"{script}\n")
    try:
        yield
        yield
    finally:
        switch.unlink()


# -- storage


def _server_killed(world: World) -> Steps:
    yield
    world.services.xrootd.kill()
    yield
    world.services.xrootd.start()


def _server_restarted(world: World) -> Steps:
    yield
    world.services.xrootd.restart()
    yield


def _server_away(world: World) -> Steps:
    world.services.xrootd.stop()
    try:
        yield
        yield
    finally:
        world.services.xrootd.start()


def _server_frozen(world: World) -> Steps:
    yield
    world.services.xrootd.freeze()
    yield
    world.services.xrootd.thaw()


def _server_frozen_a_while(world: World) -> Steps:
    yield
    world.services.xrootd.freeze()
    time.sleep(1.5)
    world.services.xrootd.thaw()
    yield


def _line_corrupts(world: World) -> Steps:
    world.services.line.damages = world.draw.randint(1, 6)
    try:
        yield
        yield
    finally:
        world.services.line.damages = 0


def _line_slow(world: World) -> Steps:
    world.services.line.bytes_per_s = 200_000.0
    try:
        yield
        yield
    finally:
        world.services.line.bytes_per_s = None


def _filled(folder: Path, leave_bytes: int) -> Path:
    """Fill a disk; the file that does it."""
    ballast = folder / f".ballast-{os.getpid()}"
    free = os.statvfs(folder)
    size = max(0, free.f_bavail * free.f_frsize - leave_bytes)
    with ballast.open("wb") as stream, suppress(OSError):
        os.posix_fallocate(stream.fileno(), 0, size) if size else None
    return ballast


def _disk_full(folder_of: Callable[[World], Path | None]) -> Callable[[World], Steps]:
    def run(world: World) -> Steps:
        yield
        folder = folder_of(world)
        assert folder is not None
        ballast = _filled(folder, world.draw.choice([0, 0, 100_000]))
        yield
        ballast.unlink()

    return run


# -- the catalog of images


def _sqlite_locked(world: World) -> Steps:
    yield
    with closing(sqlite3.connect(world.sqlite, timeout=5.0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:  # the job is writing: as good as any lock
            yield
            return
        yield
        other.execute("ROLLBACK")


def _sqlite_fails_half_way(world: World) -> Steps:
    yield
    trigger = "CREATE TRIGGER chaos BEFORE INSERT ON file WHEN (SELECT count(*) FROM file) >= 2"
    with closing(sqlite3.connect(world.sqlite, timeout=5.0)) as other, suppress(sqlite3.OperationalError):
        other.execute(f"{trigger} BEGIN SELECT RAISE(ABORT, 'chaos'); END")
    yield
    with closing(sqlite3.connect(world.sqlite, timeout=5.0)) as other:
        other.execute("DROP TRIGGER IF EXISTS chaos")


def _rucio(fault: Callable[[], HttpFault]) -> Callable[[World], Steps]:
    def run(world: World) -> Steps:
        world.services.rucio_line.fault = fault()
        try:
            yield
            yield
        finally:
            world.services.rucio_line.fault = None

    return run


# -- inputs


def _catalog_host(fault: str) -> Callable[[World], Steps]:
    def run(world: World) -> Steps:
        world.services.catalogs.fault = fault
        try:
            yield
            yield
        finally:
            world.services.catalogs.fault = ""

    return run


def _release_vanishes(world: World) -> Steps:
    away = world.folder / "releases.away"
    yield
    (world.folder / "releases").rename(away)
    yield
    away.rename(world.folder / "releases")


def _release_blinks(world: World) -> Steps:
    away = world.folder / "releases.away"
    yield
    (world.folder / "releases").rename(away)
    time.sleep(0.5)
    away.rename(world.folder / "releases")
    yield


# -- the wrapper itself


def _signal(number: signal.Signals) -> Callable[[World], Steps]:
    def run(world: World) -> Steps:
        yield
        for attempt in world.attempts:
            if attempt.process.poll() is None:
                attempt.process.send_signal(number)
        yield

    return run


def _worker_lost(world: World) -> Steps:
    """As when a node reboots: everything ends at once, and its work folder is gone."""
    yield
    for attempt in world.attempts:
        attempt.process.kill()
        attempt.process.wait()
    for pid in world.leftovers():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    yield
    for attempt in world.attempts:
        shutil.rmtree(attempt.workdir, ignore_errors=True)


def _two_at_once(world: World) -> Steps:
    yield
    world.start(beside=True)
    yield


def _clock_jump(world: World) -> Steps:
    clock = world.folder / "clock"
    clock.write_text("0\n")
    world.environment = {"LD_PRELOAD": str(world.services.clock), "CHAOS_CLOCK": str(clock)}
    try:
        yield
        hour_s = 3600
        clock.write_text(f"{world.draw.choice([-3 * hour_s, 3 * hour_s, -400 * 24 * hour_s, 90])}\n")
        yield
    finally:
        world.environment = {}


_STORAGE = frozenset({"STORAGE_UNREACHABLE", "STORAGE_DAMAGED"})
_FULL = frozenset({"STORAGE_FULL", "STORAGE_UNREACHABLE", "REGISTRATION_PENDING"})
_PENDING = frozenset({"REGISTRATION_PENDING"})
_LOST = frozenset({"RELEASE_LOST", "RELEASE_UNREACHABLE", "RELEASE_BROKEN", "SET_UP_FAILED", "BAD_WORKER"})
_SCRATCH = frozenset({"DISK_FULL", "WORKDIR_UNUSABLE", "BAD_WORKER"})
_ROOT, _SQLITE, _RUCIO, _DISK = (frozenset({need}) for need in ("root", "sqlite", "rucio", "disk"))
_REMOTE, _CLOCK = frozenset({"remote catalog"}), frozenset({"clock"})

FAULTS: tuple[Fault, ...] = (
    *(_of_raytrace(name, *rest) for name, rest in _IMAGE_FAULTS.items()),
    _of_stage("atmosphere", "fails", "exit 1"),
    _of_stage("trim", "fails", "kill -SEGV $$"),
    _of_stage("e2adc", "fails", 'if test "$attempt" = attempt-1; then exit 1; else real; fi'),
    Fault(kind="storage killed", name="server killed", run=_server_killed, codes=_STORAGE, needs=_ROOT),
    Fault(kind="storage killed", name="server restarted", run=_server_restarted, codes=_STORAGE, needs=_ROOT),
    Fault(kind="storage refusing", name="server away", run=_server_away, codes=_STORAGE, needs=_ROOT),
    Fault(kind="storage frozen", name="server silent", run=_server_frozen, codes=_STORAGE, needs=_ROOT),
    Fault(kind="storage frozen", name="server silent a while", run=_server_frozen_a_while, codes=_STORAGE, needs=_ROOT),
    Fault(kind="storage corrupting", name="bytes changed on the way", run=_line_corrupts, codes=_STORAGE, needs=_ROOT),
    Fault(kind="storage slow", name="slow line", run=_line_slow, codes=_STORAGE, needs=_ROOT),
    Fault(kind="storage full", name="server's disk full", run=_disk_full(lambda world: world.services.xrootd.store),
          codes=_FULL, needs=_ROOT | _DISK),
    Fault(kind="storage full", name="store's disk full", run=_disk_full(lambda world: world.services.store_disk),
          codes=_FULL | _SCRATCH, needs=_DISK),
    Fault(kind="disk exhaustion", name="work disk full", run=_disk_full(lambda world: world.services.disk),
          codes=_SCRATCH | {"SET_UP_FAILED", "SIMULATOR_CRASHED", "OUTPUT_DAMAGED", "OUTPUT_MISSING"}, needs=_DISK),
    Fault(kind="catalog slow", name="SQLite locked", run=_sqlite_locked, codes=_PENDING, needs=_SQLITE),
    Fault(kind="catalog half-way", name="SQLite refuses the third", run=_sqlite_fails_half_way, codes=_PENDING,
          needs=_SQLITE),
    Fault(kind="catalog down", name="Rucio answers 503", run=_rucio(lambda: status(503)), codes=_PENDING, needs=_RUCIO),
    Fault(kind="catalog down", name="Rucio answers 500", run=_rucio(lambda: status(500)), codes=_PENDING, needs=_RUCIO),
    Fault(kind="catalog slow", name="Rucio dribbles", run=_rucio(lambda: dribble), codes=_PENDING, needs=_RUCIO),
    Fault(kind="catalog half-way", name="Rucio's answers are lost",
          run=_rucio(lambda: only("dids", lost_answer, times=2)), codes=_PENDING, needs=_RUCIO),
    Fault(kind="catalog source lost", name="catalog host refuses", run=_catalog_host("refuse"),
          codes=frozenset({"CATALOG_UNREACHABLE"}), needs=_REMOTE),
    Fault(kind="catalog source lost", name="catalog host dies", run=_catalog_host("die"),
          codes=frozenset({"CATALOG_UNREACHABLE"}), needs=_REMOTE),
    Fault(kind="CVMFS lost", name="release vanishes", run=_release_vanishes, codes=_LOST),
    Fault(kind="CVMFS lost", name="release vanishes and comes back", run=_release_blinks, codes=_LOST),
    Fault(kind="wrapper TERM", name="SIGTERM", run=_signal(signal.SIGTERM), codes=frozenset({"TERMINATED"})),
    Fault(kind="wrapper KILL", name="SIGKILL", run=_signal(signal.SIGKILL), ends_wrapper=True),
    Fault(kind="wrapper KILL", name="worker lost", run=_worker_lost, ends_wrapper=True),
    Fault(kind="two at once", name="two attempts", run=_two_at_once),
    Fault(kind="clock jump", name="clock jump", run=_clock_jump, needs=_CLOCK),
)  # fmt: skip
