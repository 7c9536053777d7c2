"""A destination under siege: attempts at one unit that can be killed or interleaved at every storage call.

Two attempts never write the same bytes: the DATE in their headers differs. Here `a`, `b`, `c` and `z` write the same
sizes, so that no mix of their versions can be told by size; `y` writes more.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.conformance.scripted_storage import Killed, ScriptedStorage
from transformation.layout import JobPlace, join_url, manifest_name
from transformation.model.manifest import Measured, UnitManifest, parse_manifest
from transformation.model.work import ExpectedFile, MadeFile, Role, Unit
from transformation.outcomes import Outcome, Receipt
from transformation.ports import Storage
from transformation.resume import Done, what_is_done
from transformation.stage_out import commit_unit

DIGEST = "d" * 64
TOKENS = "abcyz"
OTHER_DIGEST = "e" * 64
VISIT = "87393588"
NAMES = ("lsst_e_87393588_f2_R22_S11_E000.fits.gz", "lsst_a_87393588_f2_R22_S11_C00_E000.fits.gz")


def make_unit(sensor: str = "R22_S11", names: Sequence[str] = NAMES) -> Unit:
    return Unit(
        visit=VISIT,
        sensor=sensor,
        exposure=0,
        filter=2,
        seed=1,
        exposure_s=15.0,
        files=tuple(ExpectedFile(name=name, role=Role.ELECTRON_IMAGE) for name in names),
        estimated_bytes=1000,
    )


UNIT = make_unit()
RECEIPT = Receipt(digest=DIGEST, attempt=1, metadata={"release": "quicksim-1.0"}, measured=Measured(wall_s=1.0))


def content_of(name: str, token: str) -> bytes:
    """What the attempt with that token makes of a file."""
    return f"{token[:1]} {name}".encode().ljust(72 if token == "y" else 64, b".")


def made_files(folder: Path, token: str, unit: Unit = UNIT) -> list[MadeFile]:
    files = []
    for expected in unit.files:
        content = content_of(expected.name, token)
        path = folder / f"{token}-{expected.name}"
        path.write_bytes(content)
        files.append(
            MadeFile(
                name=expected.name,
                path=path,
                role=expected.role,
                size_bytes=len(content),
                adler32=f"{zlib.adler32(content):08x}",
            )
        )
    return files


class World:
    """One unit's destination on a real storage, looked at from outside."""

    def __init__(self, storage: Storage, base: str, scratch: Path) -> None:
        self.storage = storage
        self.place = JobPlace(base=base, user="tonyj", job="run-00019")
        self.scratch = scratch
        self.simulated: list[str] = []
        self._made = {token: made_files(scratch, token) for token in TOKENS}

    def commit(self, token: str, storage: Storage | None = None, receipt: Receipt = RECEIPT) -> Outcome:
        """Simulate and commit, without asking what is done."""
        self.simulated.append(token)
        return commit_unit(
            storage or self.storage,
            self.place,
            UNIT,
            self._made[token],
            receipt=receipt,
            token=token,
            clock=lambda: 0.0,
            record=lambda transfer: None,
        )

    def attempt(self, token: str, storage: Storage | None = None) -> UnitManifest:
        """What a job does for the unit: ask what is done, make it if it is not. The manifest that it goes on with."""
        verdict = what_is_done(storage or self.storage, self.place, [UNIT], {VISIT: DIGEST}).get(UNIT.id)
        if isinstance(verdict, Done):
            return verdict.manifest
        outcome = self.commit(token, storage)
        assert not hasattr(outcome, "failure"), outcome
        return outcome.manifest

    def manifest(self) -> UnitManifest | None:
        """The valid manifest that stands."""
        url = self.place.receipt_url(VISIT, manifest_name(UNIT.id))
        if self.storage.stat(url) is None:
            return None
        manifest = parse_manifest(self.storage.read(url, limit_bytes=10**6), unit=UNIT.id)
        return manifest if isinstance(manifest, UnitManifest) else None

    def names(self) -> tuple[list[str], list[str]]:
        """All names in the visit's folder and in its `.units` folder."""
        folders = self.place.visit_folder(VISIT), self.place.units_folder(VISIT)
        images, receipts = (sorted(entry.name for entry in self.storage.list(folder)) for folder in folders)
        return images, receipts

    def content(self, name: str) -> bytes | None:
        url = self.place.file_url(VISIT, name)
        return None if self.storage.stat(url) is None else self.storage.read(url, limit_bytes=1000)

    def put(self, name: str, content: bytes) -> None:
        """Somebody writes a file there, `.units/...` too."""
        url = join_url(self.place.visit_folder(VISIT), *name.split("/"))
        self.storage.delete(url)
        self.storage.create(url, content)

    def check_visible(self) -> None:
        """Whatever stands under a final name is whole; call it at any moment."""
        for name in NAMES:
            content = self.content(name)
            assert content is None or content in {content_of(name, token) for token in TOKENS}, (name, content)

    def check_done(self) -> UnitManifest:
        """One valid manifest, exactly its files with its bytes, nothing else; call it when all is over."""
        manifest = self.manifest()
        assert manifest is not None
        assert self.names() == (sorted(NAMES), [manifest_name(UNIT.id)])
        for file in manifest.files:
            content = self.content(file.name)
            assert content == content_of(file.name, manifest.token)
            assert f"{zlib.adler32(content):08x}" == file.adler32
        return manifest


