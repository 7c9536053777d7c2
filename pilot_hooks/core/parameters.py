"""The job parameters as the pilot has them: text for a shell, or that text in base64 (tasks with `encJobParams`)."""

from __future__ import annotations

import base64
import shlex
from typing import List, Optional, Sequence


def words_of(parameters: str) -> List[str]:
    """The words that `lsst-trf.sh` is going to see; none if the text is not whole."""
    try:
        return shlex.split(_unpacked(parameters))
    except ValueError:
        return []


def _unpacked(parameters: str) -> str:
    try:
        text = base64.b64decode(parameters.strip(), validate=True).decode()
    except ValueError:
        return parameters
    return text if text.lstrip().startswith("-") else parameters


def value_of(words: Sequence[str], option: str) -> Optional[str]:
    """What an option is given, in one word or two; None if it is not there."""
    for word, following in zip(words, [*words[1:], ""]):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word[len(option) + 1 :]
    return None
