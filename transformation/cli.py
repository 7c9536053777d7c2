"""`lsst-trf`: arguments in, exit code out. The one border where failures become codes and lines for a person."""

from __future__ import annotations

import errno
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from threading import Thread

from msgspec.structs import replace

from site_configs.plain_text import plain, plain_line
from site_configs.schema import Site
from transformation.arguments import build_parser
from transformation.family import adopt_orphans
from transformation.job import Job, read_clocks, slot_of
from transformation.journal import Journal
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure, JobError
from transformation.narrator import Narrator, final_lines, open_narrator
from transformation.pilot_words import decode_parameters, without_alarm
from transformation.planning import parse_select
from transformation.process import Processes, forbid_core_files
from transformation.reporting import Reporter, diagnosis
from transformation.request import load_request
from transformation.resources import Share, affinity_cores, decide_share, read_cgroup
from transformation.run_job import default_scratch, run_job
from transformation.scratch_folders import sweep
from transformation.signals import Terminated, end_after, ignore_signals, let_signals_be, listening
from transformation.slot import MARGIN_S, Slot
from transformation.status import span, status_line
from transformation.telling import drain, open_closed_streams, tell
from transformation.unpacked_runtime import remove_at_exit
from transformation.wiring import open_site, source_for
from transformation.workdir import WorkDir, open_workdir

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PATIENCE_S = MARGIN_S / 2
"""So much of the margin at the end of the slot is for what hangs."""
_SWEEP_S = 30.0
"""For tidying up after jobs that were killed on this node, beside the work."""


