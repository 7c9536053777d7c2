"""The story of a submission: ask for doubles, claim the name, copy inputs, remember, hand over.

A process that dies before the job is remembered has submitted nothing: at most a name is lost. One that dies later
leaves a job that the same idempotency key, or `iod rerun NAME`, hands over to its end.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from submitter.catalogs import CatalogReader
from submitter.check_report import CheckReport
from submitter.inputs import Copies, localise_commands
from submitter.jobs import KEPT_ENVIRONMENT, Job, State
from submitter.prepare import Question
from submitter.records import (
    CLAIM_NAME,
    LARGEST_BYTES,
    REQUEST_NAME,
    Claim,
    RequestRecord,
    inputs_url,
    job_of,
    place_of_job,
    record_of,
)
from submitter.state import Store
from submitter.troubles import IodError, Trouble
from transformation.layout import JobPlace, join_url
from transformation.model import documents
from transformation.model.failures import Failure
from transformation.model.spec import JobSpec
from transformation.ports import Missing, Storage
from transformation.wiring import source_for, storage_for

_CLAIMS_TRIED = 200
Tell = Callable[[str], None]


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A job that stands in the state file; its parts may still have to be handed over."""

    job: Job
    existed: bool = False
    """It was submitted before, by the same key or under the same name."""


def earlier(store: Store, report: CheckReport) -> list[Job]:
    """Jobs that asked for the same before, and were not killed, the last first."""
    return [job for job in store.same_requests(digest_of(report)) if job.state is not State.KILLED]


def accept(store: Store, report: CheckReport, *, key: str | None, again: bool, tell: Tell = lambda _: None) -> Accepted:
    """Claim a name, copy inputs and remember the job. Raises `IodError`, `JobError`, `StorageError`.

    `again` says that the same request may be submitted once more.
    """
    digest = digest_of(report)
    if key is not None and (known := store.find_job(key=key)) is not None:
        if known.digest != digest:
            raise IodError(Trouble.SUBMITTED_ALREADY, f"the key '{key}' belongs to another request, {known.name}")
        return Accepted(job=known, existed=True)
    if (problem := report.refused) is not None:
        assert problem.row is not None
        raise IodError(problem.row, problem.message)
    before = earlier(store, report)
    if before and not again:
        raise IodError(Trouble.SUBMITTED_ALREADY, f"{before[0].name} asked for the same and is {before[0].state}")
    question = report.question
    with closing(storage_for(question.base)) as storage, closing(_reader(question)) as reader:
        return _Submission(store, storage, reader, report, digest, key, tell).run()


def rehearse(store: Store, report: CheckReport) -> Job:
    """The job that `accept` would make; nothing is claimed or copied. Raises as `accept` does."""
    question = report.question
    with closing(storage_for(question.base)) as storage, closing(_reader(question)) as reader:
        return _Submission(store, storage, reader, report, digest_of(report), None, lambda _: None).rehearse()


def digest_of(report: CheckReport) -> str:
    """Of what is asked for and where: names, comments and what is only kept are left out."""
    question = report.question
    spec = question.draft.spec
    stamps = [_stamp(one.path) for look in report.looks for one in look.catalogs]
    stamps += [_stamp(Path(one)) for one in _command_files(spec)]
    sizes = [one.size_bytes for look in report.looks for one in look.catalogs]
    visits = [msgspec.to_builtins(item) for item in spec.visit_items()]
    asked = {
        "user": spec.user,
        "visits": visits,
        "sizes": sizes,
        "stamps": stamps,
        "sensors": spec.sensors,
        "exposures": spec.exposures,
        "release": spec.release,
        "amplifiers": spec.amplifiers,
        "options": msgspec.to_builtins(spec.options),
        "site": question.site_name,
        "backend": question.backend,
        "base": spec.output.base,
    }
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _stamp(path: Path | None) -> int:
    """When a file of this machine was last changed: an edited catalog makes another request."""
    return 0 if path is None else path.stat().st_mtime_ns


def _command_files(spec: JobSpec) -> list[str]:
    """Command files of this machine; their locations are absolute."""
    named = dict.fromkeys(one for item in spec.visit_items() for one in item.commands or [] if isinstance(one, str))
    return [one for one in named if one.startswith("/")]


def _reader(question: Question) -> CatalogReader:
    return CatalogReader(lambda: source_for(question.site))


