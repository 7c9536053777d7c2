"""The ordered destinations of a job: which are in use, and which are left alone for a while because they failed.

One that failed is not asked again by every other unit: it rests, and the next in order takes its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from transformation.layout import JobPlace
from transformation.model.failures import Failed, Failure, Remedy, effective_remedy
from transformation.model.report import DestinationReport
from transformation.ports import Catalog, Storage

REST_S = 120.0
"""How long a destination that failed is left alone: a server that is restarted is back by then."""
PASSED_ON = frozenset(
    {
        *(Failure.STORAGE_UNREACHABLE, Failure.STORAGE_FULL, Failure.STORAGE_DENIED, Failure.STORAGE_DAMAGED),
        Failure.CREDENTIAL_EXPIRED,
    }
)
"""What one destination can be in trouble with while another is well."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One destination of a job."""

    place: JobPlace
    storage: Storage
    hasty: Storage
    """The same with little patience, for as long as there is another destination to go to."""
    catalog: Catalog | None
    """Where images that are there are registered."""
    credential: str | None = None
    """What the site file says that it asks for; None if it says nothing."""
    trusted: bool = False
    """Whether the site file vouches for one attempt at a time, or for one name space behind a redirector."""

    @property
    def address(self) -> str:
        """How claims and the report name it."""
        return self.place.address


class Targets:
    """All destinations of a job, in the order of the request. Safe for threads; `clock`: seconds that only grow."""

    def __init__(self, targets: Sequence[Target], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.all = tuple(targets)
        self.reports = [DestinationReport(url=target.address) for target in targets]
        """For the job report; they change while the job runs."""
        self._clock = clock
        self._lock = threading.Lock()
        self._rests_until_s: dict[str, float] = {}

    def at(self, address: str) -> Target | None:
        """The destination of that address."""
        return next((target for target in self.all if target.address == address), None)

    def rests(self, target: Target) -> bool:
        """Whether it failed a short while ago."""
        with self._lock:
            return self._rests_until_s.get(target.address, 0.0) > self._clock()

    def in_order(self) -> list[Target]:
        """All of them, those that rest last."""
        return sorted(self.all, key=self.rests)

    def storage_of(self, target: Target) -> Storage:
        """The hasty one while another destination is left to go to."""
        others = [one for one in self.all if one is not target and not self.rests(one)]
        return target.hasty if others else target.storage

    def leave(self, target: Target, failed: Failed) -> None:
        """It failed: it rests."""
        with self._lock:
            self._rests_until_s[target.address] = self._clock() + REST_S
            report = self.report(target)
            report.failure, report.detail = failed.failure.name, failed.detail
            report.n_failures += 1

    def used(self, target: Target) -> None:
        """A unit stands there."""
        with self._lock:
            report = self.report(target)
            report.used, report.n_units = True, report.n_units + 1

    def first_used(self) -> Target:
        """The first at which units stand; the first of all while there is none."""
        used = (target for target, report in zip(self.all, self.reports, strict=True) if report.used)
        return next(used, self.all[0])

    def report(self, target: Target) -> DestinationReport:
        """What the job report says of it."""
        return self.reports[self.all.index(target)]


def worst(problems: Sequence[Failed]) -> Failed:
    """The one, of several destinations' problems, that can still pass; else the first."""
    return next((one for one in problems if effective_remedy(one.failure) is not Remedy.NEVER), problems[0])
