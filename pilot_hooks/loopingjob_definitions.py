"""When a job is stuck: when no simulator uses CPU time and nothing else moves either."""

from __future__ import annotations

from typing import List

from pilot.user.generic.loopingjob_definitions import *  # noqa: F403

from .core.liveness import signs_of_life


def allow_loopingjob_detection() -> bool:
    """Yes: a PhoSim at work keeps the time stamps fresh, also while it says nothing for hours."""
    return True


def remove_unwanted_files(workdir: str, files: List[str]) -> List[str]:
    """Of the recently touched files, those that prove that the job goes on."""
    return signs_of_life(workdir, files)
