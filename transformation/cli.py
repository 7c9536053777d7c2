"""`lsst-trf`: arguments in, exit code out. The one border where failures become codes and lines for a person."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from types import FrameType

from site_configs.schema import Site
from transformation.arguments import build_parser
from transformation.journal import Journal
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure, JobError
from transformation.narrator import Narrator, final_lines, open_narrator
from transformation.planning import parse_select
from transformation.process import Processes
from transformation.reporting import Reporter, diagnosis
from transformation.request import load_request
from transformation.resources import Share, affinity_cores, decide_share, read_cgroup
from transformation.run_job import Job, default_scratch, run_job
from transformation.wiring import open_site
from transformation.workdir import WorkDir, open_workdir

_LAST_RESORT_S = 2.2
"""After a signal, the report is written and we are gone by then, whatever hangs: a pilot kills after three seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `lsst-trf`; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        # A name that is not UTF-8 must not end a job that only wanted to print it.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        parsed = build_parser().parse_args(words)
        match parsed.command:
            case "run":
                return _run(parsed)
            case "plan":
                from transformation.plan_command import show_plan

                return show_plan(parsed)
            case "reconcile":
                from transformation.reconcile_command import show_reconciled

                return show_reconciled(parsed)
            case "reproduce":
                from transformation.reproduce_command import reproduce

                return reproduce(parsed)
            case "register":
                from transformation.register_command import register

                return register(parsed)
            case _:
                from transformation.exit_codes import show_exit_codes

                return show_exit_codes(as_json=parsed.json)
    except JobError as error:
        if words[:1] == ["run"]:
            _leave_word(words, error.failed)
        return complain(error.failed)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _new_run() -> str:
    """A name for this start of `lsst-trf` that no other has: it marks temporaries at the destination."""
    return os.urandom(6).hex()


def complain(failed: Failed) -> int:
    """Print the failure, last line as the PanDA pilot reads it from stderr; the exit code."""
    first, *more = failed.detail.splitlines() or [""]
    last = diagnosis(replace(failed, detail=first))
    for line in (first, *more) if more or first not in last else ():
        print(line, file=sys.stderr)
    print(f"ERROR: {last}", file=sys.stderr)
    return failed.failure.code


class Terminated(BaseException):
    """A signal told us to stop."""


def _run(parsed: Namespace) -> int:
    site_failed: Failed | None = None
    try:
        site = open_site(parsed.site)
    except JobError as error:
        site, site_failed = Site(name=parsed.site), error.failed
    workdir, _lock = open_workdir(Path(parsed.workdir), default_scratch(site))
    journal = Journal(workdir.journal, _new_run())
    narrator = open_narrator()
    ledger = Ledger(journal, narrator.unit_event)
    reporter = Reporter(workdir, ledger, journal.run)
    processes = Processes(look_s=site.worker.look_s)
    reporter.begin()
    with _signals(lambda: _last_resort(processes, ledger, reporter)):
        try:
            failed = site_failed or _run_to_verdict(
                parsed, site, workdir, journal, ledger, reporter, narrator, processes
            )
        except Terminated as error:  # in the instant before or after the job itself
            failed = Failed(failure=Failure.TERMINATED, detail=f"{error}; {summary(ledger)}")
            workdir.clear()
        if failed is not None:
            ledger.interrupt(failed)
        processes.close()
        report = reporter.end(failed)
        journal.write("job_end", exitCode=report.exit_code, exitAcronym=report.exit_acronym, exitMsg=report.exit_msg)
        narrator.close()
        for line in final_lines(report) if report.units else ():
            narrator.say(line)
        narrator.say(f"report   {workdir.report}")
        return 0 if failed is None else complain(failed)


