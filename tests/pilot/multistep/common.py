"""Hands over the job's own commands, `{"command": ..., "args": ...}` in its fields `preprocess` and `postprocess`."""

from __future__ import annotations

from typing import Any

from pilot.user.generic.common import *  # noqa: F403
from pilot.util.constants import UTILITY_AFTER_PAYLOAD_FINISHED2, UTILITY_BEFORE_PAYLOAD


def get_utility_commands(order: Any = None, job: Any = None) -> dict[str, object] | None:
    """The contract of pilot 3.11 (`user/generic/common.py`)."""
    steps = {UTILITY_BEFORE_PAYLOAD: "preprocess", UTILITY_AFTER_PAYLOAD_FINISHED2: "postprocess"}
    label = steps.get(order)
    step = getattr(job, label) if label else None
    return {**step, "label": label, "ignore_failure": False} if step else None
