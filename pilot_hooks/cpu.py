"""Cores in use: the simulators lead sessions of their own, where the pilot's `ps` does not find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilot.user.generic.cpu import *  # noqa: F403

from .core.panda import cores


def set_core_counts(**named: Any) -> None:
    """What the job's report says that it uses."""
    job = named.get("job")
    used = cores(Path(job.workdir)) if job is not None else None
    if job is not None and used is not None:
        job.actualcorecount = used
        job.corecounts = [*(job.corecounts or []), used]
