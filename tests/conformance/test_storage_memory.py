"""The storage suite over `MemoryStorage`."""

from __future__ import annotations

import pytest

from tests.conformance.storage_suite import StorageSuite
from transformation.storage.memory import MemoryStorage


class TestMemoryStorage(StorageSuite):
    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage()

    @pytest.fixture
    def base(self) -> str:
        return "memory:/store"