def _run_to_verdict(
    parsed: Namespace, site: Site, workdir: WorkDir, journal: Journal, ledger: Ledger, reporter: Reporter,
    narrator: Narrator, processes: Processes,
) -> Failed | None:  # fmt: skip
    """Run the job; what speaks for it, None if all is done. Everything that can end a job ends here."""
    keep_scratch = False
    try:
        request = load_request(parsed.job, parsed.job_params)
        keep_scratch = request.spec.debug
        share = decide_share(
            asked_cores=parsed.cores,
            asked_memory_mb=parsed.memory_mb,
            cgroup=read_cgroup(),
            site_cores=site.worker.cores,
            site_memory_mb=site.worker.memory_mb,
            affinity_cores=affinity_cores(),
        )
        journal.write("job_start", name=request.spec.name, user=request.spec.user, site=site.name, pid=os.getpid())
        reporter.asked(request.spec, site.name, share, request.execution_number, request.folder)
        workdir.prepare()
        job = Job(
            request=request,
            site=site,
            share=share,
            workdir=workdir,
            processes=processes,
            deadline_s=parsed.deadline,
            only=parse_select(parsed.select) if parsed.select else (),
        )
        narrator.say(_opening(job, share))
        failure = run_job(job, journal, ledger, reporter, narrator)
        return None if failure is None else Failed(failure=failure, detail=summary(ledger))
    except JobError as error:
        return error.failed
    except (Terminated, KeyboardInterrupt) as error:
        return Failed(failure=Failure.TERMINATED, detail=f"{str(error) or 'interrupted'}; {summary(ledger)}")
    except Exception as error:  # noqa: BLE001 - the border: a bug becomes a report like any other failure
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return Failed(failure=Failure.DISK_FULL, detail=f"{workdir.root}: {error.strerror}")
        import traceback

        journal.write("bug", traceback=traceback.format_exc())
        return Failed(failure=Failure.INTERNAL_ERROR, detail=f"{type(error).__name__}: {error}")
    finally:
        _ignore_signals()  # the verdict stands; what is left to do takes no time
        if not keep_scratch:
            workdir.clear()


def _opening(job: Job, share: Share) -> str:
    return (
        f"job {job.spec.name} of {job.spec.user} at {job.site.name}: {share.cores} cores ({share.cores_from}),"
        f" {share.memory_bytes / 1e6:,.0f} MB ({share.memory_from})"
    )


def summary(ledger: Ledger) -> str:
    """How far the job came, in one sentence."""
    units = ledger.units()
    done = sum(unit.state in {"committed", "empty"} for unit in units)
    failed = [f"{unit.id} {unit.failure}" for unit in units if unit.state == "failed"]
    first = ", ".join(failed[:3]) + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
    return f"{done} of {len(units)} units are done" + (f"; failed: {first}" if failed else "")


@contextmanager
def _signals(last_resort: object) -> Iterator[None]:
    """Turn the first TERM, INT or HUP into `Terminated` in the main thread; later ones change nothing."""

    def stop(number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        timer = threading.Timer(_LAST_RESORT_S, last_resort)  # type: ignore[arg-type]
        timer.daemon = True
        timer.start()
        raise Terminated(f"got {signal.Signals(number).name}")

    before = {one: signal.signal(one, stop) for one in _STOPPING}
    try:
        yield
    finally:
        # Once ignored they stay so: a signal while Python itself ends must not change the exit code.
        for one, handler in before.items():
            if signal.getsignal(one) is stop:
                signal.signal(one, handler)


_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _ignore_signals() -> None:
    for one in _STOPPING:
        signal.signal(one, signal.SIG_IGN)


def _last_resort(processes: Processes, ledger: Ledger, reporter: Reporter) -> None:
    """Report and go, although something still hangs."""
    processes.stop()
    failed = Failed(failure=Failure.TERMINATED, detail=f"stopped by a signal; {summary(ledger)}")
    ledger.interrupt(failed)
    reporter.end(failed)
    os._exit(complain(failed))


def _option(words: Sequence[str], name: str) -> str | None:
    """The value of an option on a command line that the parser refused."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name or word.startswith(f"{name}="):
            return word.removeprefix(name).removeprefix("=") or following
    return None


def _leave_word(words: Sequence[str], failed: Failed) -> None:
    """Write the reports of a job whose command line is wrong, where its work folder would be."""
    import tempfile

    folder = _option(words, "--workdir") or "."
    with tempfile.TemporaryDirectory() as nowhere:
        try:
            workdir, _lock = open_workdir(Path(folder), Path(nowhere))
        except JobError:
            return
        journal = Journal(workdir.journal, _new_run())
        reporter = Reporter(workdir, Ledger(journal, lambda _event, _unit: None), journal.run)
        journal.write("job_end", exitCode=failed.failure.code, exitAcronym=failed.failure.name, exitMsg=failed.detail)
        reporter.end(failed)
