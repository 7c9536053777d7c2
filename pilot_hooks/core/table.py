"""The failure table, as the package's release generated it beside these modules."""

from __future__ import annotations

import json
import pkgutil
from functools import lru_cache
from typing import Any, Dict

Row = Dict[str, Any]
TERMINATED = "TERMINATED"
RELEASE_UNREACHABLE = "RELEASE_UNREACHABLE"


@lru_cache(maxsize=None)
def rows_by_code() -> Dict[int, Row]:
    """Every row: code, name, remedy, meaning, action."""
    text = pkgutil.get_data(__name__.rpartition(".core.")[0], "exit_codes.json")
    assert text is not None
    return {row["code"]: row for row in json.loads(text)}


def row_named(name: str) -> Row:
    """The row of that name. Raises `KeyError`."""
    for row in rows_by_code().values():
        if row["name"] == name:
            return row
    raise KeyError(name)


LONGEST_DIAGNOSIS = 256
"""What PanDA keeps of a diagnosis."""


def diagnosis(row: Row, detail: str) -> str:
    """Name, what happened, what to do: in one line that fits, with the remedy kept whole."""
    detail = " ".join(detail.split())
    room = LONGEST_DIAGNOSIS - len(f"{row['name']}: ; {row['action']}")
    return f"{row['name']}: {detail if len(detail) <= room else detail[: room - 3] + '...'}; {row['action']}"
