"""What became of the payload, in PanDA's words; for the job's page, the report in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilot.common.errorcodes import ErrorCodes
from pilot.user.generic import diagnose as generic
from pilot.user.generic.diagnose import *  # noqa: F403

from .core import packing
from .core.panda import Verdict, extracts, verdict
from .core.report import ensure_report

_errors = ErrorCodes()


def interpret(job: Any) -> int:
    """Set the job's error fields from our reports; non-zero if the job failed.

    The pilot has only seen an exit code: 1305 and a line of stderr. A job that needs more memory gets 1212, to which
    PanDA instances have rules of their own.
    """
    workdir = Path(job.workdir)
    try:
        return _interpret(job, workdir) if packing.wait_for_folder(workdir) else 0
    finally:
        packing.end(workdir)


def _interpret(job: Any, workdir: Path) -> int:
    if not (workdir / "journal.jsonl").exists() and not (workdir / "jobReport.json").exists():
        return 0
    ensure_report(workdir)
    found = verdict(workdir)
    job.nevents = found.n_done
    if found.code:
        job.exeerrorcode, job.exeerrordiag = found.code, found.text
        _blame(job, found)
    return found.code


def _blame(job: Any, found: Verdict) -> None:
    """The pilot's own error fields, which PanDA shows first."""
    if found.needs_memory:
        _errors.add_error_code(_errors.PAYLOADOUTOFMEMORY, priority=True, msg=found.text)
    codes, texts = _errors.add_error_code(_errors.PAYLOADEXECUTIONFAILURE, msg=found.text)
    texts[codes.index(_errors.PAYLOADEXECUTIONFAILURE)] = found.text
    if found.code in codes:  # where the pilot did not find stderr it took our exit code for one of its own
        place = codes.index(found.code)
        del codes[place], texts[place]
    job.piloterrorcodes, job.piloterrordiags = codes, texts


def get_log_extracts(job: Any, state: str) -> str:
    """What PanDA's monitor shows as the end of the pilot log: our report first, it keeps 1024 characters."""
    return "\n".join(part for part in (extracts(Path(job.workdir)), generic.get_log_extracts(job, state)) if part)
