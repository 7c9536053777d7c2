"""The credentials of a job at its destinations: may this user write there, for how long, and has one just expired?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from transformation.credentials import Credential, credentials_for, good_until_s, have_expired, why_not_theirs
from transformation.model.failures import Failed, Failure, JobError
from transformation.targets import Target

_SLOWEST_BYTES_PER_S = 1_000_000.0
_UPLOAD_S = 60.0
"""For the questions around an upload, and clocks that differ."""


def check_user(user: str, credentials: Sequence[Credential], rule: str) -> None:
    """Raise `JobError` USER_REFUSED if the site lets users write as themselves only, and these are another's."""
    problem = why_not_theirs(user, credentials, rule)
    if problem is not None:
        raise JobError(Failure.USER_REFUSED, problem)


class Doorkeeper:
    """Knows what this job shows at each destination; reads it again at each question. `clock`: since the epoch."""

    def __init__(self, targets: Sequence[Target], clock: Callable[[], float] = time.time) -> None:
        self._targets = targets
        self._clock = clock

    def describe(self, target: Target) -> str:
        """For the report; no secrets."""
        return "; ".join(str(one) for one in self._shown(target))

    def too_late(self, unit: str, *, needed_s: float, size_bytes: int) -> Failed | None:
        """Why a unit that takes so long to make could not be stored any more; None if it can, as far as is known."""
        end_s = self._clock() + needed_s + _UPLOAD_S + size_bytes / _SLOWEST_BYTES_PER_S
        shown = [self._shown(target) for target in self._targets]
        if any(good_until_s(credentials) >= end_s for credentials in shown):
            return None
        ending = "; ".join(dict.fromkeys(str(one) for credentials in shown for one in credentials))
        detail = f"{unit} would be stored {(end_s - self._clock()) / 60:,.0f} min from now: {ending}"
        return Failed(failure=Failure.CREDENTIAL_EXPIRED, detail=detail)

    def explain(self, target: Target, failed: Failed) -> Failed:
        """A refusal by a destination whose credentials have all expired is that they have."""
        shown = self._shown(target)
        if failed.failure is not Failure.STORAGE_DENIED or not have_expired(shown, self._clock()):
            return failed
        expired = "; ".join(str(one) for one in shown)
        return Failed(failure=Failure.CREDENTIAL_EXPIRED, detail=f"{failed.detail} ({expired})")

    def _shown(self, target: Target) -> tuple[Credential, ...]:
        return credentials_for(target.place.base, target.credential)
