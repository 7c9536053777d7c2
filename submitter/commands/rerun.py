"""Make what is missing of a job that is over, or submit it again with changes. Images that are there stay."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

import msgspec

from submitter.client import Client
from submitter.commands import submit
from submitter.commands.names import complete_names
from submitter.folders import write_private
from submitter.jobs import Job
from submitter.local.launch import run_editor
from submitter.prepare import Options
from submitter.screen import Screen
from submitter.troubles import IodError, Trouble


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    complete_names(parser.add_argument("name", metavar="NAME", help="the job"))
    parser.add_argument("--failed", action="store_true", help="only units that failed, not those nobody began with")
    parser.add_argument("--edit", action="store_true", help="change the request in $EDITOR; it becomes a new job")
    parser.add_argument("--yes", action="store_true", help="answer all questions with yes")
    parser.add_argument("--json", action="store_true", help="one JSON document; nothing is asked")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    if parsed.edit:
        return _edit(client, client.job(parsed.name), parsed, screen)
    job = client.rerun(parsed.name, failed_only=parsed.failed)
    if screen.as_json:
        screen.emit({"schema_version": 1, "name": job.name, "state": job.state})
    screen.say(f"{screen.style(job.name, 'bold')} goes on; `iod status {job.name}` says how")
    return 0


def _edit(client: Client, job: Job, parsed: Namespace, screen: Screen) -> int:
    document = {**msgspec.json.decode(job.spec), "name": client.settings.name}
    before = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
    with tempfile.TemporaryDirectory(prefix="iod-edit-") as folder:
        path = Path(folder) / "job.json"
        path.write_bytes(before)
        run_editor(path)
        after = path.read_bytes()
        if after == before:
            raise IodError(Trouble.NOT_CONFIRMED, "nothing was changed")
        options = Options(site=job.site, backend=job.backend, queue=job.queue or None)
        try:
            report = client.check(client.draft(str(path)), options)
            return submit.submit(client, report, screen, key=None, yes=parsed.yes)
        except IodError:
            kept = client.folders.state / f"{job.name}.edited.json"
            write_private(kept, after)
            screen.note(f"note: what you wrote is in {kept}")
            raise
