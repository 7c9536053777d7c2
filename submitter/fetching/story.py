"""From a job to its files in a folder."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from submitter.fetching.doors import Doors
from submitter.fetching.manager import AT_ONCE, FetchReport, Tell, fetch_all
from submitter.fetching.patterns import matcher
from submitter.fetching.replicas import Replicas
from submitter.jobs import Job
from submitter.listing import Listing, list_files
from submitter.troubles import IodError, Trouble


def list_job(job: Job, pattern: str | None) -> Listing:
    """The files that a pattern means. Raises `IodError`, `StorageError`, `JobError`."""
    with closing(Doors()) as doors:
        return _list(job, pattern, doors)


def fetch_job(job: Job, pattern: str | None, to: Path | None, *, at_once: int | None, tell: Tell) -> FetchReport:
    """Fetch the files that a pattern means. Raises `IodError`, `StorageError`, `JobError`."""
    began = time.monotonic()
    folder = Path(job.name if to is None else to).absolute()
    with closing(Doors()) as doors:
        listing = _list(job, pattern, doors)
        replicas = Replicas(job)
        results = fetch_all(
            listing.files, folder, doors, more_urls=replicas.more_urls, at_once=at_once or AT_ONCE, tell=tell
        )
    notes = [*listing.notes, *filter(None, [replicas.problem])]
    return FetchReport(folder=folder, results=results, notes=notes, wall_s=time.monotonic() - began)


def _list(job: Job, pattern: str | None, doors: Doors) -> Listing:
    means = matcher(pattern)
    listing = list_files(job, doors)
    files = [file for file in listing.files if means(file)]
    if pattern is not None and not files:
        raise IodError(Trouble.NOTHING_FITS, f"of {len(listing.files):,} files of {job.name} none is '{pattern}'")
    return replace(listing, files=files)
