"""A job report in every case: what `lsst-trf` could not write any more is put together from its journal.

`lsst-trf` writes both reports when it starts and renews them while it runs. After SIGKILL they say that it is running,
and lag behind the journal, which has every event.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Dict, List

from .files import ERROR_REPORT, REPORT, Document, is_running, read_document, units_of, write_document
from .journal import Story, UnitStory, note, read_story
from .table import LONGEST_DIAGNOSIS, TERMINATED, diagnosis, row_named

_UNIT_ID = re.compile(r"v(.+)-(R\d\d_S\d\d(?:_C\d)?)-E(\d+)")
_DONE = ("committed", "empty")


def ensure_report(workdir: Path) -> Document:
    """The job report, final unless the job still runs; it is rebuilt if the job was cut off. Never raises."""
    if is_running(workdir):
        return read_document(workdir / REPORT)
    report = read_document(workdir / REPORT)
    if not _is_final(report):
        report = _rebuilt(workdir, report)
    _settle_error(workdir, report)
    return report


def _rebuilt(workdir: Path, left: Document) -> Document:
    story = read_story(workdir)
    report = rebuild(left, story)
    with suppress(OSError):
        write_document(workdir / REPORT, report)
    with suppress(OSError):
        note(workdir, story.run, "report_rebuilt", exitCode=report["exitCode"])
    return report


def _settle_error(workdir: Path, report: Document) -> None:
    """The error report says what the report does, also if the job was killed, or the disk full, between the two."""
    place = workdir / ERROR_REPORT
    wanted = {"error_code": report["exitCode"], "error_diag": str(report.get("exitMsg", ""))[:LONGEST_DIAGNOSIS]}
    with suppress(OSError):
        if not report["exitCode"]:
            place.unlink()
        elif read_document(place) != wanted:
            write_document(place, wanted)


def _is_final(report: Document) -> bool:
    return isinstance(report.get("exitCode"), int) and report.get("state") not in (None, "running")


def rebuild(left: Document, story: Story) -> Document:
    """The report as it stands after the last event of the journal; `left` is what `lsst-trf` wrote last."""
    if story.run and left.get("run") != story.run:
        left = {}
    units = _units(left, story)
    n_done = sum(unit.get("state") in _DONE for unit in units)
    report: Document = {
        "schema_version": 1,
        "name": story.job.get("name", ""),
        "user": story.job.get("user", ""),
        "site": story.job.get("site", ""),
        "run": story.run,
        "started": story.started,
        "resource": {},
        **left,
        **_verdict(story, n_done, len(units)),
        "ended": story.last,
        "reconstructed": True,
        "units": units,
        "missing": [unit["id"] for unit in units if unit.get("state") not in _DONE],
    }
    for passing in ("progress", "eta_s"):
        report.pop(passing, None)
    return report


def _verdict(story: Story, n_done: int, n_units: int) -> Document:
    """Exit code, its name and sentence: the journal's last word, or that it was killed."""
    code, name = story.end.get("exitCode", 0), story.end.get("exitAcronym", "OK")
    if story.end and isinstance(code, int) and isinstance(name, str):
        return {"exitCode": code, "exitAcronym": name, "exitMsg": story.end.get("exitMsg", ""), "state": _state(name)}
    row = row_named(TERMINATED)
    if story.run:
        detail = f"killed before it could say more; {n_done} of {n_units} units are done"
    else:
        detail = "no word of the job was left; it was killed as it started, or never started"
    return {
        "exitCode": row["code"],
        "exitAcronym": row["name"],
        "exitMsg": diagnosis(row, detail),
        "state": "terminated",
    }


def _state(name: str) -> str:
    if name == "OK":
        return "done"
    if name in (TERMINATED, "DEADLINE"):
        return "terminated"
    return "partial" if name.startswith("PARTIAL") else "failed"


def _units(left: Document, story: Story) -> List[Document]:
    """Every unit known to report or journal, as far as it came."""
    found: Dict[str, Document] = {unit["id"]: unit for unit in units_of(left)}
    for unit_id, told in story.units.items():
        if unit_id in found or _UNIT_ID.fullmatch(unit_id):
            found[unit_id] = _unit(found.get(unit_id) or _named(unit_id), told)
    for unit in found.values():
        for passing in ("progress", "eta_s"):
            unit.pop(passing, None)
    return list(found.values())


def _named(unit_id: str) -> Document:
    match = _UNIT_ID.fullmatch(unit_id)
    assert match is not None
    return {"id": unit_id, "visit": match[1], "sensor": match[2], "exposure": int(match[3])}


def _unit(unit: Document, told: UnitStory) -> Document:
    attempts = unit.get("attempts")
    unit = {**unit, "state": told.state, "attempts": list(attempts) if isinstance(attempts, list) else []}
    for event in told.attempts[len(unit["attempts"]) :]:
        attempt = {key: event.get(key, "") for key in ("outcome", "detail")}
        unit["attempts"].append({"number": event.get("attempt", len(unit["attempts"]) + 1), **attempt})
    unit["made_in_this_run"] = unit.get("made_in_this_run") or told.made_in_this_run
    unit["registered"] = unit.get("registered") or told.registered
    if told.state == "running":
        unit.update(state="failed", failure=TERMINATED, detail="it was under way when the job was killed")
    elif told.state == "failed":
        unit.update(failure=told.failure, detail=told.detail)
    return unit
