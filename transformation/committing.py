"""Which destination a unit is committed at: the first that takes it, and exactly one, whatever others do meanwhile.

Rules of this file
1. Images go to the first destination that is well. One that refuses them, is full or silent is left for the next, until
   the unit was claimed: from then on it may be committed there, and there only.
2. Whoever finds a unit claimed for another destination follows, and says so if that one does not answer.
3. A destination that could not be told of a commit is told as soon as it answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from transformation.claims import Agreement, leave_word
from transformation.model.failures import Failed
from transformation.model.work import Unit
from transformation.outcomes import Adopted, Committed, Elsewhere, Outcome
from transformation.ports import StorageError
from transformation.resume import Done, what_is_done
from transformation.standing import sweep_elsewhere
from transformation.targets import PASSED_ON, Target, Targets, worst

Send = Callable[[Target, Callable[[], str | None]], Outcome]
"""Tries to commit the unit at a destination; asks for agreement before the manifest."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The unit is committed, and where."""

    target: Target
    outcome: Committed | Adopted


class Committer:
    """Commits units at one of several destinations. Safe for threads.

    `explain` puts a destination's failure in the words of the job; `clock` gives seconds since the epoch.
    """

    def __init__(
        self, targets: Targets, explain: Callable[[Target, Failed], Failed], clock: Callable[[], float] = time.time
    ) -> None:
        self._targets = targets
        self._explain = explain
        self._clock = clock
        self._lock = threading.Lock()
        self._bound: dict[str, Target] = {}
        self._unheard: dict[str, list[tuple[Unit, str]]] = {}
        self._strays: dict[str, list[Unit]] = {}

    def know(self, bound: Mapping[str, Target], unheard: Mapping[str, Sequence[tuple[Unit, str]]]) -> None:
        """What earlier attempts left: units, by id, that have to go to one destination, and what has to be told to
        which address."""
        self._bound |= bound
        for address, units in unheard.items():
            self._unheard.setdefault(address, []).extend(units)

    def home(self, unit: Unit) -> Target:
        """Where the unit goes as far as is known now."""
        return self._candidates(unit)[0]

    def commit(self, unit: Unit, send: Send, *, digest: str, token: str) -> Settled | Failed:
        """Send the unit to the first destination that takes it."""
        problems: list[Failed] = []
        left: list[Target] = []
        for target in self._candidates(unit):
            agreement = Agreement(self._targets, target, unit, token=token, clock=self._clock)
            outcome = send(target, agreement.reach)
            if isinstance(outcome, Elsewhere):
                return self._follow(unit, outcome.address, send, digest=digest)
            if not isinstance(outcome, Failed):
                self._remember(unit, target, missed=agreement.missed, left=left)
                return Settled(target=target, outcome=outcome)
            problems.append(self._leave(target, outcome))
            if agreement.begun or problems[-1].failure not in PASSED_ON:
                return problems[-1]
            left.append(target)
        return worst(problems)

    def tell_all(self, *, token: str) -> list[Failed]:
        """Tell destinations of commits that they did not hear of, and remove what was left there on the way, as far as
        they answer now; what went wrong."""
        problems = []
        with self._lock:
            unheard, self._unheard = self._unheard, {}
            strays, self._strays = self._strays, {}
        for target in self._targets.all:
            units, left = unheard.get(target.address, []), strays.get(target.address, [])
            if not units + left:
                continue
            if self._targets.rests(target):
                self._keep(target, units, left)
                continue
            try:
                leave_word(target, units, token=token, clock=self._clock)
                sweep_elsewhere(target.hasty, target.place, left, {})
            except StorageError as error:
                problems.append(self._leave(target, Failed(failure=error.failure, detail=error.detail)))
        return problems

    def _keep(self, target: Target, units: Sequence[tuple[Unit, str]], left: Sequence[Unit]) -> None:
        """For the next time."""
        with self._lock:
            self._unheard.setdefault(target.address, []).extend(units)
            self._strays.setdefault(target.address, []).extend(left)

    def _candidates(self, unit: Unit) -> list[Target]:
        bound = self._bound.get(unit.id)
        return [bound] if bound else self._targets.in_order()

    def _follow(self, unit: Unit, address: str, send: Send, *, digest: str) -> Settled | Failed:
        """Another attempt decided for that destination: adopt what it made, or finish there what it began."""
        target = self._targets.at(address)
        assert target is not None
        storage = self._targets.storage_of(target)
        try:
            verdict = what_is_done(storage, target.place, [unit], {unit.visit: digest}).get(unit.id)
        except StorageError as error:
            failed = self._leave(target, Failed(failure=error.failure, detail=error.detail))
            return Failed(failure=failed.failure, detail=f"{unit.id} may stand at {address} already: {failed.detail}")
        if isinstance(verdict, Done):
            return Settled(target=target, outcome=Adopted(sealed=verdict.sealed))
        outcome = send(target, lambda: None)
        if isinstance(outcome, Committed | Adopted):
            return Settled(target=target, outcome=outcome)
        assert isinstance(outcome, Failed)
        return self._leave(target, outcome)

    def _leave(self, target: Target, failed: Failed) -> Failed:
        explained = self._explain(target, failed)
        if explained.failure in PASSED_ON:
            self._targets.leave(target, explained)
        return explained

    def _remember(self, unit: Unit, target: Target, *, missed: Sequence[Target], left: Sequence[Target]) -> None:
        with self._lock:
            for one in missed:
                self._unheard.setdefault(one.address, []).append((unit, target.address))
            for one in left:
                self._strays.setdefault(one.address, []).append(unit)
