"""The storage suite over `HttpStorage`: at XRootD's HTTP door, with and without credentials and checksums, and at a
server that keeps to the book."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.storage_suite import StorageSuite
from tests.servers.credentials import has_scitokens
from tests.servers.webdav_server import WebDavServer
from tests.servers.xrootd_server import Options, XRootDServer
from transformation.layout import join_url
from transformation.ports import Storage
from transformation.storage.http import HttpStorage
from transformation.storage.retrying import RetryingStorage


class _AtADoor(StorageSuite):
    OPTIONS = Options(http=True)
    RACES = 4

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, xrootd_software: None) -> Iterator[XRootDServer]:
        server = XRootDServer(cls.OPTIONS).start()
        yield server
        server.close()

    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, server: XRootDServer) -> Iterator[HttpStorage]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            storage = HttpStorage()
            yield storage
            storage.close()

    @pytest.fixture
    def storage(self, opened: HttpStorage) -> HttpStorage:
        return opened

    @pytest.fixture
    def base(self, server: XRootDServer) -> str:
        return f"{server.http_url}/{uuid.uuid4().hex}/a%20b+%25"

    def test_nothing_is_left_beside_what_was_stored(
        self, storage: HttpStorage, server: XRootDServer, tmp_path: Path
    ) -> None:
        base = f"{server.http_url}/left-{uuid.uuid4().hex}"
        (tmp_path / "local").write_bytes(b"x")
        storage.survey(base)
        storage.put(tmp_path / "local", join_url(base, "file"))
        assert storage.create(join_url(base, "made"), b"x")
        assert not storage.create(join_url(base, "made"), b"x")
        assert sorted(path.name for path in (server.store / base.rpartition("/")[2]).iterdir()) == ["file", "made"]


@pytest.mark.skipif(not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens")
class TestTlsAndToken(_AtADoor):
    OPTIONS = Options(http=True, tls=True, token=True)

    @pytest.fixture
    def base(self, server: XRootDServer) -> str:
        return f"davs{server.http_url.removeprefix('https')}/{uuid.uuid4().hex}/a%20b+%25"


class TestWithoutChecksumsInItsCoat(_AtADoor):
    OPTIONS = Options(http=True, checksum=False)

    @pytest.fixture
    def storage(self, opened: HttpStorage) -> RetryingStorage:  # type: ignore[override]
        return RetryingStorage(opened)


class TestByTheBook(StorageSuite):
    """Names in answers are encoded, folders have to be made, `Overwrite: F` is minded; exclusive creation is not to be
    had, because folders are removed with all that is in them."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
        server = WebDavServer(tmp_path_factory.mktemp("webdav"))
        yield server
        server.close()

    @pytest.fixture(scope="class")
    @classmethod
    def storage(cls) -> Iterator[HttpStorage]:
        storage = HttpStorage()
        yield storage
        storage.close()

    @pytest.fixture
    def base(self, server: WebDavServer) -> str:
        return f"{server.url}/{uuid.uuid4().hex}/a%20b+%25"

    def test_survey_of_a_folder_that_is_not_there_yet(self, storage: Storage, base: str) -> None:
        found = storage.survey(join_url(base, "not", "yet"))
        assert not found.exclusive
        assert found.free_bytes is not None
        assert list(storage.list(join_url(base, "not", "yet"))) == []
