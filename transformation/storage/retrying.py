"""The one layer at which storage calls are repeated: a coat around any storage.

Only failures that the adapter calls transient are repeated. A call whose answer was lost may have had its effect, so a
repeated one can meet its own work:
- `create` says False though the file is ours: whoever needs to know reads what stands;
- `rename` says `Missing` though it was us who renamed: whoever needs to know looks under the new name;
- `put` says nothing about what an earlier try left: the far end has to be asked what it holds.
The stages that commit a unit do so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from transformation.patience import Patience, Repeater
from transformation.ports import Entry, Measured, MeasuringStorage, Retry, Stat, Storage, StorageError, Survey

__all__ = ["Patience", "RetryingStorage"]

T = TypeVar("T")
_PATIENCE = Patience()


class RetryingStorage:
    """Repeats what failed for a passing reason; see the rules above.

    `note` gets every retry, maybe several at once. `sleep` may end early; by default it does so at `close`, after which
    nothing is repeated. `clock` gives seconds that only grow.
    """

    def __init__(
        self,
        inner: Storage,
        *,
        patience: Patience = _PATIENCE,
        note: Callable[[Retry], None] = lambda _: None,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._note = note
        self._repeater = Repeater(patience, _is_transient, sleep=sleep, clock=clock)

    @property
    def parallel(self) -> int:
        """See `Storage.parallel`."""
        return self._inner.parallel

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""
        return self._repeated("stat", url, lambda: self._inner.stat(url))

    def adler32(self, url: str) -> str:
        """See `Storage.adler32`."""
        return self._repeated("adler32", url, lambda: self._inner.adler32(url))

    def list(self, url: str) -> Sequence[Entry]:
        """See `Storage.list`."""
        return self._repeated("list", url, lambda: self._inner.list(url))

    def folders(self, url: str) -> Sequence[str]:
        """See `Storage.folders`."""
        return self._repeated("folders", url, lambda: self._inner.folders(url))

    def read(self, url: str, *, limit_bytes: int) -> bytes:
        """See `Storage.read`."""
        return self._repeated("read", url, lambda: self._inner.read(url, limit_bytes=limit_bytes))

    def get(self, url: str, path: Path) -> None:
        """See `Storage.get`."""
        self._repeated("get", url, lambda: self._inner.get(url, path))

    def get_measured(self, url: str, path: Path, expected: Measured) -> Measured | None:
        """See `MeasuringStorage`; None also where the storage inside cannot do that."""
        inner = self._inner
        if isinstance(inner, MeasuringStorage):
            return self._repeated("get", url, lambda: inner.get_measured(url, path, expected))
        self.get(url, path)
        return None

    def put(self, path: Path, url: str) -> None:
        """See `Storage.put`; ask the far end what it holds."""
        self._repeated("put", url, lambda: self._inner.put(path, url))

    def create(self, url: str, content: bytes) -> bool:
        """See `Storage.create`; False may be said of one's own file, whose creation was not answered."""
        return self._repeated("create", url, lambda: self._inner.create(url, content))

    def rename(self, url: str, new_url: str) -> None:
        """See `Storage.rename`; `Missing` may be raised for a rename of one's own that was not answered."""
        self._repeated("rename", url, lambda: self._inner.rename(url, new_url))

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        self._repeated("delete", url, lambda: self._inner.delete(url))

    def survey(self, url: str) -> Survey:
        """See `Storage.survey`."""
        return self._repeated("survey", url, lambda: self._inner.survey(url))

    def close(self) -> None:
        """See `Storage.close`."""
        self._repeater.stop()
        self._inner.close()

    def _repeated(self, operation: str, url: str, call: Callable[[], T]) -> T:
        def note(tried: int, wait_s: float, problem: str) -> None:
            self._note(Retry(operation=operation, url=url, tried=tried, wait_s=wait_s, problem=problem))

        return self._repeater.repeated(call, note)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, StorageError) and error.transient
