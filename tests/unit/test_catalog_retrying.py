"""The coat around a catalog: repeats what may pass, for as long as it is told, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from transformation.catalog.retrying import RetryingCatalog
from transformation.model.failures import Failure
from transformation.ports import CatalogError, FileRecord


class Flaky:
    """Fails so many times."""

    place = "a test's catalog"

    def __init__(self, times: int, *, transient: bool = True) -> None:
        self.calls = 0
        self._times = times
        self._transient = transient

    def register(self, records: Sequence[FileRecord]) -> None:
        self.calls += 1
        if self.calls <= self._times:
            raise CatalogError(Failure.REGISTRATION_PENDING, "no answer", transient=self._transient)

    def known(self, dataset: str) -> Sequence[FileRecord]:
        self.register([])
        return []


def test_what_passes_is_repeated() -> None:
    catalog = Flaky(2)
    RetryingCatalog(catalog, patience_s=10.0).register([])
    assert catalog.calls == 3
    assert RetryingCatalog(Flaky(1), patience_s=10.0).known("a/v1") == []


def test_what_does_not_pass_is_not() -> None:
    catalog = Flaky(1, transient=False)
    with pytest.raises(CatalogError):
        RetryingCatalog(catalog, patience_s=10.0).register([])
    assert catalog.calls == 1


def test_patience_ends() -> None:
    catalog = Flaky(10**6)
    began_s = time.monotonic()
    with pytest.raises(CatalogError, match="no answer"):
        RetryingCatalog(catalog, patience_s=1.0).register([])
    assert time.monotonic() - began_s < 2.0
    assert 1 < catalog.calls < 100


def test_without_patience_there_is_one_try() -> None:
    catalog = Flaky(1)
    with pytest.raises(CatalogError):
        RetryingCatalog(catalog, patience_s=0.0).register([])
    assert catalog.calls == 1


def test_its_place_is_the_catalogs() -> None:
    assert RetryingCatalog(Flaky(0), patience_s=1.0).place == "a test's catalog"
