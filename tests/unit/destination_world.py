"""One unit and several destinations, of which each attempt reaches some; all of it in one storage of this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import pytest

from tests.conformance.scripted_storage import ScriptedStorage
from tests.unit.commit_world import DIGEST, RECEIPT, TOKENS, UNIT, VISIT, World, made_files
from transformation import claims, resume, whereabouts
from transformation.committing import Committer, Send, Settled
from transformation.layout import JobPlace, manifest_name
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import UnitManifest
from transformation.outcomes import Outcome
from transformation.ports import Catalog, Storage, StorageError
from transformation.stage_out import commit_unit
from transformation.standing import Standing, read_manifest
from transformation.storage.memory import MemoryStorage
from transformation.targets import Target, Targets
from transformation.whereabouts import find_units

Reach = Callable[[int, str], bool]
"""Whether a destination, by its number, answers that operation now."""


class InTurn:
    """A pool that does one thing after the other: what happens is decided by the test alone."""

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, call: Callable[..., Any], *items: Collection[Any]) -> Iterator[Any]:
        return iter([call(*one) for one in zip(*items, strict=True)])

    def submit(self, call: Callable[..., Any], *arguments: object, **named: object) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - as a pool does
            done.set_exception(error)
        return done


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No threads but the test's."""
    for module in (claims, resume, whereabouts):
        monkeypatch.setattr(module, "ThreadPoolExecutor", InTurn)


class Destinations:
    """`n` destinations of one job, looked at from outside."""

    def __init__(self, n: int, scratch: Path, catalog: Catalog | None = None) -> None:
        self.storage = MemoryStorage()
        self.places = [JobPlace(base=f"memory:/store{k}", user="tonyj", job="run-00019") for k in range(n)]
        self.catalog = catalog
        self.simulated: list[str] = []
        self._made = {token: made_files(scratch, token) for token in TOKENS}
        self._worlds = [World(self.storage, place.base, scratch) for place in self.places]

    def targets(self, reach: Reach, storage: Storage | None = None) -> Targets:
        """As one attempt sees them."""

        def seen(number: int) -> ScriptedStorage:
            def before(operation: str, url: str) -> None:
                if not reach(number, operation):
                    raise StorageError(Failure.STORAGE_UNREACHABLE, f"store{number} is silent", transient=True)

            return ScriptedStorage(storage or self.storage, before=before)

        return Targets(
            [
                Target(place=place, storage=seen(number), hasty=seen(number), catalog=self.catalog)
                for number, place in enumerate(self.places)
            ]
        )

    def attempt(self, token: str, reach: Reach, storage: Storage | None = None) -> UnitManifest | Failed:
        """What a job does for the unit: ask all destinations, make it if it may, commit it at one of them."""
        targets = self.targets(reach, storage)
        committer = Committer(targets, lambda _, failed: failed, clock=lambda: 0.0)
        try:
            found = find_units(targets, [UNIT], {VISIT: DIGEST})
        except StorageError as error:
            return Failed(failure=error.failure, detail=error.detail)
        committer.know(found.bound, found.unheard)
        committer.tell_all(token=token)
        if UNIT.id in found.done:
            return found.done[UNIT.id].verdict.manifest
        if UNIT.id in found.failed:
            return found.failed[UNIT.id]
        self.simulated.append(token)

        send = self.sender(targets, token)
        settled = committer.commit(UNIT, send, digest=DIGEST, token=token)
        return settled.outcome.manifest if isinstance(settled, Settled) else settled

    def sender(self, targets: Targets, token: str) -> Send:
        """Sends what the attempt with that token made."""

        def send(target: Target, agree: Callable[[], str | None]) -> Outcome:
            return commit_unit(
                targets.storage_of(target),
                target.place,
                UNIT,
                self._made[token],
                receipt=RECEIPT,
                token=token,
                clock=lambda: 0.0,
                record=lambda _: None,
                agree=agree,
            )

        return send

    def standing(self) -> list[int]:
        """Numbers of the destinations at which the unit is committed."""
        read = (read_manifest(self.storage, place, VISIT, UNIT.id) for place in self.places)
        return [number for number, found in enumerate(read) if isinstance(found, Standing)]

    def check_visible(self) -> None:
        """Whatever stands under a final name is whole; for `interleave`."""
        for world in self._worlds:
            world.check_visible()

    def check_done(self) -> UnitManifest:
        """Committed at exactly one destination, whole, and nothing but claims at the others."""
        (number,) = self.standing()
        manifest = self._worlds[number].manifest()
        assert manifest is not None
        for file in manifest.files:
            content = self._worlds[number].content(file.name)
            assert content is not None
            assert len(content) == file.size_bytes
        for other, world in enumerate(self._worlds):
            images, receipts = world.names()
            if other != number:
                assert images == []
                assert manifest_name(UNIT.id) not in receipts
        return manifest
