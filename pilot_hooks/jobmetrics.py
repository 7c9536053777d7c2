"""How far the job is, sent with every heartbeat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilot.user.generic.jobmetrics import *  # noqa: F403

from .core.panda import metrics


def get_job_metrics(job: Any, *_more: Any, **_named: Any) -> str:
    """`unitsDone=3 unitsTotal=18 progress=0.2 etaSeconds=7000`."""
    return metrics(Path(job.workdir))
