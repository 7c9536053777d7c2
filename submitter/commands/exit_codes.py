"""List the codes that `iod` may end with."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from submitter.client import Client
from submitter.screen import Screen
from submitter.troubles import table


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    del client, parsed
    rows = table()
    if screen.as_json:
        screen.emit(rows)
    screen.say(*(f"{row['code']:>3}  {row['name']:<24} {row['meaning']}" for row in rows))
    return 0
