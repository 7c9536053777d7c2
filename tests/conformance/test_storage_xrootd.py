"""The storage suite over `XRootDStorage` on real servers, without and with credentials, and within its coat."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.conformance.storage_suite import StorageSuite
from tests.servers.credentials import has_scitokens
from tests.servers.xrootd_server import Options, XRootDServer
from transformation.storage.retrying import RetryingStorage
from transformation.storage.xrootd import XRootDStorage


class _OnAServer(StorageSuite):
    OPTIONS = Options()

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, xrootd_software: None) -> Iterator[XRootDServer]:
        server = XRootDServer(cls.OPTIONS).start()
        yield server
        server.close()

    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, server: XRootDServer) -> Iterator[XRootDStorage]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            storage = XRootDStorage()
            yield storage
            storage.close()

    @pytest.fixture
    def storage(self, opened: XRootDStorage) -> XRootDStorage:
        return opened

    @pytest.fixture
    def base(self, server: XRootDServer) -> str:
        return f"{server.root_url}/{uuid.uuid4().hex}/a b+%25"


class TestPlain(_OnAServer):
    pass


class TestSharedSecret(_OnAServer):
    OPTIONS = Options(sss=True)


class TestTls(_OnAServer):
    OPTIONS = Options(tls=True)


@pytest.mark.skipif(not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens")
class TestToken(_OnAServer):
    OPTIONS = Options(tls=True, token=True)


class TestWithoutChecksums(_OnAServer):
    OPTIONS = Options(checksum=False)


class TestWhereDeadWritersAreHeld(_OnAServer):
    OPTIONS = Options(hold="")


class TestInItsCoat(_OnAServer):
    @pytest.fixture
    def storage(self, opened: XRootDStorage) -> RetryingStorage:  # type: ignore[override]
        return RetryingStorage(opened)
