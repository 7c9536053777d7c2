"""How the PanDA pilot hands over arguments, and what it must not read in our words.

Sources: panda-server `jobdispatcher/Protocol.py` (`encJobParams`), panda-pilot 3.7 `common/errorcodes.py`
(`resolve_transform_error`, `extract_stderr_error`).
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Sequence

from transformation.model.failures import Failure, JobError

_ALARMS = (
    "Not mounting requested bind point",
    "No more available loop devices",
    "Failed to mount image",
    "error: while mounting",
    "Operation not permitted",
    "Failed to create user namespace",
    "Singularity is not installed",
    "Apptainer is not installed",
    "General payload setup verification error",
    "cannot create directory",
    "command not found",
)
"""Anywhere in a payload's stderr, these turn its failure into one of the container, also after exit code 0."""
_ALARM = re.compile("|".join(re.escape(words) for words in _ALARMS))


def without_alarm(text: str) -> str:
    """The text, with `_` for the blanks of phrases that the pilot would take for a broken container."""
    return _ALARM.sub(lambda found: found[0].replace(" ", "_"), text)


def decode_parameters(words: Sequence[str]) -> list[str]:
    """The command line, with job parameters that came as one base64 word put in their place.

    PanDA packs them so for tasks with `encJobParams`, because what they hold is otherwise text for a shell. They are
    split into words as a shell does it, but nothing in them is expanded or run. Raises `JobError` USAGE.
    """
    if len(words) < 2 or words[0] != "run" or words[1].startswith("-"):
        return list(words)
    try:
        text = base64.b64decode(words[1], validate=True).decode()
    except (binascii.Error, ValueError):
        return list(words)
    if not text.lstrip().startswith("-"):
        return list(words)
    try:
        return [words[0], *shlex.split(text), *words[2:]]
    except ValueError as error:
        raise JobError(Failure.USAGE, f"the encoded job parameters are not whole: {error}") from None
