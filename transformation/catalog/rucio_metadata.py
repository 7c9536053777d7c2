"""What Rucio is told about an image besides size and checksum.

Every Rucio server keeps a fixed set of metadata (columns of its table `dids`, Rucio 41: `run_number`, `campaign`, ...);
names of one's own need a database with JSON columns. A value that a column cannot hold is left out: no image stays
unregistered for its metadata, and the unit's manifest has all of it anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from transformation.ports import FileRecord

_COLUMNS = {
    "visit": "run_number",
    "job": "campaign",
    "release": "version",
    "role": "datatype",
    "sensor": "stream_name",
    "panda_id": "panda_id",
    "panda_task_id": "task_id",
}
"""Ours -> Rucio's own."""
_NUMBERS = frozenset({"run_number", "panda_id", "task_id"})
_LARGEST_NUMBER = 2**31 - 1
_LONGEST_TEXT = 50
"""Characters that the shortest of these columns holds."""
_RENAMED = {"panda_id": "panda_job_id"}
"""A name that is a column stays one, and this column is too small for the ids of today's PanDA."""


class Detail(IntEnum):
    """How much metadata a server takes."""

    NONE = 0
    COLUMNS = 1
    ALL = 2


def metadata_of(record: FileRecord, detail: Detail) -> dict[str, str | int]:
    """The record's metadata in the names and types that a server of that kind takes."""
    if detail is Detail.NONE:
        return {}
    fitting = {column: _fitting(column, record.metadata.get(name)) for name, column in _COLUMNS.items()}
    columns = {column: value for column, value in fitting.items() if value is not None}
    if detail is Detail.COLUMNS:
        return columns
    return columns | {_RENAMED.get(name, name): value for name, value in record.metadata.items()}


def metadata_from(found: Mapping[str, object]) -> dict[str, str | int]:
    """Ours again, from what a server that keeps all of it answers for one file."""
    names = {theirs: ours for ours, theirs in _RENAMED.items()}
    known = {names.get(name, name): value for name, value in found.items() if name not in {"scope", "name"}}
    return {name: value for name, value in known.items() if isinstance(value, (str, int))}


def _fitting(column: str, value: str | int | None) -> str | int | None:
    if value is None:
        return None
    text = str(value)
    if column not in _NUMBERS:
        return text if len(text) <= _LONGEST_TEXT else None
    is_number = text.isascii() and text.isdecimal()
    return int(text) if is_number and int(text) <= _LARGEST_NUMBER else None
