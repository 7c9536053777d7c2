"""Which files prove that a job goes on, for the pilot's looping rule.

PhoSim is silent for hours at work, and a stuck one may have its files touched by others. `lsst-trf` stamps
`progress.json` whenever a simulator has used CPU time, and only then; the journal tells of everything else that moves,
and scratch grows while a catalog is fetched. All other files say nothing about the job.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Iterable, List

from .files import JOURNAL, LOGS, PROGRESS, SCRATCH

_SIGNS = (PROGRESS, JOURNAL)
_FOLDERS = (SCRATCH, LOGS)


def signs_of_life(workdir: str, files: Iterable[str]) -> List[str]:
    """Those of the recently touched files that count."""
    root = PurePath(workdir)
    ours = [path for path in files if path and root in PurePath(path).parents]
    places = [(path, PurePath(path).relative_to(root).parts) for path in ours]
    return [path for path, parts in places if parts[0] in _FOLDERS or (len(parts) == 1 and parts[0] in _SIGNS)]
