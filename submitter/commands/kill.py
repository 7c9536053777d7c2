"""End a job. Units that are finished stay, and `iod rerun` makes the others."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from submitter.client import Client
from submitter.commands.names import complete_names
from submitter.screen import Screen


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    complete_names(parser.add_argument("name", metavar="NAME", help="the job"))
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="one JSON document; nothing is asked")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    job = client.job(parsed.name)
    if screen.can_ask and not job.state.over:
        screen.confirm(f"End {job.name}, which is {job.state}?", yes=parsed.yes)
    job = client.kill(parsed.name)
    if screen.as_json:
        screen.emit({"schema_version": 1, "name": job.name, "state": job.state})
    screen.say(f"{job.name} is {job.state}")
    return 0