def killing_storage(world: World, step: int, manner: str) -> ScriptedStorage:
    """Kills at the given call: `before` it, `after` it, or in the `middle` of a write that leaves half a file."""
    calls = 0

    def before(operation: str, url: str) -> None:
        nonlocal calls
        calls += 1
        if calls != step or manner == "after":
            return
        if manner == "middle":
            if operation == "put":
                world.storage.delete(url)
                world.storage.create(url, b"half a fi")
            elif operation == "create" and world.storage.stat(url) is None:
                world.storage.create(url, b'{"unit": "v873')
        raise Killed

    def after(operation: str, url: str) -> None:
        world.check_visible()
        if calls == step:
            raise Killed

    return ScriptedStorage(world.storage, before=before, after=after)


def check_a_kill(world: World, step: int, manner: str) -> None:
    """An attempt that is killed at that call of storage shows nothing half made, and the next one makes the rest."""
    with suppress(Killed):
        world.commit("a", killing_storage(world, step, manner))
    world.check_visible()
    committed = world.manifest() is not None
    world.attempt("b")
    assert world.check_done().token == ("a" if committed else "b")


def interleave(
    world: World, actors: Sequence[Callable[[Storage], object]], picks: Iterator[int]
) -> list[object | BaseException]:
    """Run the actors one storage call at a time, in the order of the picks; what each returned or raised.

    Each actor gets a storage of its own. A pick chooses among the actors that are not done; when the picks are used up
    the actors run to their ends one after the other.
    """
    turns = [threading.Semaphore(0) for _ in actors]
    paused = threading.Semaphore(0)
    results: dict[int, object | BaseException] = {}

    def play(number: int, actor: Callable[[Storage], object]) -> None:
        def wait(operation: str, url: str) -> None:
            paused.release()
            assert turns[number].acquire(timeout=20)

        turns[number].acquire()
        try:
            results[number] = actor(ScriptedStorage(world.storage, before=wait))
        except BaseException as error:  # noqa: BLE001 - it is handed to the test
            results[number] = error
        paused.release()

    threads = [threading.Thread(target=play, args=item, daemon=True) for item in enumerate(actors)]
    for thread in threads:
        thread.start()
    while running := [number for number in range(len(actors)) if number not in results]:
        turns[running[next(picks, 0) % len(running)]].release()
        assert paused.acquire(timeout=20)
        world.check_visible()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(actors))]
