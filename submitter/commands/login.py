"""Log in to PanDA: the server says where to sign in, and the token is kept for the commands that need one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from submitter.client import Client
from submitter.screen import Screen, iso, moment


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    parser.add_argument("--site", metavar="NAME|FILE", help="whose PanDA server (default: the configured one)")
    parser.add_argument("--json", action="store_true", help="one JSON document; where to sign in goes to stderr")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    credential = client.login(screen.note, site=parsed.site)
    ends_s = credential.ends_s
    if screen.as_json:
        screen.emit({"schema_version": 1, "path": credential.path, "ends": iso(ends_s)})
    screen.say("logged in" + (f" until {moment(ends_s)}" if ends_s else ""))
    return 0
