"""The job's place on storage and in the catalog: what is done there already, and what this run adds.

One place for the whole job, so that stages need not know about manifests, tokens and datasets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from transformation.checkpoints import Checkpoints
from transformation.journal import Journal
from transformation.layout import JobPlace
from transformation.ledger import Ledger
from transformation.model.failures import Failed, JobError
from transformation.model.manifest import Measured, UnitManifest
from transformation.model.work import StoredFile, Unit
from transformation.ports import Catalog, Storage, StorageError
from transformation.register import Registration
from transformation.registrar import Registrar
from transformation.resume import Conflict, Done, KnownFailure, Lost, what_is_done
from transformation.simulate import Attempt, Good
from transformation.stage_in import StagedVisit
from transformation.stage_out import (
    Adopted,
    Committed,
    Outcome,
    Receipt,
    Transfer,
    commit_unit,
    record_empty,
    record_failure,
)
from transformation.standing import Sealed


class Destination:
    """Commits, registers and remembers the units of one job."""

    def __init__(
        self,
        storage: Storage,
        catalog: Catalog | None,
        place: JobPlace,
        ledger: Ledger,
        journal: Journal,
        *,
        visits: Sequence[StagedVisit],
        metadata: Mapping[str, str | int],
        gather_s: float = 0.0,
    ) -> None:
        self.place = place
        self.catalog = catalog
        self._storage = storage
        self._ledger = ledger
        self._journal = journal
        self._visits = {staged.visit: staged for staged in visits}
        self._metadata = metadata
        self._registrar = (
            None if catalog is None else Registrar(catalog, place, gather_s=gather_s, tell=self._note_registration)
        )

    def close(self) -> None:
        """End what serves the storage; uploads under way fail."""
        self._storage.close()

    def resume(self, units: Sequence[Unit]) -> list[Unit]:
        """Enter into the ledger what earlier attempts did; the units that remain. Raises `JobError`."""
        digests = {visit: staged.digest for visit, staged in self._visits.items()}
        try:
            verdicts = what_is_done(self._storage, self.place, units, digests)
        except StorageError as error:
            raise JobError(error.failure, f"what is done already cannot be asked: {error.detail}") from None
        remaining = []
        for unit in units:
            match verdicts.get(unit.id):
                case Done(sealed=sealed):
                    self._enter(unit, sealed, made_in_this_run=False)
                case Conflict(failed=failed) | KnownFailure(failed=failed):
                    self._ledger.failed(unit, failed)
                case Lost(reason=reason):
                    self._journal.write("unit_lost", unit=unit.id, reason=reason)
                    remaining.append(unit)
                case None:
                    remaining.append(unit)
        return remaining

    def commit(self, staged: StagedVisit, unit: Unit, attempt: Attempt, good: Good) -> Failed | None:
        """Upload, commit and register a judged unit; what went wrong with its images, None if they are safe."""
        measured = Measured(
            wall_s=round(attempt.wall_s, 3), cpu_s=round(attempt.cpu_s, 3), max_rss_bytes=attempt.max_rss_bytes
        )
        outcome = commit_unit(
            self._storage,
            self.place,
            unit,
            good.files,
            receipt=self._receipt(staged, attempt.number, notes=good.notes, measured=measured),
            token=f"{self._journal.run}-{attempt.number}",
            clock=time.time,
            record=self._note_transfer,
        )
        return self._settle(unit, outcome)

    def checkpoints(self, unit: Unit, attempt: int, *, last: int) -> Checkpoints:
        """Those of a unit that is made in segments 0 to `last`."""

        def tell(event: str, segment: int, problem: str) -> None:
            self._journal.write(event, unit=unit.id, segment=segment, problem=problem)

        return Checkpoints(
            storage=self._storage,
            place=self.place,
            unit=unit,
            digest=self._visits[unit.visit].digest,
            last=last,
            token=f"{self._journal.run}-{attempt}",
            tell=tell,
        )

    def commit_empty(self, staged: StagedVisit, unit: Unit) -> Failed | None:
        """Leave the receipt of a unit without objects."""
        receipt = self._receipt(staged, 1)
        token = f"{self._journal.run}-0"
        outcome = record_empty(self._storage, self.place, unit, receipt=receipt, token=token, clock=time.time)
        return self._settle(unit, outcome)

    def remember_failure(self, unit: Unit, failed: Failed) -> None:
        """Leave word beside the images that no further try can help, so that none is made."""
        receipt = self._receipt(self._visits[unit.visit], 1)
        unwritten = record_failure(self._storage, self.place, unit, failed, receipt=receipt, clock=time.time)
        if unwritten is not None:
            self._journal.write("failure_not_recorded", unit=unit.id, detail=unwritten.detail)

    def finish_registration(self, patience_s: float) -> Failed | None:
        """Register all that is committed and not in the catalog yet; why something is not, None if all is.

        A catalog that does nothing for so many seconds is left alone. Nothing is registered afterwards.
        """
        return None if self._registrar is None else self._registrar.finish(patience_s)

    def _settle(self, unit: Unit, outcome: Outcome) -> Failed | None:
        match outcome:
            case Committed(sealed=sealed):
                self._enter(unit, sealed, made_in_this_run=True)
            case Adopted(sealed=sealed):
                self._journal.write("unit_adopted", unit=unit.id, token=sealed.manifest.token)
                self._enter(unit, sealed, made_in_this_run=False)
            case Failed():
                return outcome
        return None

    def _enter(self, unit: Unit, sealed: Sealed, *, made_in_this_run: bool) -> None:
        manifest = sealed.manifest
        if manifest.state == "empty":
            self._ledger.empty(unit, made_in_this_run=made_in_this_run)
        else:
            files = self._stored_files(manifest)
            self._ledger.committed(unit, files, made_in_this_run=made_in_this_run, notes=manifest.notes)
        if self._registrar is not None:
            self._registrar.add(sealed)

    def _stored_files(self, manifest: UnitManifest) -> list[StoredFile]:
        return [
            StoredFile(
                name=file.name,
                url=self.place.file_url(manifest.visit, file.name),
                role=file.role,
                size_bytes=file.size_bytes,
                adler32=file.adler32,
                amplifier=file.amplifier,
            )
            for file in manifest.files
        ]

    def _note_registration(self, registration: Registration) -> None:
        self._ledger.registered([unit.manifest.unit for unit in registration.done])
        for failed in (registration.conflict, registration.pending):
            if failed is not None:
                self._journal.write("registration_failed", failure=failed.failure.name, detail=failed.detail)

    def _receipt(
        self, staged: StagedVisit, attempt: int, *, notes: tuple[str, ...] = (), measured: Measured | None = None
    ) -> Receipt:
        return Receipt(
            digest=staged.digest,
            attempt=attempt,
            request=staged.identity,
            metadata=self._metadata,
            notes=notes,
            measured=measured or Measured(),
        )

    def _note_transfer(self, transfer: Transfer) -> None:
        self._journal.write(
            "transfer",
            url=transfer.url,
            size_bytes=transfer.size_bytes,
            wall_s=round(transfer.wall_s, 3),
            problem=transfer.problem,
        )
