"""What became of a start of `lsst-trf`, from the report that it leaves in every case."""

from __future__ import annotations

from pathlib import Path

import msgspec

from submitter.jobs import Part, State
from transformation.model import documents
from transformation.model.failures import Failure
from transformation.model.report import JobReport

REPORT_NAME = "jobReport.json"
_STATES = {"done": State.DONE, "partial": State.PARTIAL, "failed": State.FAILED, "terminated": State.FAILED}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of one start."""

    failure: Failure | None
    """None if all is done."""
    message: str = ""
    n_done: int = 0
    n_failed: int = 0
    state: State = State.FAILED
    interrupted: bool = False
    """It was cut short from outside: killed, or the machine went down."""

    @property
    def exit_code(self) -> int:
        """Of the table."""
        return 0 if self.failure is None else self.failure.code


def read_report(workdir: Path) -> JobReport | None:
    """The report; None if there is none that can be read."""
    try:
        return documents.decode((workdir / REPORT_NAME).read_bytes(), JobReport)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_outcome(workdir: Path, part: Part) -> Outcome:
    """What the process of a part that is over has left."""
    report = read_report(workdir)
    if report is None or not _is_of(report, part):
        return Outcome(failure=Failure.TERMINATED, message="it was cut short before it could report", interrupted=True)
    n_done = sum(unit.state in {"committed", "empty"} for unit in report.units)
    n_failed = sum(unit.state == "failed" for unit in report.units)
    names = {failure.name: failure for failure in Failure}
    failure = None if report.exit_code == 0 else names.get(report.exit_acronym, Failure.INTERNAL_ERROR)
    interrupted = report.state == "running" or failure is Failure.WORKDIR_BUSY
    state = State.FAILED if interrupted else _STATES.get(report.state, State.FAILED)
    if state is State.FAILED and n_done:
        state = State.PARTIAL
    message = "" if failure is None else report.exit_msg
    return Outcome(
        failure=failure, message=message, n_done=n_done, n_failed=n_failed, state=state, interrupted=interrupted
    )


def _is_of(report: JobReport, part: Part) -> bool:
    """Whether the report is of this start, and not of one before it."""
    if part.begun_s is None:
        return True
    from datetime import datetime

    try:
        return datetime.fromisoformat(report.started).timestamp() >= part.begun_s - 1.0
    except ValueError:
        return False
