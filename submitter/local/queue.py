"""The local queue as `iod` sees it: add work, see that somebody does it, end it."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from submitter.folders import Folders
from submitter.jobs import Job, Part, State
from submitter.local.claims import has_local_work
from submitter.local.launch import Background, start_module
from submitter.state import Store
from submitter.troubles import IodError, Trouble

RUNNER = "submitter.local.runner"
_KILL_PATIENCE_S = 4.0
"""`lsst-trf` leaves its report and is gone within three seconds of SIGTERM."""


def job_folder(folders: Folders, job: Job) -> Path:
    """Where a job's work folder and logs are."""
    return folders.local_jobs / f"{job.id:06d}-{job.name}"


def work_folder(folders: Folders, job: Job) -> Path:
    """The work folder of its `lsst-trf`."""
    return job_folder(folders, job) / "work"


def log_file(folders: Folders, job: Job, attempt: int) -> Path:
    """What an attempt printed."""
    return job_folder(folders, job) / f"attempt-{attempt}.log"


@contextmanager
def runner_lock(folders: Folders) -> Iterator[bool]:
    """Hold the right to be the runner while the block runs; False if somebody has it."""
    folders.local_jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folders.local_jobs / "runner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(lock)


def ensure_runner(store: Store, folders: Folders) -> bool:
    """Start the runner if there is work and nobody does it; whether it was started. Raises `IodError`."""
    if not has_local_work(store):
        return False
    with runner_lock(folders) as free:
        pass
    if not free:
        return False
    log = folders.local_jobs / "runner.log"
    environment = {"IOD_HOME": None if folders.home is None else str(folders.home)}
    try:
        start_module(RUNNER, (), log, environment)
    except OSError as error:
        raise IodError(Trouble.LOCAL_UNUSABLE, f"the runner cannot be started: {error.strerror} ({log})") from None
    return True


def kill(store: Store, job: Job) -> None:
    """End the job's parts, waiting or running; returns when they are over."""
    store.ask_to_kill(job.id)
    running = [part for part in store.parts(job.id) if part.state is State.RUNNING]
    processes = [process for part in running if (process := process_of(part)) is not None]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            process.signal(number)
        end = time.monotonic() + _KILL_PATIENCE_S
        while time.monotonic() < end and any(process.alive for process in processes):
            time.sleep(0.05)
    store.end_killed_parts(job.id)


def process_of(part: Part) -> Background | None:
    """The `lsst-trf` of a part; None if it was never started."""
    if part.pid is None or part.pid_born_s is None:
        return None
    return Background(pid=part.pid, born_s=part.pid_born_s)
