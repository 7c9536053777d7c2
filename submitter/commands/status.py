"""How jobs go: all of them in a list, or one with its units."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from site_configs.plain_text import plain
from submitter.backends import UNIT_STATES, UnitState
from submitter.client import Client
from submitter.commands.names import complete_names
from submitter.jobs import Part, State
from submitter.screen import Screen, count, duration, iso, moment
from submitter.state import Line

if TYPE_CHECKING:
    from submitter.status import JobStatus

_COLOURS = {"done": "green", "failed": "red", "partial": "yellow", "running": "cyan", "killed": "yellow"}
_MOST_ROWS = 400
_LOOK_S = 2.0


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    complete_names(parser.add_argument("name", nargs="?", metavar="NAME", help="a job (default: a list of all)"))
    parser.add_argument("--watch", action="store_true", help="look again and again, until the job is over")
    parser.add_argument("--units", action="store_true", default=None, help="name all units, also of a large job")
    parser.add_argument("--json", action="store_true", help="one JSON document; with --watch that of the end")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code: 0 whatever became of the jobs."""
    while _look(client, parsed, screen) and parsed.watch:
        screen.flush()
        time.sleep(_LOOK_S)
        if screen.is_terminal and not screen.as_json:
            screen.clear()
    return 0


def _look(client: Client, parsed: Namespace, screen: Screen) -> bool:
    """Show everything once; whether there is more to come. Of a watch the one document is that of the end."""
    if parsed.name is None:
        notes = client.refresh()
        lines = client.jobs()
        more = any(line.state in {"waiting", "running"} for line in lines)
        if not (more and parsed.watch and screen.as_json):
            _show_all(lines, notes, screen)
        return more
    status = client.status(parsed.name, name_units=parsed.units)
    more = not status.state.over
    if not screen.as_json:
        show(status, screen)
    elif not (more and parsed.watch):
        screen.emit(document(status))
    return more


# ---------------------------------------------------------------- all jobs
def _show_all(lines: list[Line], notes: list[str], screen: Screen) -> None:
    if screen.as_json:
        screen.emit({"schema_version": 1, "jobs": [_job_document(line) for line in lines], "notes": notes})
        return
    if not lines:
        screen.say("no jobs yet; `iod submit --help` says how to begin")
    else:
        rows = [
            (
                line.name,
                line.state,
                f"{line.n_done}/{line.n_units}",
                line.backend,
                moment(line.submitted_s),
                line.message,
            )
            for line in lines
        ]
        screen.table(("job", "state", "units", "by", "submitted", ""), rows, right=frozenset({2}))
    for note in notes:
        screen.note(f"note: {note}")


def _job_document(line: Line) -> dict[str, object]:
    return {
        "name": line.name,
        "state": line.state,
        "message": line.message,
        "units": line.n_units,
        "done": line.n_done,
        "backend": line.backend,
        "site": line.site,
        "submitted": iso(line.submitted_s),
    }


# ---------------------------------------------------------------- one job
def document(status: JobStatus) -> dict[str, object]:
    """One job as `--json` gives it; see `docs/reference/iod.md`."""
    job = status.job
    return {
        "schema_version": 1,
        "name": job.name,
        "state": status.state,
        "message": job.message,
        "user": job.user,
        "comment": job.comment,
        "release": job.release,
        "backend": job.backend,
        "site": job.site,
        "submitted": iso(job.submitted_s),
        "output": status.data,
        "progress": round(status.progress, 4),
        "counts": dict(status.counts),
        "units": [_unit_document(unit) for unit in status.units],
        "parts": [_part_document(part) for part in status.parts],
        "links": list(status.links),
        "notes": list(status.notes),
    }


def _part_document(part: Part) -> dict[str, object]:
    return {
        "number": part.number,
        "state": part.state,
        "attempt": part.attempt,
        "remote_id": part.remote_id,
        "where": part.where,
        "exit_code": part.exit_code,
        "message": part.message,
        "begun": iso(part.begun_s),
        "ended": iso(part.ended_s),
        "replaced": part.replaced,
    }


def _unit_document(unit: UnitState) -> dict[str, object]:
    return {
        "id": unit.id,
        "state": unit.state,
        "progress": unit.progress,
        "eta_s": unit.eta_s,
        "failure": unit.failure or None,
        "reason": unit.reason,
        "attempts": unit.attempts,
        "where": unit.where,
        "cpu_s": unit.cpu_s,
        "wall_s": unit.wall_s,
        "link": unit.link,
        "log": unit.log,
    }


def show(status: JobStatus, screen: Screen) -> None:
    """One job for a person."""
    job = status.job
    counts = ", ".join(f"{status.counts[state]:,} {state}" for state in UNIT_STATES if status.counts[state])
    state = screen.style(status.state, _COLOURS.get(status.state, "bold"))
    screen.say(
        f"{screen.style(job.name, 'bold')}: {state}, {status.progress:.0%} of {count(job.n_units, 'unit')} ({counts})"
    )
    if job.message:
        screen.say(f"why        {plain(job.message)}")
    screen.say(f"submitted  {moment(job.submitted_s)} to {job.backend} at {job.site}, release {job.release}")
    screen.say(f"images     {status.data}")
    for link in status.links:
        screen.say(f"see        {link}")
    rows = [_row(unit) for unit in status.units[:_MOST_ROWS]]
    if rows:
        screen.table(("unit", "state", "tries", "CPU", "where", ""), rows, right=frozenset({2, 3}))
    if len(status.units) > _MOST_ROWS:
        screen.say(f"... and {len(status.units) - _MOST_ROWS:,} more units; --json has them all")
    for note in status.notes:
        screen.note(f"note: {note}")
    if status.state in {State.PARTIAL, State.FAILED, State.KILLED}:
        screen.say(f"`iod rerun {job.name}` makes what is missing, `iod logs {job.name}` shows what was printed")


def _row(unit: UnitState) -> tuple[str, ...]:
    words = [unit.failure, unit.reason] if unit.state == "failed" else []
    if unit.state == "running" and unit.progress is not None:
        words.append(f"{unit.progress:.0%}" + (f", {duration(unit.eta_s)} left" if unit.eta_s else ""))
    cpu = duration(unit.cpu_s) if unit.cpu_s else ""
    tries = str(unit.attempts) if unit.attempts else ""
    return unit.id, unit.state, tries, cpu, unit.where, ": ".join(word for word in words if word)
