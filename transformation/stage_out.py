"""How the images of one unit become visible, exactly once, whatever dies and whoever else is at it.

Rules of this file
1. Upload under temporary names, ask the far end for size and checksum, create the manifest exclusively, rename: in this
   order. Creation is the commit; before it nothing is visible, after it every attempt can do the rest.
2. Once creation was tried, temporaries are not deleted on the way out of an error: the storage may have created the
   manifest and lost the answer, and then they are the images.
3. A manifest that lost a file is never mended under its own token: an attempt that still carries out its renames would
   mix versions. It is moved aside and the files go up again under another token.
4. `StorageError` ends here and becomes a `Failed`. Nothing is repeated because it failed: repetition is a coat around
   the storage. What is repeated, a few times, is the question who committed the unit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

from transformation.layout import JobPlace, failure_name, manifest_name, public_url
from transformation.model.failures import Failed, Failure
from transformation.model.manifest import (
    FailureRecord,
    ManifestFile,
    UnitManifest,
    encode,
    parse_manifest,
    temporary_name,
    timestamp,
)
from transformation.model.work import MadeFile, Unit
from transformation.outcomes import Adopted, Committed, Elsewhere, Outcome, Receipt, Transfer, conflict
from transformation.ports import Storage, StorageError
from transformation.standing import (
    Invalid,
    Standing,
    complete,
    hidden_of,
    lost_versions,
    read_manifest,
    set_aside,
    sweep,
    with_versions,
)

_GENERATIONS = 3
_ROUNDS = 8


def _alone() -> str | None:
    """With one destination there is nothing to agree about."""
    return None


def commit_unit(
    storage: Storage,
    place: JobPlace,
    unit: Unit,
    files: Sequence[MadeFile],
    *,
    receipt: Receipt,
    token: str,
    clock: Callable[[], float],
    record: Callable[[Transfer], None],
    agree: Callable[[], str | None] = _alone,
) -> Outcome:
    """Upload, check and commit the judged files of a unit.

    `token` (letters, digits, `_`, `-`; at most 50) is unique to this attempt at this unit, `clock` gives seconds since
    the epoch, `record` gets every transfer, maybe several at once. `agree` is asked once, when the files are there and
    before the unit is committed: it gives the address of another destination if the unit belongs there (it may raise
    `StorageError`). The failure is the storage's, or REQUEST_CONFLICT if a unit of another request stands under the
    same name; after a storage's failure the unit may be committed all the same.
    """
    commit = _Commit(
        storage=storage, place=place, unit=unit, files=files, receipt=receipt, clock=clock, record=record, agree=agree
    )
    return commit.run(token)


def record_empty(
    storage: Storage, place: JobPlace, unit: Unit, *, receipt: Receipt, token: str, clock: Callable[[], float],
    agree: Callable[[], str | None] = _alone,
) -> Outcome:  # fmt: skip
    """Commit a unit without objects: a manifest that names no file."""
    return commit_unit(
        storage, place, unit, (), receipt=receipt, token=token, clock=clock, record=lambda _: None, agree=agree
    )


def record_failure(
    storage: Storage, place: JobPlace, unit: Unit, failed: Failed, *, receipt: Receipt, clock: Callable[[], float]
) -> Failed | None:
    """Leave word that this request cannot succeed for the unit, so that nobody tries again; None if that worked."""
    url = place.receipt_url(unit.visit, failure_name(unit.id))
    note = FailureRecord(
        unit=unit.id,
        digest=receipt.digest,
        failure=failed.failure.name,
        detail=failed.detail,
        attempt=receipt.attempt,
        written=timestamp(clock()),
    )
    try:
        storage.delete(url)
        storage.create(url, encode(note))
    except StorageError as error:
        return _failed(error)
    return None


class _Commit(msgspec.Struct, frozen=True, kw_only=True):
    storage: Storage
    place: JobPlace
    unit: Unit
    files: Sequence[MadeFile]
    receipt: Receipt
    clock: Callable[[], float]
    record: Callable[[Transfer], None]
    agree: Callable[[], str | None]

    def run(self, token: str) -> Outcome:
        for generation in range(_GENERATIONS):
            draft = self._draft(f"{token}-{generation}" if generation else token)
            try:
                problem = self._upload(draft)
                if problem is None and generation == 0 and (address := self.agree()) is not None:
                    self._drop(draft)
                    return Elsewhere(address=address)
                outcome = self._settle(draft) if problem is None else self._withdraw(draft, problem)
            except StorageError as error:
                return self._last_look(draft, _failed(error))
            if outcome is not None:
                return outcome
        return self._gives_up()

    def _draft(self, token: str) -> UnitManifest:
        draft = UnitManifest(
            unit=self.unit.id,
            visit=self.unit.visit,
            sensor=self.unit.sensor,
            exposure=self.unit.exposure,
            filter=self.unit.filter,
            state="committed" if self.files else "empty",
            digest=self.receipt.digest,
            request=dict(self.receipt.request),
            token=token,
            attempt=self.receipt.attempt,
            written=timestamp(self.clock()),
            files=tuple(_manifest_file(file, token) for file in self.files),
            metadata={**self.receipt.metadata, "job": self.place.job, "user": self.place.user},
            notes=self.receipt.notes,
            measured=self.receipt.measured,
        )
        match parse_manifest(encode(draft), unit=self.unit.id):
            case str(reason):
                raise ValueError(f"nobody could read this manifest of {self.unit.id}: {reason}")
            case readable:
                return readable

    def _upload(self, draft: UnitManifest) -> Failed | None:
        """Send and check all files, several at once where the storage profits; the first problem ends it."""
        pairs = list(zip(self.files, draft.files, strict=True))
        if self.storage.parallel == 1 or len(pairs) < 2:
            problems = (self._send(draft.visit, made, file) for made, file in pairs)
            return next(filter(None, problems), None)
        failed = threading.Event()

        def send(made: MadeFile, file: ManifestFile) -> Failed | None:
            problem = None if failed.is_set() else self._send(draft.visit, made, file)
            if problem is not None:
                failed.set()
            return problem

        with ThreadPoolExecutor(self.storage.parallel, thread_name_prefix="upload") as pool:
            sent = [pool.submit(send, made, file) for made, file in pairs]
            return next(filter(None, [one.result() for one in sent]), None)

    def _send(self, visit: str, made: MadeFile, file: ManifestFile) -> Failed | None:
        url = self.place.file_url(visit, file.temporary)
        started_s = self.clock()
        try:
            self.storage.put(made.path, url)
            problem = self._check(url, file)
        except StorageError as error:
            problem = _failed(error)
        wall_s = max(0.0, self.clock() - started_s)
        self.record(Transfer(name=file.name, url=url, size_bytes=file.size_bytes, wall_s=wall_s, failed=problem))
        return problem

    def _check(self, url: str, file: ManifestFile) -> Failed | None:
        """Ask the far end what it holds: a copy that was repeated or cut off may have been reported as good."""
        stat = self.storage.stat(url)
        if stat is None:
            return Failed(failure=Failure.STORAGE_DAMAGED, detail=f"{public_url(url)} was stored, and is not there")
        sent = f"{file.size_bytes} bytes with adler32 {file.adler32}"
        held = f"{stat.size_bytes} bytes with adler32 {self.storage.adler32(url)}"
        if held == sent:
            return None
        return Failed(failure=Failure.STORAGE_DAMAGED, detail=f"{public_url(url)} holds {held}; sent were {sent}")

    def _withdraw(self, draft: UnitManifest, problem: Failed) -> Outcome:
        """Give up the upload; it may have failed because a faster attempt cleaned up after its commit."""
        if problem.failure is not Failure.STORAGE_UNREACHABLE:
            self._drop(draft)
        return self._last_look(draft, problem)

    def _last_look(self, draft: UnitManifest, problem: Failed) -> Outcome:
        """The unit may be committed all the same: by a faster attempt that was in our way, or by us."""
        if problem.failure is Failure.STORAGE_UNREACHABLE:
            return problem  # every further question would take its time-out; others will clean up
        try:
            found = read_manifest(self.storage, self.place, draft.visit, draft.unit)
            outcome = self._verdict(found, draft) if isinstance(found, Standing) else None
        except StorageError:
            return problem
        return outcome or problem

    def _settle(self, draft: UnitManifest) -> Outcome | None:
        """Find out whose manifest stands, ours if there is none; None if ours stands without its files."""
        versions = lost_versions(self.storage, self.place, self.unit, hidden_of(draft.unit, self._receipts()))
        for round_ in range(_ROUNDS):
            found = self._create_and_read(_replacing(draft, versions))
            if found is None:
                continue
            if isinstance(found, Standing):
                outcome = self._verdict(found, draft)
                if outcome is not None:
                    return outcome
                versions = with_versions(versions, found)
            token = f"{draft.token}-{round_}"
            set_aside(self.storage, self.place, self.unit, found.content, token=token)
            if isinstance(found, Standing) and found.manifest.token == draft.token:
                return None
        return self._gives_up()

    def _create_and_read(self, manifest: UnitManifest) -> Standing | Invalid | None:
        """What stands after our manifest was put there, if there was none.

        The answer of `create` is not enough: where a new file is seen before it is whole, another attempt may have
        judged ours half-written and moved it while it was being closed. The token tells whose it is.
        """
        self.storage.create(self.place.receipt_url(manifest.visit, manifest_name(manifest.unit)), encode(manifest))
        return read_manifest(self.storage, self.place, manifest.visit, manifest.unit)

    def _verdict(self, found: Standing, draft: UnitManifest) -> Outcome | None:
        """What a standing manifest means for this attempt; None if it lost a file."""
        manifest = found.manifest
        if manifest.digest != draft.digest:
            self._drop(draft)
            return conflict(self.unit, found=manifest.digest, wanted=draft.digest)
        own = manifest.token == draft.token
        checked = {file.temporary: file.size_bytes for file in manifest.files} if own else {}
        if complete(self.storage, self.place, manifest, checked):
            return None
        with suppress(StorageError):  # the unit is committed; what is left lying is the next attempt's to remove
            names = [entry.name for entry in self.storage.list(self.place.visit_folder(draft.visit))]
            sweep(self.storage, self.place, self.unit, found, names, self._receipts())
        return Committed(sealed=found.sealed) if own else Adopted(sealed=found.sealed)

    def _receipts(self) -> list[str]:
        return [entry.name for entry in self.storage.list(self.place.units_folder(self.unit.visit))]

    def _drop(self, draft: UnitManifest) -> None:
        with suppress(StorageError):
            for file in draft.files:
                self.storage.delete(self.place.file_url(draft.visit, file.temporary))

    def _gives_up(self) -> Failed:
        detail = f"{self.unit.id}: what is stored there is taken away or spoiled each time"
        return Failed(failure=Failure.STORAGE_DAMAGED, detail=detail)


def _manifest_file(made: MadeFile, token: str) -> ManifestFile:
    return ManifestFile(
        name=made.name,
        role=made.role,
        amplifier=made.amplifier,
        size_bytes=made.size_bytes,
        adler32=made.adler32,
        temporary=temporary_name(made.name, token),
    )


def _replacing(draft: UnitManifest, versions: Mapping[str, frozenset[str]]) -> UnitManifest:
    files = tuple(
        msgspec.structs.replace(file, replaces=tuple(sorted(versions.get(file.name, frozenset()) - {file.adler32})))
        for file in draft.files
    )
    earlier = tuple(sorted(versions.get(manifest_name(draft.unit), frozenset())))
    return msgspec.structs.replace(draft, files=files, replaces=earlier)


def _failed(error: StorageError) -> Failed:
    return Failed(failure=error.failure, detail=error.detail)
