"""From jobs that ended to people who know."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from submitter.folders import Folders
from submitter.jobs import Job
from submitter.local.outcome import read_report
from submitter.local.queue import work_folder
from submitter.notifying.ledger import Ledger
from submitter.notifying.notice import Notice, notice_of
from submitter.notifying.senders import NotSent, Sender
from submitter.state import Store
from submitter.status import JobStatus

NEWS_S = 3 * 86_400.0
"""What ended longer ago is no news: who begins to watch is not flooded, and a weekend is bridged."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Of one job by one way."""

    name: str
    channel: str
    problem: str = ""
    """Why it did not arrive."""


class Teller:
    """Tells of jobs that ended. `ask` gives a job's status."""

    def __init__(
        self, store: Store, folders: Folders, senders: Mapping[str, Sender], ask: Callable[[str], JobStatus]
    ) -> None:
        self._store = store
        self._folders = folders
        self._senders = senders
        self._ask = ask
        self._ledger = Ledger(store)

    def tell_news(self) -> list[Told]:
        """Of all jobs that ended of late and were not told of. Raises `IodError`."""
        return [told for name in self._ledger.due(time.time() - NEWS_S) for told in self.tell(name, now=False)]

    def tell(self, name: str, *, now: bool = True) -> list[Told]:
        """Of one that is over, to whom it was not told yet. Raises `IodError`."""
        job = self._store.job(name)
        ours = [channel for channel in self._senders if self._ledger.take_turn(job, channel, now=now)]
        if not ours:
            return []
        notice = notice_of(self._ask(name), self._dossier(job))
        told = send(notice, {channel: self._senders[channel] for channel in ours})
        for one in told:
            if not one.problem:
                self._ledger.note_told(job, one.channel)
        return told

    def _dossier(self, job: Job) -> str:
        """The paragraph of the report, of a job that ran here."""
        report = read_report(work_folder(self._folders, job)) if job.backend == "local" else None
        return "" if report is None else report.dossier


def send(notice: Notice, senders: Mapping[str, Sender]) -> list[Told]:
    """By all ways; one that fails keeps none of the others back."""
    return [_send(notice, channel, sender) for channel, sender in senders.items()]


def _send(notice: Notice, channel: str, sender: Sender) -> Told:
    try:
        sender(notice)
    except NotSent as error:
        return Told(name=notice.name, channel=channel, problem=str(error))
    return Told(name=notice.name, channel=channel)


def failed(told: Sequence[Told]) -> list[Told]:
    """Those that did not arrive."""
    return [one for one in told if one.problem]
