"""Works off the local queue in the background, and ends when nothing is left: `python -m submitter.local.runner`.

Restarting it at any moment is harmless: it takes over what runs, and starts what waits.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from submitter.folders import Folders, write_private
from submitter.jobs import KEPT_ENVIRONMENT, Job, Part, State
from submitter.local.claims import claim_part, has_local_work, local_parts, note_process
from submitter.local.launch import Background, find_by_argument, start_module
from submitter.local.outcome import Outcome, read_outcome
from submitter.local.queue import job_folder, log_file, process_of, runner_lock, work_folder
from submitter.settings import LocalSettings, load_settings
from submitter.state import Store
from transformation.model.failures import Failure, Remedy
from transformation.resources import MEMORY_PER_CORE_BYTES, affinity_cores

_LOOK_S = 0.3
_INTERRUPTIONS_A_TRY = 4
_MEMORY_FOR_JOBS = 0.8
_MEGABYTE = 1_000_000


def main() -> int:
    """Be the runner, unless there is one; the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    folders = Folders()
    folders.prepare()
    store = Store(folders.database)
    try:
        while True:
            with runner_lock(folders) as ours:
                if not ours:
                    return 0
                Runner(store, folders, load_settings(folders.settings).local).run()
            # Work that came after the last look met a lock that was still held: its `iod` started nobody.
            if not has_local_work(store):
                return 0
    finally:
        store.close()


class Runner:
    """Starts parts, waits for them, starts them again where that can help."""

    def __init__(self, store: Store, folders: Folders, settings: LocalSettings) -> None:
        self._store = store
        self._folders = folders
        self._settings = settings

    def run(self) -> None:
        """Until nothing waits and nothing runs."""
        while True:
            running = self._look(local_parts(self._store, State.RUNNING))
            while running < self._settings.jobs_at_once and (part := claim_part(self._store, time.time())):
                running += self._start(part)
            if not running and not has_local_work(self._store):
                return
            time.sleep(_LOOK_S)

    def _look(self, parts: Iterable[Part]) -> int:
        """See which of those that ran are over; how many are not."""
        running = 0
        for part in parts:
            job = self._store.find_job(id=part.job_id)
            assert job is not None
            workdir = work_folder(self._folders, job)
            # A runner that died between starting it and noting it down has left no number.
            process = process_of(part) or find_by_argument(str(workdir))
            if process is None or not process.alive:
                self._settle(part, read_outcome(workdir, part))
                continue
            running += 1
            if part.pid is None:
                self._note(part, process)
            if part.kill_asked:
                process.signal(signal.SIGTERM)
        return running

    def _start(self, part: Part) -> int:
        job = self._store.find_job(id=part.job_id)
        assert job is not None
        try:
            folder = job_folder(self._folders, job)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(folder / "job.json", job.spec)
            log = log_file(self._folders, job, part.attempt)
            environment = {name: job.environment.get(name) for name in KEPT_ENVIRONMENT}
            process = start_module("transformation", self._arguments(job, part, folder), log, environment)
        except OSError as error:
            self._settle(part, Outcome(failure=Failure.WORKDIR_UNUSABLE, message=str(error)))
            return 0
        self._note(part, process)
        return 1

    def _note(self, part: Part, process: Background) -> None:
        if not note_process(self._store, part, process.pid, process.born_s, os.uname().nodename):
            process.signal(signal.SIGTERM)

    def _arguments(self, job: Job, part: Part, folder: Path) -> list[str]:
        words = ["run", "--job", str(folder / "job.json"), "--site", job.site]
        words += ["--workdir", str(work_folder(self._folders, job))]
        if part.selects:
            words += ["--select", ",".join(part.selects)]
        if job.share.cores is not None:
            words += ["--cores", str(job.share.cores)]
        return [*words, "--memory-mb", str(job.share.memory_mb or self._memory_mb(job.share.cores))]

    def _memory_mb(self, cores: int | None) -> int:
        """An equal part of the machine's memory, and no more than a worker would have for so many cores."""
        import psutil

        usual = (cores or affinity_cores()) * MEMORY_PER_CORE_BYTES
        part = _MEMORY_FOR_JOBS * psutil.virtual_memory().total / self._settings.jobs_at_once
        return max(1, int(min(usual, part) / _MEGABYTE))

    def _settle(self, part: Part, outcome: Outcome) -> None:
        """Write what became of a part; it waits again if another start can help."""
        state, wait_s = outcome.state, 0.0
        if part.kill_asked and state is not State.DONE:
            state = State.KILLED
        elif state is not State.DONE and self._can_help(part, outcome):
            state = State.WAITING
            wait_s = 0.0 if outcome.interrupted and part.attempt <= 1 else self._settings.retry_wait_s
        now_s = time.time()
        self._store.settle_part(
            replace(
                part,
                state=state,
                pid=None,
                ended_s=now_s,
                not_before_s=now_s + wait_s,
                exit_code=outcome.exit_code,
                message="" if state is State.DONE else outcome.message,
                n_done=outcome.n_done,
                n_failed=outcome.n_failed,
            )
        )

    def _can_help(self, part: Part, outcome: Outcome) -> bool:
        """Whether the next start may do better; being cut short from outside counts less than failing."""
        if outcome.interrupted:
            return part.attempt < self._settings.attempts * _INTERRUPTIONS_A_TRY
        again = outcome.failure is not None and outcome.failure.remedy in {Remedy.HERE, Remedy.ELSEWHERE}
        return again and part.attempt < self._settings.attempts


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
