"""Who runs jobs: the seam, and which adapter serves which backend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from submitter.border import as_iod_error
from submitter.folders import Folders
from submitter.jobs import Job, Part
from submitter.settings import BACKENDS, BackendName, Settings
from submitter.state import Store
from submitter.troubles import IodError

UNIT_STATES = ("waiting", "running", "done", "empty", "failed")


class UnitState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one unit."""

    id: str
    state: str = "waiting"
    """One of `UNIT_STATES`."""
    progress: float | None = None
    """Of a running one, 0 to 1."""
    eta_s: float | None = None
    """Of a running one: seconds left."""
    failure: str = ""
    """Name of the row of the exit-code table."""
    reason: str = ""
    """In one sentence."""
    attempts: int = 0
    where: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    link: str = ""
    """Page of the job that makes it."""
    log: str = ""
    """Folder or page of its logs."""


class Backend(Protocol):
    """Runs jobs, or has them run. Methods raise `IodError`."""

    def hand_over(self, job: Job, selects: Iterable[str]) -> None:
        """Begin with a job; `selects` are its pieces, empty for one piece. What was handed over already stays so."""

    def dry_run(self, job: Job, selects: Iterable[str]) -> list[dict[str, object]]:
        """What `hand_over` would send, as documents for a person to read."""

    def refresh(self, jobs: Sequence[Job]) -> None:
        """Renew what the state file says of these jobs."""

    def kill(self, job: Job) -> None:
        """End a job; its finished units stay."""

    def rerun(self, job: Job, *, failed_only: bool) -> None:
        """Begin again with what is missing."""

    def units(self, job: Job, parts: Sequence[Part]) -> dict[str, UnitState]:
        """What the backend itself knows of units, by id; what it does not name is waiting, or done elsewhere."""

    def logs(self, job: Job, unit: str | None) -> list[str]:
        """Files or pages with what a job, or one of its units, printed: the one to look at first, first."""

    def tend(self, jobs: Sequence[Job]) -> list[str]:
        """What somebody who watches does beyond `refresh`: submit again what nobody else would. Lines that say so."""

    def find(self, job: Job) -> None:
        """Remember parts of a job of which only the backend knows."""

    def close(self) -> None:
        """Let go of what was opened."""

    def links(self, job: Job, parts: Sequence[Part]) -> list[str]:
        """Pages about the job."""


class Backends:
    """The backends of one user, each opened when it is needed. To be closed."""

    def __init__(self, store: Store, folders: Folders, settings: Settings) -> None:
        self._store = store
        self._folders = folders
        self._settings = settings
        self._open: dict[BackendName, Backend] = {}

    def of(self, job: Job) -> Backend:
        """Who runs the job."""
        return self._named(job.backend)

    def refresh(self, jobs: Sequence[Job] | None) -> list[str]:
        """Renew what is known of these jobs, or of all that are not over; who could not be asked."""
        notes = []
        for name in BACKENDS:
            some = [job for job in jobs if job.backend == name] if jobs is not None else self._store.active(name)
            some = [job for job in some if not job.state.over]
            if not some:
                continue
            try:
                with as_iod_error():
                    self._named(name).refresh(some)
            except IodError as error:
                notes.append(f"{name}: {error}")
        return notes

    def tend(self) -> list[str]:
        """Renew all that is not over, and submit again what PanDA would not; what was done."""
        lines = []
        for name in BACKENDS:
            jobs = self._store.tended(name)
            if jobs:
                with as_iod_error():
                    lines += self._named(name).tend(jobs)
        return lines

    def close(self) -> None:
        """Let everything go; jobs go on."""
        for backend in self._open.values():
            backend.close()
        self._open.clear()

    def _named(self, name: BackendName) -> Backend:
        if name not in self._open:
            self._open[name] = backend_for(name, self._store, self._folders, self._settings)
        return self._open[name]


def backend_for(name: BackendName, store: Store, folders: Folders, settings: Settings) -> Backend:
    """The adapter of that name."""
    if name == "local":
        from submitter.local.backend import LocalBackend

        return LocalBackend(store, folders)
    from submitter.panda.backend import open_panda_backend

    return open_panda_backend(name, store, folders, settings)
