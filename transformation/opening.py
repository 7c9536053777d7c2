"""From a request to its destinations: which they are, whether this user may write there, and what opens them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from transformation.bases import endpoint_of, output_bases
from transformation.credentials import credentials_for
from transformation.destination import Destination
from transformation.doorkeeper import check_user
from transformation.job import Job
from transformation.journal import Journal
from transformation.ledger import Ledger
from transformation.register import COLLECTION
from transformation.stage_in import StagedVisit
from transformation.transfers import TransferLog
from transformation.wiring import Manner, gather_s, targets_for


def check_may_write(job: Job) -> list[str]:
    """The destinations, if the request's user may write there. Raises `JobError`, USER_REFUSED above all."""
    bases = output_bases(job.spec, job.site, str(job.request.folder.absolute()), job.workdir.root)
    for base in bases:
        endpoint = endpoint_of(job.site, base)
        credentials = credentials_for(base, endpoint.credential if endpoint else None)
        check_user(job.spec.user, credentials, job.site.storage.bind_user)
    return bases


def open_destination(
    job: Job, bases: Sequence[str], visits: Sequence[StagedVisit], release: str, ledger: Ledger, journal: Journal
) -> Destination:
    """The job's places on storage and in the catalog; to be closed. Raises `JobError`."""
    spec, transfers = job.spec, TransferLog(ledger, journal)
    targets = targets_for(
        bases,
        job.site,
        user=spec.user,
        job=spec.name,
        folder=job.workdir.root,
        manner=Manner(logs=job.workdir.logs, note=transfers.retried),
    )
    collection = {COLLECTION: spec.output.dataset} if spec.output.dataset else {}
    return Destination(
        targets,
        ledger,
        journal,
        transfers,
        visits=visits,
        metadata={"release": release, **panda_ids(), **collection},
        workdir=job.workdir.root,
        gather_s=gather_s(job.site),
    )


def panda_ids() -> dict[str, str | int]:
    """PanDA's ids, which the pilot exports (pilot 3, `PANDAID` and `PanDA_TaskID`)."""
    names = {"panda_id": "PANDAID", "panda_task_id": "PanDA_TaskID"}
    return {key: os.environ[name] for key, name in names.items() if name in os.environ}
