"""The job's append-only diary: one JSON object a line, whole lines only, readable after SIGKILL.

Every event has `t` (UTC, ISO 8601), `run` (unique to one start of `lsst-trf`) and `event`; the rest depends on the
event (`docs/reference/journal.md`).
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

Fact = str | int | float | bool | None | list[str] | dict[str, str | int | float | None]


class Journal:
    """Writes events; safe for threads."""

    def __init__(self, path: Path, run: str) -> None:
        """Open for appending; a line that a killed run, or a full disk, left half-written is ended first.

        Raises `OSError`.
        """
        self.path = path
        self.run = run
        self._lock = threading.Lock()
        self._file = open_plain(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        size = os.fstat(self._file).st_size
        self._half_written = bool(size) and os.pread(self._file, 1, size - 1) != b"\n"

    def write(self, event: str, **facts: Fact) -> None:
        """Append one event. A disk that is full loses the event, never the job."""
        line = to_json({"t": utc_now(), "run": self.run, "event": event, **facts}) + b"\n"
        with self._lock, suppress(OSError):
            if self._half_written:
                line = b"\n" + line
            written = os.write(self._file, line)
            self._half_written = written < len(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def open_plain(path: Path, flags: int) -> int:
    """Open a file of the work folder, which others can write: a link would lead out of it, a pipe would make us wait.

    Raises `OSError`.
    """
    file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "is not a plain file", str(path))
    return file


def to_json(value: object) -> bytes:
    """JSON of anything that msgspec knows, whatever its texts hold.

    Paths and arguments that are not UTF-8 reach us as text that cannot be encoded: `?` stands for such bytes.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def utc_now() -> str:
    """The time as the journal and the report write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_journal(path: Path) -> Iterator[dict[str, object]]:
    """All whole events of a journal, in order; lines that are no JSON objects are passed over."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                event = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(event, dict) and "event" in event:
                yield event
