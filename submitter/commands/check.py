"""Look at a request without submitting it: catalogs, sensors, units, what they will cost, and what is wrong."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from submitter.check_report import CheckReport, Problem
from submitter.client import Client
from submitter.commands.request_arguments import add_request_arguments, options_of, wishes_of
from submitter.focal_picture import focal_plane_rows
from submitter.screen import Screen, count, duration_range, iso, moment, size
from submitter.troubles import IodError
from submitter.visit_look import VisitLook
from transformation.locations import redacted
from transformation.predict import Range

_SECONDS_PER_HOUR = 3600.0
_MOST_CATALOGS = 12
_MOST_NAMES = 27
_MOST_PROBLEMS = 40
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    add_request_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code: 0 unless `submit` would refuse, then that of the first reason."""
    report = client.check(client.draft(parsed.job, wishes_of(parsed)), options_of(parsed))
    if screen.as_json:
        screen.emit(document(report))
    show(report, screen)
    if report.refused is None:
        return 0
    assert report.refused.row is not None
    problem = report.refused
    screen.note(f"ERROR: {problem.name}: {IodError(report.refused.row, problem.message.splitlines()[0])}")
    return report.refused.row.code


# ---------------------------------------------------------------- for programs
def document(report: CheckReport) -> dict[str, object]:
    """The report as `--json` gives it; see `docs/reference/iod.md`."""
    question = report.question
    spec, credential = question.draft.spec, report.credential
    return {
        "schema_version": 1,
        "name": question.draft.pattern.shown,
        "user": spec.user,
        "task": spec.task,
        "release": question.camera.name,
        "site": question.site.name,
        "site_open": not any(problem.name == "SITE_CLOSED" for problem in report.problems),
        "backend": question.backend,
        "queue": None if question.queue is None else question.queue.name,
        "output": question.base,
        "catalogs": [one for look in report.looks for one in _catalogs(look)],
        "visits": [_visit(look) for look in report.looks],
        "sensors": report.sensors,
        "empty_sensors": sorted({sensor for look in report.looks for sensor in look.empty_sensors}),
        "units": report.plan.n_units,
        "files": report.n_files,
        "predicted": _predicted(report),
        "work": _work(report),
        "credential": None
        if credential is None
        else {"kind": credential.kind, "path": credential.path, "ends": iso(credential.ends_s)},
        "problems": [
            {"level": one.level, "name": one.name, "message": one.message, "action": one.row.action if one.row else ""}
            for one in report.problems
        ],
        "would_submit": report.refused is None,
    }


def _catalogs(look: VisitLook) -> list[dict[str, object]]:
    visit = look.visit or None
    return [{"url": redacted(one.url), "visit": visit, "size_bytes": one.size_bytes} for one in look.catalogs]


def _visit(look: VisitLook) -> dict[str, object]:
    return {
        "visit": look.visit or None,
        "filter": "ugrizy"[look.filter] if look.visit else None,
        "objects": look.n_objects,
        "units": 0 if look.shape is None else look.shape.n_units,
        "read": look.depth.name.lower(),
    }


def _predicted(report: CheckReport) -> dict[str, object]:
    """Ranges are low, mid, high."""
    return {
        "cpu_s": _rounded(report.cpu_s),
        "cpu_hours": [round(seconds / _SECONDS_PER_HOUR, 4) for seconds in report.cpu_s],
        "wall_s": _rounded(report.wall_s),
        "memory_bytes": report.memory_bytes,
        "scratch_bytes": report.scratch_bytes,
        "output_bytes": report.output_bytes,
        "model": report.question.camera.model.name,
        "units_at_once": report.question.hands,
        "basis": report.basis,
    }


def _work(report: CheckReport) -> dict[str, object]:
    share = report.question.share
    return {
        "jobs": report.n_pieces,
        "cores": share.cores,
        "memory_mb": share.memory_mb,
        "job_hours": [round(seconds / _SECONDS_PER_HOUR, 4) for seconds in report.piece_wall_s()],
    }


def _rounded(one: Range) -> list[float]:
    return [round(seconds, 3) for seconds in one]


