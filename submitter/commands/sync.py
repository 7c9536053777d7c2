"""Learn of jobs that this machine does not know: from what stands at their destinations, and from PanDA."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from submitter.client import Client
from submitter.screen import Screen, count


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    parser.add_argument("bases", nargs="*", metavar="BASE", help="output bases (default: all that are known)")
    parser.add_argument("--user", metavar="NAME", help="whose jobs (default: yours)")
    parser.add_argument("--site", metavar="NAME|FILE", help="also look where this site puts images")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    found = client.sync(parsed.bases, user=parsed.user, site=parsed.site)
    if screen.as_json:
        screen.emit(
            {
                "schema_version": 1,
                "bases": list(found.bases),
                "found": list(found.added),
                "known": found.n_known,
                "notes": list(found.notes),
            }
        )
    screen.say(*(f"found {name}" for name in found.added))
    screen.say(f"{count(len(found.added), 'job')} found, {found.n_known:,} known already, in {', '.join(found.bases)}")
    for note in found.notes:
        screen.note(f"note: {note}")
    return 0
