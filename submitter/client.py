"""Everything that `iod` can do, for programs: the command line uses it, and so may others. It prints nothing.

    from submitter import Client

    with Client() as client:
        report = client.check(client.draft("job.json"))
        job = client.submit(report).job
        print(client.status(job.name).state)

All methods raise `IodError`, whose `row` says what kind of trouble it is. One client serves one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from submitter.border import as_iod_error as _as_iod_error
from submitter.folders import Folders, turn_to_submit
from submitter.jobs import State
from submitter.settings import Settings, load_settings
from submitter.troubles import IodError, Trouble

if TYPE_CHECKING:
    from pathlib import Path

    from submitter.backends import Backend, Backends
    from submitter.check_report import CheckReport
    from submitter.credentials import Credential
    from submitter.drafts import Draft, Wishes
    from submitter.fetching.manager import FetchReport
    from submitter.fetching.meter import Progress
    from submitter.fetching.one_file import Fetched
    from submitter.jobs import Job
    from submitter.listing import Listing
    from submitter.notifying.story import Told
    from submitter.prepare import Options
    from submitter.state import Line, Store
    from submitter.status import JobStatus
    from submitter.submission import Accepted
    from submitter.sync import Found
    from submitter.viewing import Look, View


def _deaf(*_told: object) -> None:
    """Nobody listens."""


class Client:
    """A user's jobs. To be closed, or used in a `with`."""

    def __init__(self, folders: Folders | None = None, settings: Settings | None = None) -> None:
        self.folders = folders or Folders()
        self._settings = settings
        self._store: Store | None = None
        self._opened: Backends | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let everything go; jobs go on."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def settings(self) -> Settings:
        """The user's configuration, read once."""
        if self._settings is None:
            self._settings = load_settings(self.folders.settings)
        return self._settings

    @property
    def store(self) -> Store:
        """The file of jobs, opened when it is needed."""
        if self._store is None:
            from submitter.state import Store

            self.folders.prepare()
            self._store = Store(self.folders.database)
        return self._store

    # ------------------------------------------------------------ before a job
    def draft(self, job: str | Mapping[str, object] | None = None, wishes: Wishes | None = None) -> Draft:
        """A request: of a job file, `-`, a `data:` URL or a job spec as an object, with what is wished instead."""
        from submitter.drafts import Wishes, make_draft, make_draft_of

        with _as_iod_error():
            if isinstance(job, Mapping):
                return make_draft_of(dict(job), wishes or Wishes(), self.settings)
            return make_draft(job, wishes or Wishes(), self.settings)

    def check(self, draft: Draft, options: Options | None = None) -> CheckReport:
        """What the request means, costs and lacks; writes nothing."""
        from submitter.check import check
        from submitter.prepare import Options, prepare

        with _as_iod_error():
            question = prepare(draft, options or Options(), self.settings)
            return check(question, self.settings, self.folders)

    # ------------------------------------------------------------ a job
    def submit(
        self, report: CheckReport, *, key: str | None = None, again: bool = False, tell: Callable[[str], None] = _deaf
    ) -> Accepted:
        """Submit what was checked. With a `key` that was used before: the job that it belongs to.

        `again` submits the same request once more. `tell` hears of what takes time.
        """
        from submitter.submission import accept

        with turn_to_submit(self.folders, tell):
            with _as_iod_error():
                accepted = accept(self.store, report, key=key, again=again, tell=tell)
            name = accepted.job.name
            try:
                with _as_iod_error():
                    backend = self.backend(accepted.job)
                    backend.hand_over(accepted.job, report.selects())
                    if accepted.existed and key is None and accepted.job.state.unfinished:
                        backend.rerun(accepted.job, failed_only=False)
            except IodError as error:
                detail = f"{error.detail}; {name} is remembered, `iod rerun {name}` hands it over"
                raise IodError(error.row, detail) from None
        return replace(accepted, job=self.store.job(name))

    def dry_run(self, report: CheckReport) -> list[dict[str, object]]:
        """What `submit` would send, for people to read; the number in the name is a guess."""
        from submitter.submission import rehearse

        with _as_iod_error():
            job = rehearse(self.store, report)
            return self.backend(job).dry_run(job, report.selects())

    def earlier(self, report: CheckReport) -> list[Job]:
        """Jobs that asked for the same before, the last first."""
        from submitter.submission import earlier

        return earlier(self.store, report)

    def jobs(self) -> list[Line]:
        """All jobs, the last first, as they were when last seen."""
        return self.store.overview()

    def job(self, name: str) -> Job:
        """One job."""
        return self.store.job(name)

    def refresh(self, jobs: Sequence[Job] | None = None) -> list[str]:
        """Renew what is known of these jobs, or of all that are not over; who could not be asked."""
        return self._backends.refresh(jobs)

    def status(self, name: str, *, name_units: bool | None = None) -> JobStatus:
        """Everything about one job."""
        from submitter.status import status_of

        notes = self.refresh([self.store.job(name)])
        job = self.store.job(name)
        with _as_iod_error():
            found = status_of(job, self.store, self.backend(job), name_units=name_units)
        return replace(found, notes=[*notes, *found.notes])

    def rerun(self, name: str, *, failed_only: bool = False) -> Job:
        """Make what is missing of a job that is over; its images stay where they are."""
        job = self.store.job(name)
        self.refresh([job])
        job = self.store.job(name)
        if job.state is State.DONE:
            raise IodError(Trouble.NOT_POSSIBLE, f"{name} is done: nothing is missing")
        with turn_to_submit(self.folders, _deaf), _as_iod_error():
            self.backend(job).rerun(job, failed_only=failed_only)
        return self.store.job(name)

    def sync(self, bases: Sequence[str] = (), *, user: str | None = None, site: str | None = None) -> Found:
        """Learn of jobs that stand at output bases and are not known here."""
        from submitter.sync import Sync

        with _as_iod_error():
            found, jobs = Sync(self.store, self.settings).run(bases, user, site)
        notes = list(found.notes)
        for job in jobs:
            try:
                with _as_iod_error():
                    self.backend(job).find(job)
            except IodError as error:
                notes.append(f"{job.name}: {error}")
        return replace(found, notes=[*notes, *self.refresh(jobs)])

    def login(self, tell: Callable[[str], None], *, site: str | None = None) -> Credential:
        """Get a token for PanDA; `tell` hears where the user has to sign in."""
        from submitter.panda.login import log_in

        self.folders.prepare()
        with _as_iod_error():
            return log_in(site or self.settings.site, self.settings.panda, self.folders, tell)

    def tend(self) -> list[str]:
        """Renew all that is not over, and submit again what PanDA would not; what was done."""
        return self._backends.tend()

    def kill(self, name: str) -> Job:
        """End a job; its finished units stay."""
        job = self.store.job(name)
        if job.state.over:
            raise IodError(Trouble.NOT_POSSIBLE, f"{name} is {job.state} already")
        with _as_iod_error():
            self.backend(job).kill(job)
        self.store.end_if_idle(job.id)
        return self.store.job(name)

    def logs(self, name: str, unit: str | None = None) -> list[str]:
        """Files or pages with what a job, or a unit, printed."""
        job = self.store.job(name)
        with _as_iod_error():
            return self.backend(job).logs(job, unit)

    # ------------------------------------------------------------ its files
    def files(self, name: str, pattern: str | None = None) -> Listing:
        """Files that stand of a job: all, or those that the pattern means."""
        from submitter.fetching.story import list_job

        job = self.store.job(name)
        with _as_iod_error():
            return list_job(job, pattern)

    def fetch(
        self,
        name: str,
        pattern: str | None = None,
        to: Path | None = None,
        *,
        at_once: int | None = None,
        tell: Callable[[Progress, Fetched], None] = _deaf,
    ) -> FetchReport:
        """Bring files of a job to `to/v<visit>/` (default: a folder with the job's name, here), each checked.

        `tell` hears of every file that is over. What could not be had is in the report.
        """
        from submitter.fetching.story import fetch_job

        job = self.store.job(name)
        with _as_iod_error():
            return fetch_job(job, pattern, to, at_once=at_once, tell=tell)

    def view(
        self, name: str, look: Look, out: Path | None = None, *, tell: Callable[[Progress, Fetched], None] = _deaf
    ) -> View:
        """Make a picture of a part of a job's images, and save it (default: here, under a name that says what)."""
        from submitter.viewing import view_job

        job = self.store.job(name)
        with _as_iod_error():
            return view_job(job, look, out, tell=tell)

    # ------------------------------------------------------------ who hears of it
    @property
    def channels(self) -> list[str]:
        """The ways to tell of jobs that ended, as configured."""
        from submitter.notifying.senders import senders_of

        return list(senders_of(self.settings.notify))

    def notify(self, name: str | None = None) -> list[Told]:
        """Tell of a job that ended, or of all that ended of late, by the ways by which nobody has told yet."""
        from submitter.notifying.senders import senders_of
        from submitter.notifying.story import Teller

        teller = Teller(self.store, self.folders, senders_of(self.settings.notify), self.status)
        return teller.tell_news() if name is None else teller.tell(name)

    def notify_test(self) -> list[Told]:
        """Send a test by all ways."""
        from submitter.notifying.notice import trial_notice
        from submitter.notifying.senders import senders_of
        from submitter.notifying.story import send

        return send(trial_notice(self.settings.user_name), senders_of(self.settings.notify))

    def backend(self, job: Job) -> Backend:
        """Who runs the job."""
        return self._backends.of(job)

    @property
    def _backends(self) -> Backends:
        if self._opened is None:
            from submitter.backends import Backends

            self._opened = Backends(self.store, self.folders, self.settings)
        return self._opened