# ---------------------------------------------------------------- for people
def show(report: CheckReport, screen: Screen) -> None:
    """The confirm page."""
    question = report.question
    spec = question.draft.spec
    _field(screen, "job", f"{question.draft.pattern.shown} of {spec.user}")
    _field(screen, "runs", f"{question.camera.name} at site {question.site.name}, by backend {question.backend}")
    _show_catalogs(report, screen)
    _show_sensors(report, screen)
    bases = spec.output.base if isinstance(spec.output.base, list) else [question.base]
    places = [f"{redacted(base).rstrip('/')}/{spec.user}/{question.draft.pattern.shown}" for base in bases]
    output = f"{count(report.plan.n_units, 'unit')}, {count(report.n_files, 'file')}, about {size(report.output_bytes)}"
    _field(screen, "output", output, f"to {places[0]}", *(f"else to {place}" for place in places[1:]))
    _show_cost(report, screen)
    if report.credential is not None:
        ends = report.credential.ends_s
        _field(screen, "credential", f"{report.credential.kind}, " + (f"until {moment(ends)}" if ends else "no end"))
    for problem in report.problems[:_MOST_PROBLEMS]:
        _show_problem(problem, screen)
    if len(report.problems) > _MOST_PROBLEMS:
        screen.say(f"... and {len(report.problems) - _MOST_PROBLEMS:,} more; --json has them all")


def _field(screen: Screen, name: str, *lines: str) -> None:
    for number, line in enumerate(lines):
        screen.say(screen.style(f"{'' if number else name:<11}", "bold") + line)


def _show_catalogs(report: CheckReport, screen: Screen) -> None:
    lines = []
    for look in report.looks:
        for one in look.catalogs:
            length = "length unknown" if one.size_bytes is None else f"{one.size_bytes:,} bytes"
            lines.append(f"{redacted(one.url)}: {length}")
        if look.n_objects is not None:
            whole = all(one.path is not None for one in look.catalogs) or look.depth.name == "WHOLE"
            about = "" if whole else "about "
            lines.append(f"  visit {look.visit} in {'ugrizy'[look.filter]}: {about}{count(look.n_objects, 'object')}")
    more = len(lines) - _MOST_CATALOGS
    if more > 1:
        lines[_MOST_CATALOGS:] = [f"... and {count(len(report.looks), 'visit')} in all"]
    _field(screen, "catalogs", *lines)


def _show_sensors(report: CheckReport, screen: Screen) -> None:
    names = report.sensors
    if not names:
        return
    shown = " ".join(names[:_MOST_NAMES]) + (f" ... {names[-1]}" if len(names) > _MOST_NAMES else "")
    _field(screen, "sensors", f"your sensor expression matches {count(len(names), 'sensor')}:", shown)
    devices = [sensor.name for sensor in report.question.camera.sensors]
    empty = {sensor for look in report.looks for sensor in look.empty_sensors}
    for row in focal_plane_rows(devices, set(names), empty):
        marks = row.replace("#", screen.style("#", "green")).replace("o", screen.style("o", "yellow"))
        screen.say(" " * 11 + marks)
    if empty:
        screen.say(" " * 11 + "o has too few objects to be simulated")


def _show_cost(report: CheckReport, screen: Screen) -> None:
    if not report.basis:
        return
    question = report.question
    lines = [
        f"CPU {duration_range(*report.cpu_s)}, from {report.basis} by model {question.camera.model.name}",
        f"memory {size(report.memory_bytes)}, scratch {size(report.scratch_bytes)} for {question.hands} units at once",
    ]
    if report.cuts:
        shortest, longest, highest = report.piece_wall_s()
        share = question.share
        lines.append(
            f"{count(report.n_pieces, 'PanDA job')} of {count(share.cores or 1, 'core')} and {share.memory_mb:,} MB,"
            f" of {shortest / 3600:,.1f} to {longest / 3600:,.1f} h, {highest / 3600:,.1f} h at worst"
        )
    else:
        lines.append(f"wall {duration_range(*report.wall_s)} here, once it begins")
    _field(screen, "predicted", *lines)


def _show_problem(problem: Problem, screen: Screen) -> None:
    first, *more = problem.message.splitlines()
    label = screen.style(f"{problem.level:<11}", _COLOURS[problem.level])
    screen.say(f"{label}{problem.name}: {first}")
    for line in more:
        screen.say(" " * 11 + line)
    if problem.row is not None:
        screen.say(" " * 11 + screen.style(problem.row.action, "faint"))
