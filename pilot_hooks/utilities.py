"""Memory and I/O of the job, from the summary that `lsst-trf` keeps in prmon's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from pilot.user.generic.utilities import *  # noqa: F403

from .core.panda import memory


def get_memory_monitor_info(workdir: str, *_more: Any, **_named: Any) -> Dict[str, int]:
    """PanDA's fields: maxRSS, avgRSS, totRCHAR, ..."""
    return memory(Path(workdir))
