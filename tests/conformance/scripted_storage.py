"""Any storage with a script around it: each call can be stopped before, in the middle or after its effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from transformation.ports import Entry, Stat, Storage, Survey

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: no code of the job catches this."""


class ScriptedStorage:
    """Calls `before(operation, url)` and `after(operation, url)` around each call; either may raise."""

    def __init__(
        self,
        inner: Storage,
        *,
        before: Callable[[str, str], None] = lambda operation, url: None,
        after: Callable[[str, str], None] = lambda operation, url: None,
    ) -> None:
        self.inner = inner
        self._before = before
        self._after = after

    @property
    def parallel(self) -> int:
        return self.inner.parallel

    def stat(self, url: str) -> Stat | None:
        return self._run("stat", url, lambda: self.inner.stat(url))

    def adler32(self, url: str) -> str:
        return self._run("adler32", url, lambda: self.inner.adler32(url))

    def list(self, url: str) -> Sequence[Entry]:
        return self._run("list", url, lambda: self.inner.list(url))

    def folders(self, url: str) -> Sequence[str]:
        return self._run("folders", url, lambda: self.inner.folders(url))

    def read(self, url: str, *, limit_bytes: int) -> bytes:
        return self._run("read", url, lambda: self.inner.read(url, limit_bytes=limit_bytes))

    def get(self, url: str, path: Path) -> None:
        self._run("get", url, lambda: self.inner.get(url, path))

    def put(self, path: Path, url: str) -> None:
        self._run("put", url, lambda: self.inner.put(path, url))

    def create(self, url: str, content: bytes) -> bool:
        return self._run("create", url, lambda: self.inner.create(url, content))

    def rename(self, url: str, new_url: str) -> None:
        self._run("rename", url, lambda: self.inner.rename(url, new_url))

    def delete(self, url: str) -> None:
        self._run("delete", url, lambda: self.inner.delete(url))

    def survey(self, url: str) -> Survey:
        return self._run("survey", url, lambda: self.inner.survey(url))

    def close(self) -> None:
        self.inner.close()

    def _run(self, operation: str, url: str, call: Callable[[], T]) -> T:
        self._before(operation, url)
        result = call()
        self._after(operation, url)
        return result
