"""Fetch the files of a job: several at once, each checked; what is there and right stays. Run it again at any time."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from submitter.client import Client
from submitter.commands.names import complete_names
from submitter.fetching.display import display_on
from submitter.fetching.manager import AT_ONCE, FetchReport
from submitter.screen import Screen, count, duration, size
from submitter.troubles import Trouble

_MOST_AT_ONCE = 32
_MOST_NAMED = 10


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    complete_names(parser.add_argument("name", metavar="NAME", help="the job"))
    pattern = "only names such as '*E000*', or with a part such as R22_S11"
    parser.add_argument("pattern", nargs="?", metavar="PATTERN", help=pattern)
    parser.add_argument("--to", type=Path, metavar="DIR", help="where to (default: a folder with the job's name, here)")
    parser.add_argument("--parallel", type=_parse_parallel, metavar="N", help=f"files at once (default: {AT_ONCE})")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code: FETCH_INCOMPLETE if some file could not be had."""
    with display_on(screen) as display:
        report = client.fetch(parsed.name, parsed.pattern, parsed.to, at_once=parsed.parallel, tell=display.show)
    for note in report.notes:
        screen.note(f"note: {note}")
    job = client.job(parsed.name)
    if not job.state.over:
        screen.note(f"note: {job.name} is {job.state}; run it again for what is still to come")
    failed = report.of("failed")
    if screen.as_json:
        screen.emit(document(parsed.name, report))
    else:
        screen.say(_summary(report))
    for one in failed[:_MOST_NAMED]:
        screen.note(f"{screen.style('ERROR:', 'red')} {one.file.path}: {one.problem}")
    if failed:
        row = Trouble.FETCH_INCOMPLETE
        what = f"{len(failed):,} of {count(len(report.results), 'file')} could not be fetched"
        screen.note(f"{screen.style('ERROR:', 'red')} {row.name}: {what}; {row.action}")
    return Trouble.FETCH_INCOMPLETE.code if failed else 0


def _summary(report: FetchReport) -> str:
    fetched = report.of("fetched")
    n_bytes = sum(one.file.size_bytes for one in fetched)
    words = [f"{count(len(fetched), 'file')} ({size(n_bytes)}) fetched to {report.folder}"]
    if fetched:
        words.append(f"in {duration(report.wall_s)} ({size(n_bytes / max(report.wall_s, 1e-3))}/s)")
    kept = len(report.of("kept"))
    return " ".join(words) + (f"; {kept:,} were there already" if kept else "")


def document(name: str, report: FetchReport) -> dict[str, object]:
    """As `--json` gives it; see `docs/reference/iod.md`."""
    return {
        "schema_version": 1,
        "name": name,
        "to": str(report.folder),
        "fetched": len(report.of("fetched")),
        "kept": len(report.of("kept")),
        "failed": len(report.of("failed")),
        "fetched_bytes": sum(one.file.size_bytes for one in report.of("fetched")),
        "wall_s": round(report.wall_s, 3),
        "files": [
            {
                "name": one.file.name,
                "path": str(one.path),
                "state": one.state,
                "size_bytes": one.file.size_bytes,
                "adler32": one.file.adler32,
                "url": one.url,
                "problem": one.problem,
            }
            for one in report.results
        ],
        "notes": list(report.notes),
    }


def _parse_parallel(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_AT_ONCE:
        raise ArgumentTypeError(f"'{text}' is not a number from 1 to {_MOST_AT_ONCE}")
    return int(text)