class _Submission:
    """One request on its way."""

    def __init__(
        self, store: Store, storage: Storage, reader: CatalogReader, report: CheckReport, digest: str, key: str | None,
        tell: Tell,
    ) -> None:  # fmt: skip
        self._store = store
        self._storage = storage
        self._reader = reader
        self._report = report
        self._question = report.question
        self._digest = digest
        self._key = key
        self._tell = tell

    def run(self) -> Accepted:
        spec = self._question.draft.spec
        if self._question.backend != "local":
            spec = localise_commands(spec, self._reader)
        with tempfile.TemporaryDirectory(prefix="iod-submit-") as folder:
            for name in self._names(spec.user):
                place = self._place(spec.user, name)
                self._refuse_double(place)
                owner = self._claim(place)
                if owner is None:
                    return Accepted(job=self._begin(spec, place, Path(folder)))
                if not self._question.draft.pattern.numbered:
                    return self._same_name(place, owner)
        raise IodError(Failure.REQUEST_CONFLICT, f"no free number for {self._question.draft.pattern.shown}")

    def _refuse_double(self, place: JobPlace) -> None:
        """Before a name is claimed: here one name means one job, at whatever destination its images are."""
        known = self._store.find_job(name=place.job)
        if known is None:
            return
        there = place_of_job(known)
        if (there.address, there.user) != (place.address, place.user):
            detail = f"{place.job} is the name of another job, {there.address}/{there.user}/{there.job}"
            raise IodError(Failure.REQUEST_CONFLICT, detail)

    def _begin(self, spec: JobSpec, place: JobPlace, folder: Path) -> Job:
        """Everything after the name is ours."""
        copies = Copies(place, self._reader, folder, n_jobs=self._report.n_pieces)
        named = msgspec.structs.replace(spec, name=place.job)
        job = self._job(named if self._question.backend == "local" else copies.rewrite(named))
        if copies.copies:
            self._tell(f"copying {len(copies.copies):,} files to {inputs_url(place)}")
        copies.make(self._storage)
        self._storage.create(inputs_url(place, REQUEST_NAME), msgspec.json.encode(record_of(job)) + b"\n")
        return self._store.add_job(job)

    def rehearse(self) -> Job:
        """As `run`, with a name that is only likely, and without what has to be fetched."""
        spec = self._question.draft.spec
        if self._question.backend != "local":
            spec = localise_commands(spec, self._reader)
        place = self._place(spec.user, self._names(spec.user)[0])
        named = msgspec.structs.replace(spec, name=place.job)
        with tempfile.TemporaryDirectory(prefix="iod-submit-") as folder:
            copies = Copies(place, self._reader, Path(folder), n_jobs=0)
            return self._job(named if self._question.backend == "local" else copies.rewrite(named))

    def _names(self, user: str) -> list[str]:
        """Names to try in order."""
        pattern = self._question.draft.pattern
        if not pattern.numbered:
            return [pattern.name(0)]
        there = self._storage.folders(join_url(self._question.base, user))
        last = max(pattern.numbers([*there, *self._store.names()]), default=0)
        return [pattern.name(number) for number in range(last + 1, last + 1 + _CLAIMS_TRIED)]

    def _place(self, user: str, name: str) -> JobPlace:
        try:
            return JobPlace(base=self._question.base, user=user, job=name)
        except ValueError as error:
            raise IodError(Failure.SPEC_INVALID, f"'name': {error}") from None

    def _job(self, spec: JobSpec) -> Job:
        question = self._question
        now_s = time.time()
        return Job(
            name=spec.name,
            user=spec.user,
            task=spec.task or "",
            comment=spec.comment or "",
            release=question.camera.name,
            backend=question.backend,
            site=question.site_name,
            queue=question.queue.name if question.queue else "",
            base=question.base,
            spec=encode_spec(spec),
            digest=self._digest,
            key=self._key,
            submitted_s=now_s,
            changed_s=now_s,
            plan=self._report.plan,
            n_units=self._report.plan.n_units,
            n_files=self._report.n_files,
            share=question.share,
            cpu_s=self._report.cpu_s,
            environment={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
        )

    def _claim(self, place: JobPlace) -> Claim | None:
        """Make the name ours; who has it if it is somebody else's."""
        claim = Claim(token=secrets.token_hex(8), digest=self._digest, host=os.uname().nodename)
        url = inputs_url(place, CLAIM_NAME)
        if self._storage.create(url, msgspec.json.encode(claim) + b"\n"):
            return None
        try:
            owner = documents.decode(self._storage.read(url, limit_bytes=LARGEST_BYTES), Claim)
        except (Missing, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Claim(token="")
        # A call that was repeated after a lost answer can meet its own work.
        return None if owner.token == claim.token else owner

    def _same_name(self, place: JobPlace, owner: Claim) -> Accepted:
        """A name that was written out and is taken: by the same request, which goes on, or by another one."""
        if owner.digest != self._digest:
            raise IodError(Failure.REQUEST_CONFLICT, f"{place.folder} belongs to another request")
        known = self._store.find_job(name=place.job)
        if known is None:
            record = read_request(self._storage, place)
            if record is None:
                raise IodError(Failure.REQUEST_CONFLICT, f"{place.folder} was claimed, and its request is not there")
            known = self._store.add_job(job_of(record, place.base))
        return Accepted(job=known, existed=True)


def encode_spec(spec: JobSpec) -> bytes:
    """The spec as it travels: JSON without what is only a default."""
    needed = {"schema_version": spec.schema_version, "name": spec.name, "user": spec.user, "sensors": spec.sensors}
    defaults = msgspec.to_builtins(documents.convert(needed, JobSpec))
    document = {key: value for key, value in msgspec.to_builtins(spec).items() if value != defaults.get(key)}
    return msgspec.json.encode(_without_nothing({**needed, **document}))


def _without_nothing(value: object) -> object:
    """Without keys that say nothing."""
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_nothing(item) for key, item in value.items()}
    return {key: item for key, item in kept.items() if item is not None and item != {}}


def read_request(storage: Storage, place: JobPlace) -> RequestRecord | None:
    """The request that owns a name; None if there is none, or none that can be read."""
    try:
        content = storage.read(inputs_url(place, REQUEST_NAME), limit_bytes=LARGEST_BYTES)
        return documents.decode(content, RequestRecord)
    except (Missing, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
