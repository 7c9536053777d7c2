"""Fetch several inputs at once: from this node's cache where it has them, else from where they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import msgspec
from msgspec.structs import replace

from transformation.input_cache import InputCache
from transformation.locations import Kind, kind_of, redacted
from transformation.model.failures import Failure
from transformation.ports import Expected, Landing, Source, SourceError

_AT_ONCE = 4

Note = Callable[..., None]
"""Gets the name of an event and its facts, as `Journal.write` does; maybe several at once."""


def keep_silent(_event: str, **_facts: object) -> None:
    """For who keeps no journal."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One file to be fetched."""

    key: str
    """Of the job spec: what asks for it."""
    location: str
    path: Path
    """Where it goes."""
    expected: Expected
    may_be_missing: bool = False


class FetchFailed(Exception):
    """A file could not be fetched; the others were given up."""

    def __init__(self, wanted: Wanted, cause: SourceError) -> None:
        super().__init__(cause.detail)
        self.wanted = wanted
        self.cause = cause


def fetch_all(source: Source, wanted: Sequence[Wanted], cache: InputCache | None, note: Note) -> set[str]:
    """Fetch all, a few at a time; the locations of those that are missing and may be. Raises `FetchFailed`.

    The threads that do it are daemons: one that hangs in the depths of a library delays nobody's end.
    """
    waiting: SimpleQueue[Wanted] = SimpleQueue()
    results: SimpleQueue[tuple[Wanted, Exception | None]] = SimpleQueue()
    for one in wanted:
        waiting.put(one)

    def work() -> None:
        with suppress(Empty):
            while True:
                one = waiting.get_nowait()
                try:
                    _fetch(source, one, cache, note)
                except Exception as error:  # noqa: BLE001 - handed to the main thread as it is
                    results.put((one, error))
                    if not _may_be(one, error):
                        return
                else:
                    results.put((one, None))

    for number in range(min(_AT_ONCE, len(wanted))):
        threading.Thread(target=work, name=f"fetch-{number}", daemon=True).start()
    try:
        return set(filter(None, [_missing(*results.get()) for _ in wanted]))
    finally:
        with suppress(Empty):
            while True:  # after a failure nobody needs the rest
                waiting.get_nowait()


def _missing(wanted: Wanted, error: Exception | None) -> str | None:
    if error is None:
        return None
    if _may_be(wanted, error):
        return wanted.location
    if isinstance(error, SourceError):
        raise FetchFailed(wanted, error) from error
    raise error


def _may_be(wanted: Wanted, error: Exception) -> bool:
    return wanted.may_be_missing and isinstance(error, SourceError) and error.failure is Failure.CATALOG_MISSING


def _fetch(source: Source, wanted: Wanted, cache: InputCache | None, note: Note) -> None:
    began = time.monotonic()
    location, path, expected = wanted.location, wanted.path, wanted.expected
    if cache is not None and not expected.is_pinned and kind_of(location) is Kind.RUCIO:
        head = source.open_head(location)
        expected = replace(expected, size_bytes=head.size_bytes, adler32=head.adler32)
    allowed = (expected.size_bytes or 0) <= expected.limit_bytes
    cached = cache is not None and allowed and cache.take(location, expected, path)
    if not cached:
        source.fetch(location, Landing(path=path), expected)
        if cache is not None:
            cache.put(location, expected, path)
    note(
        "input_fetched",
        location=redacted(location),
        size_bytes=path.stat().st_size,
        wall_s=round(time.monotonic() - began, 3),
        cached=cached,
    )
