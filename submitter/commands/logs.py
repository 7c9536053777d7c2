"""What a job, or one of its units, printed: the end of the newest log, or where all of them are."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from submitter.client import Client
from submitter.commands.names import complete_names
from submitter.screen import Screen
from submitter.troubles import IodError, Trouble

_BLOCK_BYTES = 1 << 20


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    complete_names(parser.add_argument("name", metavar="NAME", help="the job"))
    parser.add_argument("unit", nargs="?", metavar="UNIT", help="one of its units, e.g. v4406-R22_S11-E000")
    parser.add_argument("--lines", type=int, default=40, metavar="N", help="of the end (default: 40; 0 = all)")
    parser.add_argument("--list", action="store_true", help="only say where the logs are")
    parser.add_argument("--json", action="store_true", help="one JSON document: where the logs are")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    logs = client.logs(parsed.name, parsed.unit)
    if screen.as_json:
        screen.emit({"schema_version": 1, "name": parsed.name, "unit": parsed.unit, "logs": logs})
        return 0
    if not logs:
        raise IodError(Trouble.NOT_POSSIBLE, f"{parsed.unit or parsed.name} has left no log yet")
    first = Path(logs[0])
    if parsed.list or not first.is_file():
        screen.say(*logs)
        return 0
    screen.say(screen.style(str(first), "faint"), *_end_of(first, parsed.lines))
    return 0


def _end_of(path: Path, n_lines: int) -> list[str]:
    """The last lines of a file; the end of a large one is read, not the whole."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        file.seek(0 if n_lines <= 0 else max(0, size_bytes - _BLOCK_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return lines if n_lines <= 0 else lines[-n_lines:]
