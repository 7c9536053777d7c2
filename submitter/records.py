"""What stands at the destination beside the images and belongs to the submitter, in `BASE/USER/NAME/.inputs/`.

request.json            the request; whoever creates it owns the name
parts-<...>.json        what was handed over: with these a lost state file is made anew
<folder>/<file>         copies of catalogs that workers could not reach
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from submitter.jobs import Job, Part, Plan, Share
from submitter.settings import BackendName
from transformation.layout import JobPlace, join_url

INPUTS_FOLDER = ".inputs"
CLAIM_NAME, REQUEST_NAME = "claim.json", "request.json"
LARGEST_BYTES = 64 << 20
_PARTS = "parts-"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns a name."""

    token: str
    """Unique to the act of claiming."""
    digest: str = ""
    """Of the request."""
    host: str = ""


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it was submitted."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)] = 1
    name: str
    user: str
    task: str = ""
    comment: str = ""
    release: str = ""
    backend: BackendName
    site: str
    queue: str = ""
    spec: msgspec.Raw
    digest: str
    key: str | None = None
    submitted_s: float = 0.0
    plan: Plan = Plan()
    n_files: int = 0
    share: Share = Share()
    cpu_s: tuple[float, float, float] = (0.0, 0.0, 0.0)


class PartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A part that somebody else runs."""

    number: int
    remote_id: int
    attempt: int = 1
    selects: tuple[str, ...] = ()


def inputs_url(place: JobPlace, *names: str) -> str:
    """A file in the submitter's folder."""
    return join_url(place.folder, INPUTS_FOLDER, *names)


def place_of_job(job: Job) -> JobPlace:
    """Where its images stand."""
    return JobPlace(base=job.base, user=job.user, job=job.name)


def parts_name(first_number: int, attempt: int) -> str:
    """Under this name parts that were handed over together are noted; later attempts sort after earlier ones."""
    return f"{_PARTS}{attempt:03d}-{first_number:06d}.json"


def is_parts(name: str) -> bool:
    """True for such a name."""
    return name.startswith(_PARTS) and name.endswith(".json")


def record_of(job: Job) -> RequestRecord:
    """The record of a job."""
    return RequestRecord(
        name=job.name,
        user=job.user,
        task=job.task,
        comment=job.comment,
        release=job.release,
        backend=job.backend,
        site=job.site,
        queue=job.queue,
        spec=msgspec.Raw(job.spec),
        digest=job.digest,
        key=job.key,
        submitted_s=job.submitted_s,
        plan=job.plan,
        n_files=job.n_files,
        share=job.share,
        cpu_s=job.cpu_s,
    )


def job_of(record: RequestRecord, base: str) -> Job:
    """The job that a record tells of."""
    return Job(
        name=record.name,
        user=record.user,
        task=record.task,
        comment=record.comment,
        release=record.release,
        backend=record.backend,
        site=record.site,
        queue=record.queue,
        base=base,
        spec=bytes(record.spec),
        digest=record.digest,
        key=record.key,
        submitted_s=record.submitted_s,
        changed_s=record.submitted_s,
        plan=record.plan,
        n_units=record.plan.n_units,
        n_files=record.n_files,
        share=record.share,
        cpu_s=record.cpu_s,
    )


def part_of(record: PartRecord, job_id: int) -> Part:
    """The part that a record tells of."""
    return Part(
        job_id=job_id,
        number=record.number,
        selects=record.selects,
        remote_id=record.remote_id,
        attempt=record.attempt,
    )
