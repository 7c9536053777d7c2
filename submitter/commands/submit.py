"""Check a request, ask, and submit it: to a queue on this machine, or to PanDA."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from submitter.check_report import CheckReport
from submitter.client import Client
from submitter.commands import check
from submitter.commands.request_arguments import add_request_arguments, options_of, wishes_of
from submitter.jobs import Job
from submitter.screen import Screen, count, moment
from submitter.troubles import IodError, Trouble


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    add_request_arguments(parser)
    how = parser.add_argument_group("submitting")
    how.add_argument("--yes", action="store_true", help="answer all questions with yes")
    how.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")
    how.add_argument("--idempotency-key", metavar="KEY", help="the same key again returns the first job")
    how.add_argument("--json", action="store_true", help="one JSON document; nothing is asked")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    if parsed.idempotency_key is not None and not parsed.idempotency_key.strip():
        raise IodError(Trouble.USAGE, "--idempotency-key is empty")
    report = client.check(client.draft(parsed.job, wishes_of(parsed)), options_of(parsed))
    if parsed.dry_run:
        return _dry_run(client, report, screen)
    return submit(client, report, screen, key=parsed.idempotency_key, yes=parsed.yes)


def submit(client: Client, report: CheckReport, screen: Screen, *, key: str | None, yes: bool) -> int:
    """Ask, submit, tell; the exit code."""
    known = key is not None and client.store.find_job(key=key) is not None
    again = known or _may_go_on(client, report, screen, key=key, yes=yes)
    accepted = client.submit(report, key=key, again=again, tell=screen.note)
    _show(accepted.job, report, screen, existed=accepted.existed)
    return 0


def _may_go_on(client: Client, report: CheckReport, screen: Screen, *, key: str | None, yes: bool) -> bool:
    """The confirm page and its questions; whether the same request may go once more. Raises `IodError`."""
    if not screen.as_json:
        check.show(report, screen)
    if (problem := report.refused) is not None:
        assert problem.row is not None
        raise IodError(problem.row, problem.message)
    before = client.earlier(report)
    if key is not None and any(job.key == key for job in before):
        return True  # another `iod` was faster with the same key
    if not before and screen.as_json:
        return False
    if not before:
        screen.confirm(f"Submit {count(report.plan.n_units, 'unit')}?", yes=yes)
        return False
    first = before[0]
    what = f"{first.name} asked for the same on {moment(first.submitted_s)} and is {first.state}"
    if not yes and not screen.can_ask:
        raise IodError(Trouble.SUBMITTED_ALREADY, what)
    screen.confirm(f"{what}. Submit it once more?", yes=yes)
    return True


def _dry_run(client: Client, report: CheckReport, screen: Screen) -> int:
    documents = client.dry_run(report)
    if screen.as_json:
        screen.emit({"schema_version": 1, "dry_run": True, "check": check.document(report), "would_send": documents})
    else:
        check.show(report, screen)
        screen.say("", "would send:")
        screen.emit(documents)
    if report.refused is not None:
        assert report.refused.row is not None
        return report.refused.row.code
    return 0


def _show(job: Job, report: CheckReport, screen: Screen, *, existed: bool) -> None:
    if screen.as_json:
        screen.emit(
            {
                "schema_version": 1,
                "name": job.name,
                "state": job.state,
                "existed": existed,
                "user": job.user,
                "backend": job.backend,
                "site": job.site,
                "output": f"{job.base.rstrip('/')}/{job.user}/{job.name}",
                "units": job.n_units,
                "files": job.n_files,
                "problems": check.document(report)["problems"],
            }
        )
    verb = "was submitted before" if existed else "is submitted"
    screen.say(f"{screen.style(job.name, 'bold')} {verb}; `iod status {job.name}` says how it goes")
