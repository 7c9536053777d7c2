"""All jobs that were ever submitted: time, job, user, type, status, output, comment."""

from __future__ import annotations

import fnmatch
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime

from submitter.client import Client
from submitter.commands.request_arguments import positive
from submitter.jobs import State
from submitter.screen import Screen, iso, moment
from submitter.state import Line

_LENGTHS_S = {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    parser.add_argument("name", nargs="?", metavar="PATTERN", help="names like this, e.g. '*-00019'")
    parser.add_argument("--state", choices=[state.value for state in State], metavar="STATE", help="in this state")
    parser.add_argument("--user", metavar="NAME", help="of this user")
    parser.add_argument("--release", metavar="NAME", help="of this type")
    parser.add_argument("--comment", metavar="TEXT", help="with this in the comment")
    parser.add_argument("--since", type=_parse_since, metavar="TIME", help="ISO 8601, or an age such as 12h, 3d, 2w")
    parser.add_argument("--limit", type=positive, metavar="N", help="the last N only")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    notes = client.refresh()
    lines = [line for line in client.jobs() if _fits(line, parsed)]
    lines = lines[: parsed.limit] if parsed.limit is not None else lines
    if screen.as_json:
        screen.emit({"schema_version": 1, "jobs": [_document(line) for line in lines], "notes": notes})
    else:
        rows = [
            (moment(line.submitted_s), line.name, line.user, line.release, line.state, _output(line), line.comment)
            for line in lines
        ]
        screen.table(("time", "job", "user", "type", "status", "output", "comment"), rows)
    for note in notes:
        screen.note(f"note: {note}")
    return 0


def _fits(line: Line, parsed: Namespace) -> bool:
    return (
        (parsed.name is None or fnmatch.fnmatchcase(line.name, parsed.name))
        and parsed.state in {None, line.state}
        and parsed.user in {None, line.user}
        and parsed.release in {None, line.release}
        and (parsed.comment is None or parsed.comment.lower() in line.comment.lower())
        and (parsed.since is None or line.submitted_s >= parsed.since)
    )


def _document(line: Line) -> dict[str, object]:
    return {
        "time": iso(line.submitted_s),
        "job": line.name,
        "user": line.user,
        "type": line.release,
        "status": line.state,
        "output": _output(line),
        "comment": line.comment,
        "site": line.site,
        "backend": line.backend,
        "units": line.n_units,
        "done": line.n_done,
        "message": line.message,
    }


def _output(line: Line) -> str:
    return f"{line.base.rstrip('/')}/{line.user}/{line.name}"


def _parse_since(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit in _LENGTHS_S and number.isdecimal():
        return time.time() - int(number) * _LENGTHS_S[unit]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is neither ISO 8601 nor an age such as 12h, 3d, 2w") from None
