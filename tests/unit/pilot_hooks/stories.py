"""Work folders as `lsst-trf` leaves them, written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RUN = "0123456789ab"
FIRST, SECOND, THIRD = (f"v4242-R22_S1{number}-E000" for number in range(3))

Event = dict[str, Any]


def event(kind: str, second: int = 0, /, **facts: Any) -> Event:
    """One event of the journal."""
    return {"t": f"2026-11-22T10:00:{second:02}.000Z", "run": RUN, "event": kind, **facts}


def start(**facts: Any) -> Event:
    """The first event of a job."""
    return event("job_start", name="run-00019", user="tonyj", site="local", pid=4711, **facts)


CUT_OFF = (
    start(),
    event("unit_started", 1, unit=FIRST, state="running", attempt=1),
    event("unit_attempted", 2, unit=FIRST, state="running", attempt=1, outcome="good", detail=""),
    event("unit_committed", 3, unit=FIRST, state="committed", made_in_this_run=True),
    event("unit_started", 4, unit=SECOND, state="running", attempt=1),
    event("unit_attempted", 5, unit=SECOND, state="running", attempt=1, outcome="SIMULATOR_CRASHED", detail="exit 1"),
    event("unit_registered", 6, unit=FIRST, state="committed"),
    event("unit_started", 7, unit=SECOND, state="running", attempt=2),
)
"""A job of three units that was killed while it tried the second again."""

LEFT: dict[str, Any] = {
    "schema_version": 1,
    "exitCode": 44,
    "exitAcronym": "TERMINATED",
    "exitMsg": "the job is running, or was killed before it could say more",
    "state": "running",
    "name": "run-00019",
    "user": "tonyj",
    "site": "local",
    "run": RUN,
    "started": "2026-11-22T10:00:00.000Z",
    "catalog": "/store/catalog.sqlite",
    "progress": 0.3,
    "eta_s": 12.5,
    "visits": [{"visit": "4242", "dataset": "run-00019/v4242", "place": "/store/tonyj/run-00019/v4242", "digest": "d"}],
    "units": [
        {"id": unit, "visit": "4242", "sensor": unit[6:13], "exposure": 0, "state": "planned", "progress": 0.5}
        for unit in (FIRST, SECOND, THIRD)
    ],
    "resource": {"cores": 2},
}
"""Its report as it was written last: a moment after the start."""


def write_journal(folder: Path, *events: Event, rest: str = "") -> None:
    """A journal, and after it a piece of a line."""
    (folder / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events) + rest)


def write_report(folder: Path, **changes: Any) -> None:
    """The report that was written last."""
    (folder / "jobReport.json").write_text(json.dumps({**LEFT, **changes}))


def read(folder: Path, name: str) -> dict[str, Any]:
    """A document of the work folder."""
    return dict(json.loads((folder / name).read_text()))


def fake_trf(folder: Path, script: str) -> Path:
    """A program in the place of `lsst-trf.sh`; its arguments end up in `asked`, a line a start."""
    path = folder / "lsst-trf.sh"
    path.write_text(f'#!/bin/sh\necho "$*" >> asked\n{script}\n')
    path.chmod(0o755)
    return path


def asked(folder: Path) -> list[str]:
    """What it was asked."""
    path = folder / "asked"
    return path.read_text().splitlines() if path.exists() else []
