"""The job's places on storage and in the catalog: what is done there already, and what this run adds.

One object for the whole job, so that stages need not know about manifests, tokens, claims and datasets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from transformation.checkpoints import Checkpoints
from transformation.committing import Committer, Send
from transformation.doorkeeper import Doorkeeper
from transformation.journal import Journal
from transformation.kept import Kept, find_kept, forget_kept, keep
from transformation.layout import JobPlace
from transformation.ledger import Ledger
from transformation.model.failures import Failed, JobError
from transformation.model.manifest import Measured, UnitManifest
from transformation.model.report import DestinationReport
from transformation.model.work import Unit
from transformation.outcomes import Adopted, Outcome, Receipt
from transformation.ports import Catalog, StorageError, Survey
from transformation.register import Registration
from transformation.registrar import Registrar
from transformation.room import Room, check_room
from transformation.simulate import Attempt, Good
from transformation.stage_in import StagedVisit
from transformation.stage_out import commit_unit, record_empty, record_failure
from transformation.standing import Sealed, Standing, read_manifest
from transformation.targets import PASSED_ON, Target, Targets, worst
from transformation.transfers import TransferLog
from transformation.whereabouts import find_units


class Destination:
    """Commits, registers and remembers the units of one job, at one or several destinations."""

    def __init__(
        self,
        targets: Targets,
        ledger: Ledger,
        journal: Journal,
        transfers: TransferLog,
        *,
        visits: Sequence[StagedVisit],
        metadata: Mapping[str, str | int],
        workdir: Path,
        gather_s: float = 0.0,
    ) -> None:
        self._targets = targets
        self._ledger = ledger
        self._journal = journal
        self._transfers = transfers
        self._visits = {staged.visit: staged for staged in visits}
        self._metadata = metadata
        self._workdir = workdir
        self._doorkeeper = Doorkeeper(targets.all)
        self._committer = Committer(targets, self._doorkeeper.explain)
        self._surveys: Mapping[str, Survey] = {}
        catalogs = {target.catalog.place: target.catalog for target in targets.all if target.catalog is not None}
        self._registrars = {
            place: Registrar(catalog, gather_s=gather_s, tell=self._note_registration, look=self._look)
            for place, catalog in catalogs.items()
        }

    @property
    def place(self) -> JobPlace:
        """The first destination that is used, while there is none the first."""
        return self._targets.first_used().place

    @property
    def catalog(self) -> Catalog | None:
        """Of the same."""
        return self._targets.first_used().catalog

    @property
    def reports(self) -> list[DestinationReport]:
        """What the job report says of all of them; they change while the job runs."""
        return self._targets.reports

    def close(self) -> None:
        """End what serves the storages; uploads under way fail."""
        for target in self._targets.all:
            for storage in (target.hasty, target.storage):
                storage.close()

    # -- before anything is made

    def resume(self, units: Sequence[Unit]) -> list[Unit]:
        """Enter into the ledger what earlier attempts did; the units that remain. Raises `JobError`."""
        digests = {visit: staged.digest for visit, staged in self._visits.items()}
        for target in self._targets.all:
            self._targets.report(target).credential = self._doorkeeper.describe(target)
        try:
            found = find_units(self._targets, units, digests, explain=self._doorkeeper.explain)
        except StorageError as error:
            raise JobError(error.failure, f"what is done already cannot be asked: {error.detail}") from None
        self._surveys = found.surveys
        self._committer.know(found.bound, found.unheard)
        self.tell_destinations()
        remaining = []
        for unit in units:
            if (at := found.done.get(unit.id)) is not None:
                self._enter(unit, at.target, at.verdict.sealed, made_in_this_run=False)
                forget_kept(self._workdir, unit)
                for address in found.twice.get(unit.id, ()):
                    self._note_twin(unit.id, address)
            elif (failed := found.failed.get(unit.id)) is not None:
                self._ledger.failed(unit, failed)
            else:
                if (reason := found.lost.get(unit.id)) is not None:
                    self._journal.write("unit_lost", unit=unit.id, reason=reason)
                remaining.append(unit)
        return self._send_kept(remaining)

    def check_room(self, *, needed_bytes: int, largest_bytes: int) -> tuple[Failed | None, tuple[str, ...]]:
        """Why so many bytes in all, and the largest unit, will not fit; and what else a person should know of it."""
        answering = [target for target in self._targets.all if target.address in self._surveys]
        rooms = [Room(address=one.address, free_bytes=self._surveys[one.address].free_bytes) for one in answering]
        findings = check_room(rooms, needed_bytes=needed_bytes, largest_bytes=largest_bytes)
        for target, room, full in zip(answering, rooms, findings.full, strict=True):
            self._targets.report(target).free_bytes = room.free_bytes
            if full is not None:
                self._targets.leave(target, full)
        return findings.failed, findings.warnings

    def too_late(self, unit: Unit, needed_s: float) -> Failed | None:
        """Why a unit that takes so many seconds could not be stored any more; None if it can, as far as is known."""
        return self._doorkeeper.too_late(unit.id, needed_s=needed_s, size_bytes=unit.estimated_bytes)

    # -- units

    def commit(self, staged: StagedVisit, unit: Unit, attempt: Attempt, good: Good) -> Failed | None:
        """Upload, commit and register a judged unit; what went wrong with its images, None if they are safe."""
        measured = Measured(
            wall_s=round(attempt.wall_s, 3), cpu_s=round(attempt.cpu_s, 3), max_rss_bytes=attempt.max_rss_bytes
        )
        made = Kept(files=good.files, attempt=attempt.number, notes=good.notes, measured=measured)
        return self._commit(staged, unit, made)

    def commit_empty(self, staged: StagedVisit, unit: Unit) -> Failed | None:
        """Leave the receipt of a unit without objects."""
        receipt, token = self._receipt(staged, 1), f"{self._journal.run}-0"

        def send(target: Target, agree: Callable[[], str | None]) -> Outcome:
            storage = self._targets.storage_of(target)
            return record_empty(storage, target.place, unit, receipt=receipt, token=token, clock=time.time, agree=agree)

        return self._settle(staged, unit, send, token)

    def remember_failure(self, unit: Unit, failed: Failed) -> None:
        """Leave word beside the images that no further try can help, so that none is made."""
        receipt, target = self._receipt(self._visits[unit.visit], 1), self._committer.home(unit)
        unwritten = record_failure(target.hasty, target.place, unit, failed, receipt=receipt, clock=time.time)
        if unwritten is not None:
            self._journal.write("failure_not_recorded", unit=unit.id, detail=unwritten.detail)

    def checkpoints(self, unit: Unit, attempt: int, *, last: int) -> Checkpoints:
        """Those of a unit that is made in segments 0 to `last`."""

        def tell(event: str, segment: int, problem: str) -> None:
            self._journal.write(event, unit=unit.id, segment=segment, problem=problem)

        target = self._committer.home(unit)
        return Checkpoints(
            storage=self._targets.storage_of(target),
            place=target.place,
            unit=unit,
            digest=self._visits[unit.visit].digest,
            last=last,
            token=f"{self._journal.run}-{attempt}",
            tell=tell,
        )

    def ship_debug(self, unit: Unit, attempt: int, archive: Path) -> str:
        """Leave the work files of an attempt beside the unit's images; where. Raises `StorageError`."""
        target = self._committer.home(unit)
        url = target.place.debug_url(unit.visit, f"{unit.id}-{self._journal.run}-{attempt}.tar.gz")
        target.hasty.put(archive, url)
        return url

    def finish_registration(self, patience_s: float) -> Failed | None:
        """Register all that is committed and not in the catalog yet; why something is not, None if all is.

        A catalog that does nothing for so many seconds is left alone. Nothing is registered afterwards.
        """
        problems = [registrar.finish(patience_s) for registrar in self._registrars.values()]
        left = [failed for failed in problems if failed is not None]
        return worst(left) if left else None

    def tell_destinations(self) -> None:
        """Tell those that answer where units were committed that they have not heard of."""
        for failed in self._committer.tell_all(token=f"{self._journal.run}-0"):
            self._journal.write("destination_not_told", failure=failed.failure.name, detail=failed.detail)

    def _commit(self, staged: StagedVisit, unit: Unit, made: Kept) -> Failed | None:
        receipt = self._receipt(staged, made.attempt, notes=made.notes, measured=made.measured)
        token = f"{self._journal.run}-{made.attempt}"

        def send(target: Target, agree: Callable[[], str | None]) -> Outcome:
            return commit_unit(
                self._targets.storage_of(target),
                target.place,
                unit,
                made.files,
                receipt=receipt,
                token=token,
                clock=time.time,
                record=partial(self._transfers.sent, unit),
                agree=agree,
            )

        failed = self._settle(staged, unit, send, token)
        if failed is None:
            forget_kept(self._workdir, unit)
        elif failed.failure in PASSED_ON:
            self._keep(staged, unit, made)
        return failed

    def _settle(self, staged: StagedVisit, unit: Unit, send: Send, token: str) -> Failed | None:
        settled = self._committer.commit(unit, send, digest=staged.digest, token=token)
        if isinstance(settled, Failed):
            return settled
        adopted = isinstance(settled.outcome, Adopted)
        if adopted:
            self._journal.write("unit_adopted", unit=unit.id, token=settled.outcome.manifest.token)
        self._enter(unit, settled.target, settled.outcome.sealed, made_in_this_run=not adopted)
        return None

    def _enter(self, unit: Unit, target: Target, sealed: Sealed, *, made_in_this_run: bool) -> None:
        manifest = sealed.manifest
        self._targets.used(target)
        if manifest.state == "empty":
            self._ledger.empty(unit, made_in_this_run=made_in_this_run)
        else:
            files = sealed.stored_files
            self._ledger.committed(unit, files, made_in_this_run=made_in_this_run, notes=manifest.notes)
        if target.catalog is not None:
            self._registrars[target.catalog.place].add(sealed)

    # -- images that could not be stored

    def _keep(self, staged: StagedVisit, unit: Unit, made: Kept) -> None:
        folder = keep(self._workdir, unit, made, digest=staged.digest)
        if folder is not None:
            self._ledger.kept(unit, str(folder.relative_to(self._workdir)))
            self._journal.write("unit_kept", unit=unit.id, folder=str(folder))

    def _send_kept(self, units: Sequence[Unit]) -> list[Unit]:
        """Commit what an earlier run in this work folder could not; the units that have to be made."""
        remaining = []
        for unit in units:
            staged = self._visits[unit.visit]
            made = find_kept(self._workdir, unit, digest=staged.digest)
            if made is None:
                remaining.append(unit)
            elif (failed := self._commit(staged, unit, made)) is not None:
                self._ledger.failed(unit, failed)
        return remaining

    # -- bookkeeping

    def _look(self, url: str, manifest: UnitManifest) -> UnitManifest | None:
        """The manifest of the same unit at another of the destinations."""
        for target in self._targets.all:
            if target.place.holds(url):
                try:
                    found = read_manifest(target.hasty, target.place, manifest.visit, manifest.unit)
                except StorageError:
                    return None
                return found.manifest if isinstance(found, Standing) else None
        return None

    def _note_registration(self, registration: Registration) -> None:
        elsewhere = [unit for unit, _ in registration.elsewhere]
        self._ledger.registered([unit.manifest.unit for unit in (*registration.done, *elsewhere)])
        for unit, url in registration.elsewhere:
            self._note_twin(unit.manifest.unit, url)
        for failed in (registration.conflict, registration.pending):
            if failed is not None:
                self._journal.write("registration_failed", failure=failed.failure.name, detail=failed.detail)

    def _note_twin(self, unit_id: str, place: str) -> None:
        self._ledger.noted(unit_id, f"the same request is committed at {place}, too")
        self._journal.write("unit_twice", unit=unit_id, place=place)

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
