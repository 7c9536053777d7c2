"""The one layer at which catalog calls are repeated: a coat around any catalog.

Only what the adapter calls transient is repeated, after waits that are drawn at random, so that many jobs that write
one dataset at once do not meet again. Registration may be repeated without harm, also when only its answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from transformation.ports import Catalog, CatalogError, FileRecord

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 20.0
_Answer = TypeVar("_Answer")


class RetryingCatalog:
    """Repeats what failed for a passing reason; no try begins later than `patience_s` after the first."""

    def __init__(self, catalog: Catalog, *, patience_s: float) -> None:
        self._catalog = catalog
        self._patience_s = patience_s

    @property
    def place(self) -> str:
        """See `Catalog.place`."""
        return self._catalog.place

    def register(self, records: Sequence[FileRecord]) -> None:
        """See `Catalog.register`."""
        self._repeated(lambda: self._catalog.register(records))

    def known(self, dataset: str) -> Sequence[FileRecord]:
        """See `Catalog.known`."""
        return self._repeated(lambda: self._catalog.known(dataset))

    def _repeated(self, call: Callable[[], _Answer]) -> _Answer:
        import tenacity  # not needed before the first unit is done

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, CatalogError) and error.transient),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
            stop=tenacity.stop_before_delay(self._patience_s),
            reraise=True,
        )
        return retrying(call)
