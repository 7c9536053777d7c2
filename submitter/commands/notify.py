"""Tell of jobs that ended, by mail, webhook and desktop, each once: of one job, or of all that ended of late."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from submitter.client import Client
from submitter.commands.names import complete_names
from submitter.notifying.story import Told, failed
from submitter.screen import Screen
from submitter.troubles import IodError, Trouble

_LOOK_S = 5.0


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    name = "of this job (default: of all that ended in the last three days)"
    complete_names(parser.add_argument("name", nargs="?", metavar="NAME", help=name))
    parser.add_argument("--wait", action="store_true", help="until the job is over")
    parser.add_argument("--test", action="store_true", help="send a test instead")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code: NOTICE_FAILED if something did not arrive."""
    if not client.channels:
        path = client.folders.settings
        detail = f"nobody is to be told: write [notify.mail] or [notify.webhook] into {path}"
        raise IodError(Trouble.CONFIG_INVALID, detail)
    if parsed.wait and parsed.name is None:
        raise IodError(Trouble.USAGE, "--wait needs the NAME of a job")
    told = client.notify_test() if parsed.test else _tell(client, parsed)
    if screen.as_json:
        screen.emit({"schema_version": 1, "told": [document(one) for one in told]})
    elif not told:
        screen.say("everybody knows already")
    show(told, screen)
    return Trouble.NOTICE_FAILED.code if failed(told) else 0


def _tell(client: Client, parsed: Namespace) -> list[Told]:
    if parsed.name is None:
        client.refresh()
        return client.notify()
    while not client.status(parsed.name, name_units=False).state.over:
        if not parsed.wait:
            state = client.job(parsed.name).state
            raise IodError(Trouble.NOT_POSSIBLE, f"{parsed.name} is {state}; --wait waits for its end")
        time.sleep(_LOOK_S)
    return client.notify(parsed.name)


def show(told: Sequence[Told], screen: Screen) -> None:
    """A line for each."""
    for one in told:
        what = one.name or "test"
        if one.problem:
            row = Trouble.NOTICE_FAILED
            screen.note(
                f"{screen.style('ERROR:', 'red')} {row.name}: {what}: {one.channel}: {one.problem}; {row.action}"
            )
        else:
            screen.say(f"{what}: told by {one.channel}")


def document(one: Told) -> dict[str, object]:
    """As `--json` gives it."""
    return {"name": one.name, "channel": one.channel, "sent": not one.problem, "problem": one.problem}
