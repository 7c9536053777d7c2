"""After the payload, whatever became of it: a report, the outbox, and a work folder that packs small."""

from __future__ import annotations

from pathlib import Path

from .files import is_running
from .journal import read_story
from .outbox import replay
from .report import ensure_report
from .tidy import tidy

LIMIT_S = 120.0


def postprocess(workdir: Path, limit_s: float = LIMIT_S) -> int:
    """Always 0: a hook that fails would turn a good job into a failed one."""
    if is_running(workdir):
        print("lsst-trf is still at work here: nothing is touched")
        return 0
    report = ensure_report(workdir)
    print(f"report: {report.get('exitAcronym', '?')}{', rebuilt' if report.get('reconstructed') else ''}")
    try:
        for line in replay(workdir, report, limit_s):
            print(line)
        for line in tidy(workdir, report, read_story(workdir)):
            print(line)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}")
    return 0