def main(arguments: Sequence[str] | None = None, *, early: Sequence[int] | None = None) -> int:
    """Run `lsst-trf`; the exit code. `early`: signals that `entry` has noted, and goes on noting, for us to answer."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_closed_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        # A name that is not UTF-8 must not end a job that only wanted to print it.
        sys.stdout.reconfigure(errors="backslashreplace")
    # What a library has to say would go to stderr, where the pilot looks for the reason of a failure.
    logging.getLogger().addHandler(logging.NullHandler())
    remove_at_exit(os.environ)
    try:
        words = decode_parameters(words)
        parsed = build_parser().parse_args(words)
        if parsed.command == "run":
            return _run(parsed, () if early is None else early)
        if early is not None:
            let_signals_be(early)
        return _show(parsed)
    except JobError as error:
        if words[:1] == ["run"]:
            _leave_word(words, error.failed)
        return complain(error.failed)
    except BrokenPipeError:
        drain(sys.stdout)
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        drain(sys.stdout)
        return complain(Failed(failure=Failure.DISK_FULL, detail=f"{error.filename or 'stdout'}: {error.strerror}"))


def _show(parsed: Namespace) -> int:
    """Every command that simulates nothing."""
    match parsed.command:
        case "plan":
            from transformation.plan_command import show_plan

            return show_plan(parsed)
        case "reconcile":
            from transformation.reconcile_command import show_reconciled

            return show_reconciled(parsed)
        case "reproduce":
            from transformation.reproduce_command import reproduce

            return reproduce(parsed)
        case "doctor":
            from transformation.doctor.command import doctor

            return doctor(parsed)
        case "register":
            from transformation.register_command import register

            return register(parsed)
        case _:
            from transformation.exit_codes import show_exit_codes

            return show_exit_codes(as_json=parsed.json)


def _new_run() -> str:
    """A name for this start of `lsst-trf` that no other has: it marks temporaries at the destination."""
    return os.urandom(6).hex()


def complain(failed: Failed) -> int:
    """Print the failure, last line as the PanDA pilot reads it from stderr; the exit code."""
    first, *more = failed.detail.splitlines() or [""]
    last = diagnosis(replace(failed, detail=first))
    for line in (first, *more) if more or plain(first) not in last else ():
        tell(without_alarm(plain_line(line)).replace("ERROR", "error"), sys.stderr)
    tell(f"ERROR: {without_alarm(last)}", sys.stderr)
    return failed.failure.code


def _run(parsed: Namespace, early: Sequence[int]) -> int:
    site_failed: Failed | None = None
    try:
        site = open_site(parsed.site)
    except JobError as error:
        site, site_failed = Site(name=parsed.site), error.failed
    workdir, _lock = open_workdir(Path(parsed.workdir), default_scratch(site))
    journal = workdir.open_journal(_new_run())
    narrator = open_narrator()
    ledger = Ledger(journal, narrator.unit_event)
    reporter = Reporter(workdir, ledger, journal.run)
    processes = Processes(look_s=site.worker.look_s)
    slot = slot_of(site, parsed.deadline)
    reporter.begin()
    adopt_orphans()
    forbid_core_files()

    def tell() -> None:
        line = status_line(ledger.units(), ledger.whole, processes.supervisor.memory_in_words(), _slot_in_words(slot))
        narrator.say(line)
        journal.write("status", line=line)

    with listening(early, status=tell, last_resort=lambda why: _last_resort(why, processes, ledger, reporter)) as hear:
        try:
            hear()
            failed = site_failed or _run_to_verdict(
                parsed, site, workdir, slot, journal, ledger, reporter, narrator, processes
            )
        except Terminated as error:  # in the instant before or after the job itself
            failed = Failed(failure=error.failure, detail=f"{error}; {ledger.summary()}")
            workdir.clear()
        if failed is not None:
            processes.stop()
            ledger.interrupt(failed)
        processes.close()
        report = reporter.end(failed)
        journal.write("job_end", exitCode=report.exit_code, exitAcronym=report.exit_acronym, exitMsg=report.exit_msg)
        narrator.close()
        for line in final_lines(report) if report.units else ():
            narrator.say(line)
        if failed is not None and report.units:
            narrator.say(f"dossier  {report.dossier}")
        narrator.say(f"report   {workdir.report if reporter.is_written else 'could not be written'}")
        return 0 if failed is None else complain(failed)


def _run_to_verdict(
    parsed: Namespace, site: Site, workdir: WorkDir, slot: Slot | None, journal: Journal, ledger: Ledger,
    reporter: Reporter, narrator: Narrator, processes: Processes,
) -> Failed | None:  # fmt: skip
    """Run the job; what speaks for it, None if all is done. Everything that can end a job ends here."""
    keep_scratch = False
    try:
        request = load_request(parsed.job, parsed.job_params, lambda: source_for(site, workdir.logs))
        keep_scratch = request.spec.debug
        share = decide_share(
            asked_cores=parsed.cores,
            asked_memory_mb=parsed.memory_mb,
            cgroup=read_cgroup(),
            site_cores=site.worker.cores,
            site_memory_mb=site.worker.memory_mb,
            affinity_cores=affinity_cores(),
        )
        journal.write(
            "job_start",
            name=request.spec.name,
            user=request.spec.user,
            site=site.name,
            site_given=parsed.site,
            pid=os.getpid(),
            scratch=str(workdir.scratch),
            command=_this_program(),
        )
        reporter.asked(request.spec, site.name, share, request.execution_number, request.base)
        workdir.prepare()
        if not workdir.scratch_is_inside:
            Thread(target=_tidy_up, args=(workdir.scratch.parent, journal), name="sweep", daemon=True).start()
        job = Job(
            request=request,
            site=site,
            share=share,
            workdir=workdir,
            processes=processes,
            slot=slot,
            only=parse_select(parsed.select) if parsed.select else (),
        )
        narrator.say(_opening(job, share))
        if slot is not None:
            _mind_slot(slot)
        return run_job(job, journal, ledger, reporter, narrator)
    except JobError as error:
        return error.failed
    except Terminated as error:
        return Failed(failure=error.failure, detail=f"{error}; {ledger.summary()}")
    except Exception as error:  # noqa: BLE001 - the border: a bug becomes a report like any other failure
        if (cause := workdir.explain(error)) is not None:
            return cause
        import traceback

        journal.write("bug", traceback=traceback.format_exc())
        return Failed(failure=Failure.INTERNAL_ERROR, detail=f"{type(error).__name__}: {error}")
    finally:
        ignore_signals()  # the verdict stands; what is left to do takes no time
        if keep_scratch:
            workdir.keep()
        else:
            workdir.clear()


def _this_program() -> list[str]:
    """Words that start `lsst-trf` again, without its arguments: for who has to finish what a killed job began."""
    return [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]]


def _tidy_up(scratch: Path, journal: Journal) -> None:
    """Remove scratch folders of jobs that were killed on this node."""
    gone = sweep(scratch, patience_s=_SWEEP_S)
    if gone:
        journal.write("swept", folders=[folder.name for folder in gone])


def _opening(job: Job, share: Share) -> str:
    return (
        f"job {job.spec.name} of {job.spec.user} at {job.site.name}: {share.cores} cores ({share.cores_from}),"
        f" {share.memory_bytes / 1e6:,.0f} MB ({share.memory_from})"
    )


def _mind_slot(slot: Slot) -> None:
    """End before the slot does, whatever the job is at. Raises `JobError` DEADLINE if that is now."""
    left_s = slot.left_s(read_clocks().boot_s)
    if left_s + _PATIENCE_S <= 0.0:
        raise JobError(Failure.DEADLINE, f"the slot ends now ({slot.said_by}); nothing was begun")
    # The work is laid down in time by itself; this is for what hangs.
    end_after(left_s + _PATIENCE_S)


def _slot_in_words(slot: Slot | None) -> str:
    return "" if slot is None else f"slot ends in {span(slot.end_s - read_clocks().boot_s)} ({slot.said_by})"


def _last_resort(why: Failure, processes: Processes, ledger: Ledger, reporter: Reporter) -> None:
    """Report and go, although something still hangs: be it who reads what we print, who is not waited for long."""
    failed = Failed(failure=why, detail="stopped, and did not end in time")
    told, written, said = (partial(step, failed) for step in (ledger.interrupt, reporter.end, complain))
    for step, most_s in ((processes.stop, 0.4), (told, 0.2), (written, 1.0), (said, 0.2)):
        thread = Thread(target=step, name="last-resort", daemon=True)
        thread.start()
        thread.join(most_s)
    os._exit(why.code)


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
            journal = workdir.open_journal(_new_run())
        except JobError:
            return
        reporter = Reporter(workdir, Ledger(journal, lambda _event, _unit: None), journal.run)
        report = reporter.end(failed)
        journal.write("job_end", exitCode=report.exit_code, exitAcronym=report.exit_acronym, exitMsg=report.exit_msg)
