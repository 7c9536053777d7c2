"""Which of several destinations a unit is committed at: a word beside the manifests of the others.

A manifest is created exclusively, but only at its own destination. So that two attempts never commit a unit at two of
them, each destination also holds, per unit, a claim: a tiny file that names one destination, created exclusively and
never changed. Before a unit is committed its claim is put at every destination that answers, the last of the list
first; whoever meets another's claim follows it. Attempts that can reach one destination in common therefore agree.

The claims are also what a later attempt knows of a destination that is silent: a unit that is claimed for it may stand
there, one that is not was never committed there by anybody who could reach this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from transformation.layout import claim_name
from transformation.model.failures import Failed
from transformation.model.manifest import LIMIT_BYTES, Claim, encode, parse_claim, timestamp
from transformation.model.work import Unit
from transformation.ports import Missing, StorageError, TooLarge
from transformation.standing import Standing, read_manifest
from transformation.targets import Target, Targets

_CLAIMS_AT_ONCE = 16


def read_claim(target: Target, unit: Unit) -> str | None:
    """The address that is claimed there for the unit; None if nothing legible stands. Raises `StorageError`."""
    url = target.place.receipt_url(unit.visit, claim_name(unit.id))
    try:
        content = target.hasty.read(url, limit_bytes=LIMIT_BYTES)
    except (Missing, TooLarge):
        return None
    claim = parse_claim(content, unit=unit.id)
    return claim.destination if isinstance(claim, Claim) else None


def write_claim(target: Target, unit: Unit, address: str, *, token: str, clock: Callable[[], float]) -> str:
    """Claim the unit for that address unless it is claimed already; the address that counts there.

    Raises `StorageError`.
    """
    claim = Claim(unit=unit.id, destination=address, token=token, written=timestamp(clock()))
    url = target.place.receipt_url(unit.visit, claim_name(unit.id))
    if target.hasty.create(url, encode(claim)):
        return address
    return read_claim(target, unit) or address


class Agreement:
    """Settles with all other attempts that the unit is committed at one destination; for one try at it."""

    def __init__(self, targets: Targets, target: Target, unit: Unit, *, token: str, clock: Callable[[], float]) -> None:
        self._targets = targets
        self._target = target
        self._unit = unit
        self._token = token
        self._clock = clock
        self.begun = False
        """From then on the unit may be committed at this destination and at no other."""
        self.missed: list[Target] = []
        """Destinations that could not be told."""

    def reach(self) -> str | None:
        """Put the claims; the address of another destination if the unit belongs there, None to go on.

        A destination that does not answer is passed over, but for the unit's own: raises its `StorageError`.
        """
        if len(self._targets.all) == 1:
            return None
        self.begun = True
        address = self._target.address
        for one in reversed(self._targets.all):
            own = one is self._target
            if own and one is self._targets.all[0] and address == one.address and not self.missed:
                break  # whoever wants another destination has to pass a claim
            if not own and self._targets.rests(one):
                self.missed.append(one)
                continue
            try:
                address = self._put(one, address)
            except StorageError as error:
                if own:
                    raise
                self._targets.leave(one, Failed(failure=error.failure, detail=error.detail))
                self.missed.append(one)
        return None if address == self._target.address else address

    def _put(self, one: Target, address: str) -> str:
        """The address that counts after this destination was asked, too."""
        claimed = write_claim(one, self._unit, address, token=self._token, clock=self._clock)
        if self._targets.at(claimed) is None:  # of a request that named other destinations
            claimed = address
        if one is not self._target and isinstance(self._standing(one), Standing):
            return one.address
        return claimed

    def _standing(self, one: Target) -> object:
        """A claim that is written after the commit comes too late: who commits removes what it finds before."""
        return read_manifest(one.hasty, one.place, self._unit.visit, self._unit.id)


def leave_word(
    target: Target, units: Sequence[tuple[Unit, str]], *, token: str, clock: Callable[[], float]
) -> None:  # fmt: skip
    """Claim units for where they were committed, at a destination that did not hear of it. Raises `StorageError`."""
    with ThreadPoolExecutor(_CLAIMS_AT_ONCE, thread_name_prefix="claims") as pool:
        told = [pool.submit(write_claim, target, unit, address, token=token, clock=clock) for unit, address in units]
        for one in told:
            one.result()
