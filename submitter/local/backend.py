"""The local queue as a backend."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from submitter.backends import UnitState
from submitter.folders import Folders
from submitter.jobs import Job, Part, State
from submitter.local.outcome import read_report
from submitter.local.queue import ensure_runner, job_folder, kill, log_file, work_folder
from submitter.state import Store
from submitter.troubles import IodError, Trouble
from transformation.model.report import UnitReport

_STATES = {"committed": "done", "planned": "waiting"}


class LocalBackend:
    """See `Backend`."""

    def __init__(self, store: Store, folders: Folders) -> None:
        self._store = store
        self._folders = folders

    def hand_over(self, job: Job, selects: Iterable[str]) -> None:
        """Queue the request in one piece."""
        del selects
        if not self._store.parts(job.id):
            self._store.add_parts(job.id, [Part(job_id=job.id, number=1)])
        ensure_runner(self._store, self._folders)

    def dry_run(self, job: Job, selects: Iterable[str]) -> list[dict[str, object]]:
        """The command and its spec."""
        del selects
        command = ["lsst-trf", "run", "--job", "job.json", "--site", job.site, "--workdir", "WORKDIR"]
        return [{"command": shlex.join(command), "job.json": msgspec.json.decode(job.spec)}]

    def refresh(self, jobs: Sequence[Job]) -> None:
        """The runner writes down what happens; see that there is one."""
        if jobs:
            ensure_runner(self._store, self._folders)

    def kill(self, job: Job) -> None:
        """See `Backend.kill`."""
        kill(self._store, job)

    def rerun(self, job: Job, *, failed_only: bool) -> None:
        """Queue it again: `lsst-trf` makes what is missing at the destination, failed units among it."""
        del failed_only
        if any(not part.state.over for part in self._store.parts(job.id) if not part.replaced):
            raise IodError(Trouble.NOT_POSSIBLE, f"{job.name} is {job.state}")
        self._store.replace_parts(job.id, [Part(job_id=job.id, number=0)])
        ensure_runner(self._store, self._folders)

    def tend(self, jobs: Sequence[Job]) -> list[str]:
        """The runner tries again by itself."""
        self.refresh(jobs)
        return []

    def find(self, job: Job) -> None:
        """Nobody else knows of jobs here."""

    def close(self) -> None:
        """Nothing to let go."""

    def units(self, job: Job, parts: Sequence[Part]) -> dict[str, UnitState]:
        """From the report of the last start."""
        workdir = work_folder(self._folders, job)
        report = read_report(workdir)
        if report is None:
            return {}
        running = any(part.state is State.RUNNING for part in parts if not part.replaced)
        return {unit.id: _unit(unit, workdir, report.host, running=running) for unit in report.units}

    def logs(self, job: Job, unit: str | None) -> list[str]:
        """What `lsst-trf` printed, the last start first; of a unit, what its simulator printed."""
        if unit is not None:
            return [str(path) for path in self._unit_logs(job, unit)]
        attempts = max((part.attempt for part in self._store.parts(job.id)), default=0)
        files = [log_file(self._folders, job, attempt) for attempt in range(attempts, 0, -1)]
        files += [work_folder(self._folders, job) / "jobReport.json"]
        return [str(path) for path in files if path.exists()]

    def links(self, job: Job, parts: Sequence[Part]) -> list[str]:
        """Its folder."""
        del parts
        return [str(job_folder(self._folders, job))]

    def _unit_logs(self, job: Job, unit: str) -> list[Path]:
        workdir = work_folder(self._folders, job)
        report = read_report(workdir)
        found = next((one for one in report.units if one.id == unit), None) if report else None
        folders = [workdir / attempt.log for attempt in found.attempts if attempt.log] if found else []
        return [path for folder in reversed(folders) for path in sorted(folder.glob("*")) if path.stat().st_size]


def _unit(unit: UnitReport, workdir: Path, host: str, *, running: bool) -> UnitState:
    state = _STATES.get(unit.state, unit.state)
    if state == "running" and not running:
        state = "waiting"  # its process is gone
    return UnitState(
        id=unit.id,
        state=state,
        progress=unit.progress if state == "running" else None,
        eta_s=unit.eta_s if state == "running" else None,
        failure=unit.failure or "",
        reason=unit.detail,
        attempts=len(unit.attempts),
        where=host,
        cpu_s=unit.cpu_s,
        wall_s=unit.wall_s,
        log=str(workdir / unit.attempts[-1].log) if unit.attempts and unit.attempts[-1].log else "",
    )
