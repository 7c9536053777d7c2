"""What the journal tells of the last run of `lsst-trf` in a work folder (docs/reference/journal.md of the package)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from .files import JOURNAL, read_regular

Event = Dict[str, Any]


@dataclass
class UnitStory:
    """What became of a unit."""

    state: str = "planned"
    attempts: List[Event] = field(default_factory=list)
    made_in_this_run: bool = False
    registered: bool = False
    failure: Optional[str] = None
    detail: str = ""


@dataclass
class Story:
    """What became of a run."""

    run: str = ""
    started: str = ""
    last: str = ""
    """Time of the last event."""
    job: Event = field(default_factory=dict)
    """The event `job_start`."""
    end: Event = field(default_factory=dict)
    """The event `job_end`; empty if the run was cut off."""
    units: Dict[str, UnitStory] = field(default_factory=dict)


def read_story(workdir: Path) -> Story:
    """The last run's story; an empty one if there is no journal."""
    story = Story()
    for event in _events(workdir / JOURNAL):
        run = event.get("run")
        if not isinstance(run, str):
            continue
        if run != story.run:
            story = Story(run=run, started=str(event.get("t", "")))
        _tell(story, event)
    return story


def note(workdir: Path, run: str, event: str, **facts: object) -> None:
    """Append an event of our own. Raises `OSError`."""
    line = json.dumps({"t": _utc_now(), "run": run, "event": event, **facts}, separators=(",", ":"))
    place = workdir / JOURNAL
    # A link or a pipe that somebody put there is not our journal.
    handle = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    with os.fdopen(handle, "ab+") as journal:
        end = journal.seek(0, 2)
        journal.seek(max(0, end - 1))
        half_written = end > 0 and journal.read(1) != b"\n"
        journal.write((b"\n" if half_written else b"") + line.encode() + b"\n")


def _events(path: Path) -> Iterator[Event]:
    """Whole events in order; the last line may have been cut by a kill."""
    try:
        lines = read_regular(path).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            yield event


def _tell(story: Story, event: Event) -> None:
    story.last = str(event.get("t", story.last))
    name = event["event"]
    if name == "job_start":
        story.job = event
    elif name == "job_end":
        story.end = event
    unit_id = event.get("unit")
    if not isinstance(unit_id, str):
        return
    unit = story.units.setdefault(unit_id, UnitStory())
    unit.state = str(event.get("state", unit.state))
    if name == "unit_attempted":
        unit.attempts.append(event)
    elif name in ("unit_committed", "unit_empty"):
        unit.made_in_this_run = bool(event.get("made_in_this_run"))
    elif name == "unit_registered":
        unit.registered = True
    elif name == "unit_failed":
        unit.failure, unit.detail = str(event.get("failure")), str(event.get("detail", ""))


def _utc_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
