"""One source for all kinds of locations, and the coat that repeats what failed for a passing reason."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from transformation.locations import Kind, LocationInvalid, kind_of, redacted
from transformation.model.failures import Failure
from transformation.patience import Patience, Repeater
from transformation.ports import Expected, Head, Landing, Retry, Source, SourceError

_PATIENCE = Patience()


class RoutingSource:
    """Asks the adapter that serves a location; each is made when it is first needed."""

    def __init__(self, makers: Mapping[Kind, Callable[[], Source]]) -> None:
        self._makers = makers
        self._made: dict[Kind, Source] = {}
        self._turn = threading.Lock()

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        """See `Source.open_head`."""
        return self._source(location).open_head(location, n_bytes)

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        """See `Source.fetch`."""
        self._source(location).fetch(location, landing, expected)

    def close(self) -> None:
        """See `Source.close`."""
        with self._turn:
            for source in self._made.values():
                source.close()

    def _source(self, location: str) -> Source:
        try:
            kind = kind_of(location)
        except LocationInvalid as error:
            raise SourceError(Failure.STORAGE_UNKNOWN, str(error)) from error
        with self._turn:
            if kind not in self._made:
                self._made[kind] = self._makers[kind]()
            return self._made[kind]


class RetryingSource:
    """The one layer at which fetching is repeated; a fetch that broke off goes on where it stopped.

    `note` gets every retry, maybe several at once. `sleep` and `clock` are those of `Repeater`.
    """

    def __init__(
        self,
        inner: Source,
        *,
        patience: Patience = _PATIENCE,
        note: Callable[[Retry], None] = lambda _: None,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._note = note
        self._repeater = Repeater(patience, _is_transient, sleep=sleep, clock=clock)

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        """See `Source.open_head`."""
        note = self._noting("open_head", location)
        return self._repeater.repeated(lambda: self._inner.open_head(location, n_bytes), note)

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        """See `Source.fetch`."""
        note = self._noting("fetch", location)
        self._repeater.repeated(lambda: self._inner.fetch(location, landing, expected), note)

    def close(self) -> None:
        """See `Source.close`."""
        self._repeater.stop()
        self._inner.close()

    def _noting(self, operation: str, location: str) -> Callable[[int, float, str], None]:
        def note(tried: int, wait_s: float, problem: str) -> None:
            self._note(Retry(operation=operation, url=redacted(location), tried=tried, wait_s=wait_s, problem=problem))

        return note


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, SourceError) and error.transient
