"""Register what is committed but stands in no catalog yet: `lsst-trf register` for each visit that needs it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, List

from .files import REPORT, Document, units_of, write_document
from .journal import read_story
from .start import Answer, command_of, run


def unregistered_places(report: Document) -> Dict[str, str]:
    """Visit -> folder of its images, for visits with a committed unit that is not registered."""
    if not report.get("catalog"):
        return {}
    waiting = [
        unit.get("visit")
        for unit in units_of(report)
        if unit.get("state") == "committed" and not unit.get("registered")
    ]
    visits = report.get("visits")
    found = [visit for visit in visits if isinstance(visit, dict)] if isinstance(visits, list) else []
    places = [(visit.get("visit"), visit.get("place")) for visit in found]
    return {
        visit: place
        for visit, place in places
        if isinstance(visit, str) and isinstance(place, str) and visit in waiting and _is_argument(place)
    }


def _is_argument(text: str) -> bool:
    """Nothing that a command line would take for an option, or that is no argument at all."""
    return text != "" and not text.startswith("-") and text.isprintable()


def replay(workdir: Path, report: Document, limit_s: float) -> List[str]:
    """Register within the time limit, and write into the report what stands in the catalog now; lines to print.

    What is left over is no loss: the next attempt at the job, or `lsst-trf register`, does the rest.
    """
    places = unregistered_places(report)
    if not places:
        return []
    story = read_story(workdir)
    command = command_of(workdir, story.job.get("command"))
    if not command:
        return ["no lsst-trf here: registration is left to the next attempt"]
    site = str(story.job.get("site_given") or report.get("site") or "local")
    if not _is_argument(site):
        return [f"registration is left to the next attempt: {site!r} is no site"]
    end = time.monotonic() + limit_s
    lines = []
    for visit, place in places.items():
        left_s = end - time.monotonic()
        answer = run([*command, "register", place, "--site", site], workdir, left_s) if left_s > 0 else Answer(None, "")
        lines.append(f"register {place}: {_outcome(answer)}")
        if answer.exit_code == 0:
            _mark(report, visit)
    write_document(workdir / REPORT, report)
    return lines


def _outcome(answer: Answer) -> str:
    if answer.exit_code is None:
        return "out of time, left to the next attempt"
    last = (answer.output.strip().splitlines() or [""])[-1]
    return f"exit {answer.exit_code}, {last}"


def _mark(report: Document, visit: str) -> None:
    for unit in units_of(report):
        if unit.get("visit") == visit and unit.get("state") == "committed":
            unit["registered"] = True
