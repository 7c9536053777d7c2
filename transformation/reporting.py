"""Keep `jobReport.json` and `payload_error_report.json` true from the first second to the last.

Both are written when the job starts, as they should read if it is killed; the report is renewed while it runs, and both
are settled at the end. A report can always be read whole: files are replaced, never edited.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from site_configs.plain_text import plain
from transformation import __version__
from transformation.destination import Destination
from transformation.dossier import write_dossier
from transformation.journal import to_json, utc_now
from transformation.layout import public_url
from transformation.ledger import Ledger
from transformation.locations import redacted, redacted_deeply
from transformation.memory_monitor import MemoryMonitor
from transformation.model.failures import Failed, Failure
from transformation.model.report import (
    JobPredictedReport,
    JobReport,
    PayloadErrorReport,
    ProgressReport,
    ReleaseReport,
    VisitReport,
)
from transformation.model.spec import JobSpec
from transformation.model.work import Unit
from transformation.process import Processes
from transformation.resources import Share
from transformation.simulator.release import Release
from transformation.stage_in import StagedVisit
from transformation.workdir import WorkDir, write_whole

_RENEW_S = 2.0
_ROOM_BYTES = 1 << 18
"""Of the last reports and journal lines: enough for a hundred units with all their images."""
LONGEST_DIAGNOSIS = 256
"""PanDA cuts a diagnosis there (pilot 3, `exeErrorDiag`)."""


class Reporter:
    """Holds the report and writes it."""

    def __init__(self, workdir: WorkDir, ledger: Ledger, run: str) -> None:
        self._workdir = workdir
        self._ledger = ledger
        self._begun = time.monotonic()
        self._written = 0.0
        self._version = -1
        self.is_written = False
        """Whether the report on disk is the present one."""
        self._processes: Processes | None = None
        self._destination: Destination | None = None
        self._memory = MemoryMonitor()
        self.report = JobReport(
            exit_code=Failure.TERMINATED.code,
            exit_acronym=Failure.TERMINATED.name,
            exit_msg="the job is running, or was killed before it could say more",
            run=run,
            started=utc_now(),
            host=os.uname().nodename,
            version=__version__,
        )

    def begin(self) -> None:
        """Write both files for the case that this is the last thing we ever do, and make sure of room for the last."""
        self._write()
        self._write_error(self.report.exit_code, self.report.exit_msg)
        with suppress(OSError):
            self._workdir.room.unlink(missing_ok=True)  # it may be a link that leads elsewhere, or a pipe
            with self._workdir.room.open("xb") as room:
                room.write(bytes(_ROOM_BYTES))

    def asked(self, spec: JobSpec, site: str, share: Share, execution_number: int | None, base: str = "") -> None:
        """What is asked for; relative locations in it are relative to `base`. Credentials of locations stay out."""
        report = self.report
        report.spec, report.spec_folder = redacted_deeply(msgspec.to_builtins(spec)), redacted(base)
        report.name, report.user, report.site = spec.name, spec.user, site
        report.task, report.comment = spec.task or "", spec.comment or ""
        report.attempt = execution_number
        report.panda = _panda(os.environ)
        report.resource.cores, report.resource.memory_bytes = share.cores, share.memory_bytes
        self._write()

    def planned(self, release: Release, visits: Sequence[StagedVisit], units: Sequence[Unit]) -> None:
        """What will be made, and warnings about the inputs."""
        self.report.release = ReleaseReport(
            name=release.name, root=str(release.root), manifest_sha256=release.manifest_sha256
        )
        several = len(visits) > 1
        self.report.warnings = [
            f"visit {staged.visit}: {warning}" if several else warning
            for staged in visits
            for warning in staged.catalog.warnings
        ]
        self._visits = visits
        self._n_units = len(units)

    def placed(self, destination: Destination) -> None:
        """Where images go."""
        self._destination = destination
        self.report.destinations = destination.reports
        self.report.visits = [
            VisitReport(
                visit=staged.visit,
                dataset=destination.place.dataset(staged.visit),
                place=public_url(destination.place.visit_folder(staged.visit)),
                digest=staged.digest,
                request=dict(staged.identity),
                defaults_used={
                    key: value for key, value in staged.catalog.header.items() if key not in staged.catalog.given
                },
            )
            for staged in self._visits
        ]

    def predicted(self, predicted: JobPredictedReport, warnings: Sequence[str]) -> None:
        """What is expected of this run."""
        self.report.predicted = predicted
        self.report.warnings = [*self.report.warnings, *warnings]

    def running(self, units_at_once: int, processes: Processes) -> None:
        """Simulation begins."""
        self.report.resource.units_at_once = units_at_once
        self._processes = processes

    def tick(self) -> None:
        """Renew the report now and then, if something has changed: a report that is always fresh would hide from the
        PanDA pilot that nothing moves."""
        self._memory.tick()
        if self._ledger.version != self._version and time.monotonic() - self._written > _RENEW_S:
            self._write()

    def end(self, failed: Failed | None) -> JobReport:
        """Settle both files; the report as written."""
        report = self.report
        report.ended = utc_now()
        self._memory.look()
        self._ledger.whole = ProgressReport()
        if failed is None:
            report.exit_code, report.exit_acronym, report.exit_msg, report.state = 0, "OK", "OK", "done"
        else:
            row = failed.failure
            report.exit_code, report.exit_acronym, report.exit_msg = row.code, row.name, diagnosis(failed)
            report.state = _state(row)
        self._gather()
        report.dossier = write_dossier(report)
        with suppress(OSError):
            self._workdir.room.unlink(missing_ok=True)
        self._write()
        if failed is None:
            with suppress(OSError):
                self._workdir.error_report.unlink(missing_ok=True)
        else:
            self._write_error(report.exit_code, report.exit_msg)
        return report

    def _gather(self) -> None:
        """Put what the ledger knows, and totals, into the report."""
        report = self.report
        self._version = self._ledger.version
        report.units = self._ledger.units()
        report.progress, report.eta_s = self._ledger.whole.progress, self._ledger.whole.eta_s
        report.missing = [unit.id for unit in report.units if unit.state not in {"committed", "empty"}]
        totals = report.resource
        totals.wall_s = round(time.monotonic() - self._begun, 3)
        totals.cpu_s = round(sum(unit.cpu_s for unit in report.units), 3)
        totals.max_rss_bytes = max((unit.max_rss_bytes for unit in report.units), default=0)
        totals.output_bytes = sum(file.size for unit in report.units for file in unit.files if unit.made_in_this_run)
        if self._destination:
            report.catalog = self._destination.catalog.place if self._destination.catalog else ""
            for visit in report.visits:
                visit.place = public_url(self._destination.place.visit_folder(visit.visit))
        if self._processes:
            totals.simulator_processes = self._processes.n_started
            totals.job_memory_bytes = self._processes.supervisor.most_memory_bytes
        own = resource.getrusage(resource.RUSAGE_SELF)
        totals.wrapper_cpu_s = round(own.ru_utime + own.ru_stime, 3)
        totals.wrapper_max_rss_bytes = own.ru_maxrss * 1024

    def _write(self) -> None:
        self._gather()
        self.is_written = False
        with suppress(OSError):  # a full disk must not end a job that goes on well
            write_whole(self._workdir.report, msgspec.json.format(to_json(self.report), indent=1) + b"\n")
            self.is_written = True
            # Only along with the report: a file that is always fresh would hide from the pilot that nothing moves.
            write_whole(
                self._workdir.memory_summary, to_json(self._memory.summary(self.report.resource.max_rss_bytes)) + b"\n"
            )
        self._written = time.monotonic()

    def _write_error(self, code: int, text: str) -> None:
        with suppress(OSError):
            error = PayloadErrorReport(error_code=code, error_diag=text)
            write_whole(self._workdir.error_report, to_json(error) + b"\n")


def diagnosis(failed: Failed) -> str:
    """What PanDA shows of a failure: one line, cut at its limit, the remedy kept."""
    row = failed.failure
    detail = plain(" ".join(failed.detail.split()))
    room = LONGEST_DIAGNOSIS - len(row.name) - len(row.action) - len(": ; ")
    return f"{row.name}: {detail if len(detail) <= room else detail[: room - 3] + '...'}; {row.action}"


def _state(failure: Failure) -> Literal["partial", "failed", "terminated"]:
    match failure:
        case Failure.TERMINATED | Failure.DEADLINE:
            return "terminated"
        case Failure.PARTIAL | Failure.PARTIAL_MORE_RESOURCES | Failure.PARTIAL_FINAL:
            return "partial"
        case _:
            return "failed"


def _panda(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("PANDAID", "PanDA_TaskID", "PILOT_SITENAME", "PILOT_VERSION")
    return {name: environment[name] for name in names if name in environment}
