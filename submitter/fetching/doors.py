"""Storages by location, each opened when it is first needed. A server that has been silent is not waited for again."""

from __future__ import annotations

import threading
from pathlib import Path

from transformation.locations import Kind, LocationInvalid, kind_of
from transformation.model.failures import Failure, JobError
from transformation.ports import Measured, MeasuringStorage, Storage, StorageError
from transformation.wiring import storage_for


class Doors:
    """For any number of threads; to be closed, which makes calls under way fail."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._made: dict[Kind, Storage] = {}
        self._silent: dict[str, StorageError] = {}
        """By server: storages have their own patience, which is at its end for these."""

    def storage(self, url: str) -> Storage:
        """The storage that serves a location. Raises `JobError` STORAGE_UNKNOWN."""
        try:
            kind = kind_of(url)
        except LocationInvalid as error:
            raise JobError(Failure.STORAGE_UNKNOWN, str(error)) from None
        with self._turn:
            if kind not in self._made:
                self._made[kind] = storage_for(url)
            return self._made[kind]

    def get(self, url: str, path: Path, expected: Measured) -> Measured | None:
        """Copy a file to a path that does not exist yet: what arrived, or None if nobody has measured it on its way.

        Raises `StorageError`, `JobError`.
        """
        server = "/".join(url.split("/", 3)[:3]) if "://" in url else ""
        if server in self._silent:
            raise self._silent[server]
        try:
            storage = self.storage(url)
            if isinstance(storage, MeasuringStorage):
                return storage.get_measured(url, path, expected)
            storage.get(url, path)
        except StorageError as error:
            if server and error.failure is Failure.STORAGE_UNREACHABLE:
                self._silent[server] = error
            raise
        return None

    def close(self) -> None:
        """Let all go."""
        with self._turn:
            for storage in self._made.values():
                storage.close()
