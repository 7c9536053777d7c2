"""Inputs from XRootD servers, and by their names in Rucio, on real servers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from site_configs.schema import Catalog as CatalogSettings
from site_configs.schema import Endpoint, Rucio, Site, Storage
from tests.servers.catalog_server import CatalogServer, catalog_server
from tests.servers.conftest import StartXRootD
from tests.servers.faulty_proxy import FaultyProxy, status
from tests.servers.rucio_fixtures import settings_of
from tests.servers.rucio_server import RSE, RucioServer
from tests.servers.xrootd_server import XRootDServer
from transformation.model.failures import Failure
from transformation.ports import Expected, Head, Landing, Source, SourceError
from transformation.sources.xrootd import XRootDSource
from transformation.storage.xrootd import XRootDStorage
from transformation.wiring import source_for

CONTENT = b"obshistid 4242\n" * 100_000
ADLER32 = f"{zlib.adler32(CONTENT):08x}"
ANYTHING = Expected()
_NUMBERS = count(1)


def fetched(source: Source, location: str, folder: Path, expected: Expected = ANYTHING) -> bytes:
    folder.mkdir(exist_ok=True)
    landing = Landing(path=folder / "sky.txt")
    source.fetch(location, landing, expected)
    assert [path.name for path in folder.iterdir()] == ["sky.txt"]
    return landing.path.read_bytes()


def refused(source: Source, location: str, folder: Path, expected: Expected = ANYTHING) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetched(source, location, folder, expected)
    assert list(folder.iterdir()) == []
    return caught.value


# -- XRootD


@pytest.fixture(scope="module")
def xrootd(xrootd_software: None) -> Iterator[XRootDSource]:
    one = XRootDSource(XRootDStorage())
    yield one
    one.close()


def stored(server: XRootDServer, content: bytes) -> str:
    name = f"sky-{next(_NUMBERS)}.txt"
    (server.store / name).write_bytes(content)
    return f"{server.root_url}/{name}"


@pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["empty", "byte", "big"])
def test_xrootd_head_and_file(xrootd: XRootDSource, plain_xrootd: XRootDServer, tmp_path: Path, content: bytes) -> None:
    location = stored(plain_xrootd, content) + "?authz=psst"
    assert xrootd.open_head(location) == Head(size_bytes=len(content), ranges=True, start=b"")
    assert xrootd.open_head(location, 1000).start == content[:1000]
    pinned = Expected(size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}", limit_bytes=len(content))
    assert fetched(xrootd, location, tmp_path / "here", pinned) == content


@pytest.mark.parametrize(
    ("expected", "failure"),
    [
        (Expected(size_bytes=5), Failure.CATALOG_CHANGED),
        (Expected(adler32="00000001"), Failure.CATALOG_CHANGED),
        (Expected(limit_bytes=len(CONTENT) - 1), Failure.CATALOG_TOO_LARGE),
    ],
)
def test_xrootd_refuses_what_was_not_meant(
    xrootd: XRootDSource, plain_xrootd: XRootDServer, tmp_path: Path, expected: Expected, failure: Failure
) -> None:
    assert refused(xrootd, stored(plain_xrootd, CONTENT), tmp_path / "here", expected).failure is failure


def test_xrootd_refuses_a_page(xrootd: XRootDSource, plain_xrootd: XRootDServer, tmp_path: Path) -> None:
    error = refused(xrootd, stored(plain_xrootd, b"<html>"), tmp_path / "here")
    assert error.failure is Failure.CATALOG_INVALID


@pytest.mark.parametrize("path", ["none.txt?authz=psst", "", "../etc/passwd"])
def test_xrootd_what_is_not_there(xrootd: XRootDSource, plain_xrootd: XRootDServer, tmp_path: Path, path: str) -> None:
    location = f"{plain_xrootd.root_url}/{path}"
    with pytest.raises(SourceError) as caught:
        xrootd.open_head(location, 10)
    for error in (caught.value, refused(xrootd, location, tmp_path / "here")):
        assert error.failure is Failure.CATALOG_MISSING
        assert "psst" not in error.detail


def test_xrootd_is_refused_what_it_may_not_read(
    start_xrootd: StartXRootD, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_xrootd(sss=True)
    monkeypatch.delenv("XrdSecSSSKT", raising=False)
    source = XRootDSource(XRootDStorage())
    try:
        error = refused(source, stored(server, CONTENT), tmp_path / "here")
    finally:
        source.close()
    assert (error.failure, error.transient) == (Failure.CATALOG_MISSING, False)


# -- Rucio


class Grid:
    """A Rucio server, and replicas of one file on storage of several kinds."""

    def __init__(self, rucio: RucioServer, scope: str, xrootd: XRootDServer, web: CatalogServer, folder: Path) -> None:
        self.rucio = rucio
        self.scope = scope
        self.xrootd = xrootd
        self.web = web
        self.folder = folder

    def add(self, name: str, places: dict[str, str], content: bytes = CONTENT) -> str:
        """Register replicas, RSE -> location; the file's name."""
        adler32 = f"{zlib.adler32(content):08x}"
        for rse, url in places.items():
            file = {"scope": self.scope, "name": name, "bytes": len(content), "adler32": adler32, "pfn": url}
            self.rucio.admin.add_replicas(rse, [file])
        return f"rucio:{self.scope}:{name}"

    def source(self, settings: Rucio, home: str = RSE) -> Source:
        site = Site(
            name="here",
            catalog=CatalogSettings(rucio=settings),
            storage=Storage(endpoints=[Endpoint(url="root://localhost//x", rse=home)]),
        )
        return source_for(site)


XROOTD_RSE, WEB_RSE = "XROOTD_SCRATCHDISK", "WEB_SCRATCHDISK"


@pytest.fixture(scope="module")
def rses(rucio_server: RucioServer, plain_xrootd: XRootDServer, web: CatalogServer) -> None:
    places = {
        XROOTD_RSE: ("root", plain_xrootd.port, "//store/", "xrootd"),
        WEB_RSE: ("http", web.port, "/", "webdav"),
    }
    for name, (scheme, port, prefix, kind) in places.items():
        rucio_server.add_rse(name, scheme=scheme, hostname="localhost", port=port, prefix=prefix, kind=kind)


@pytest.fixture(scope="module")
def web() -> Iterator[CatalogServer]:
    with catalog_server() as one:
        yield one


@pytest.fixture
def grid(
    rucio_server: RucioServer, rses: None, rucio_user: str, plain_xrootd: XRootDServer, web: CatalogServer,
    tmp_path: Path,
) -> Grid:  # fmt: skip
    web.requests.clear()
    return Grid(rucio_server, f"user.{rucio_user}", plain_xrootd, web, tmp_path)


@pytest.fixture
def everywhere(grid: Grid) -> str:
    """A file with a replica on an XRootD server, on a web server and on a disk."""
    (grid.folder / "disk.txt").write_bytes(CONTENT)
    return grid.add(
        "skies/sky.txt",
        {
            RSE: f"file://localhost{grid.folder}/disk.txt",
            XROOTD_RSE: stored(grid.xrootd, CONTENT),
            WEB_RSE: grid.web.put("sky.txt", CONTENT),
        },
    )


def test_rucio_head_and_file(grid: Grid, everywhere: str, rucio_settings: Rucio, tmp_path: Path) -> None:
    source = grid.source(rucio_settings)
    assert source.open_head(everywhere) == Head(size_bytes=len(CONTENT), ranges=True, start=b"", adler32=ADLER32)
    assert source.open_head(everywhere, 9).start == CONTENT[:9]
    assert fetched(source, everywhere, tmp_path / "here") == CONTENT
    assert grid.web.requests == []
    source.close()


def test_rucio_asks_the_site_first_and_the_next_one_on_failure(
    grid: Grid, everywhere: str, rucio_settings: Rucio, tmp_path: Path
) -> None:
    settings = settings_of(grid.rucio, rse="ELSEWHERE")
    source = grid.source(settings, home=WEB_RSE)
    try:
        assert fetched(source, everywhere, tmp_path / "web") == CONTENT
        assert len(grid.web.requests) == 1
        grid.web.put("sky.txt", CONTENT[:-1] + b"?")  # the right size
        (grid.folder / "disk.txt").unlink()
        assert fetched(source, everywhere, tmp_path / "next") == CONTENT
    finally:
        source.close()


def test_rucio_where_no_replica_is_left(grid: Grid, everywhere: str, rucio_settings: Rucio, tmp_path: Path) -> None:
    source = grid.source(rucio_settings)
    (grid.folder / "disk.txt").unlink()
    for path in grid.xrootd.store.glob("sky-*.txt"):
        path.unlink()
    grid.web.put("sky.txt", b"", status=404)
    error = refused(source, everywhere, tmp_path / "here")
    assert error.failure is Failure.CATALOG_MISSING
    assert error.detail.startswith(f"{everywhere}: none of 3 replicas; ")
    grid.web.put("sky.txt", b"", status=501)
    assert refused(source, everywhere, tmp_path / "here").failure is Failure.CATALOG_MISSING
    source.close()


def test_rucio_pins(grid: Grid, everywhere: str, rucio_settings: Rucio, tmp_path: Path) -> None:
    source = grid.source(rucio_settings)
    pinned = Expected(size_bytes=len(CONTENT), adler32=ADLER32)
    assert fetched(source, everywhere, tmp_path / "good", pinned) == CONTENT
    for other in (Expected(size_bytes=5), Expected(adler32="00000001")):
        error = refused(source, everywhere, tmp_path / "bad", other)
        assert error.failure is Failure.CATALOG_CHANGED
        assert "in Rucio, not" in error.detail
    error = refused(source, everywhere, tmp_path / "bad", Expected(limit_bytes=100))
    assert error.failure is Failure.CATALOG_TOO_LARGE
    source.close()


def test_rucio_does_not_know_it(grid: Grid, rucio_settings: Rucio, tmp_path: Path) -> None:
    source = grid.source(rucio_settings)
    for name in (f"rucio:{grid.scope}:none.txt", "rucio:no.such.scope:none.txt"):
        error = refused(source, name, tmp_path / "here")
        assert (error.failure, error.detail) == (Failure.CATALOG_MISSING, f"{name} is not known to Rucio")
    source.close()


def test_rucio_a_dataset_is_no_file(grid: Grid, everywhere: str, rucio_settings: Rucio, tmp_path: Path) -> None:
    second = grid.add("skies/second.txt", {RSE: f"file://localhost{grid.folder}/disk.txt"})
    grid.rucio.admin.add_dataset(grid.scope, "skies")
    names = [name.rpartition(":")[2] for name in (everywhere, second)]
    grid.rucio.admin.attach_dids(grid.scope, "skies", [{"scope": grid.scope, "name": name} for name in names])
    source = grid.source(rucio_settings)
    error = refused(source, f"rucio:{grid.scope}:skies", tmp_path / "here")
    assert (error.failure, "a dataset of 2 files" in error.detail) == (Failure.CATALOG_MISSING, True)
    source.close()


def test_rucio_in_trouble(
    grid: Grid, everywhere: str, rucio_settings: Rucio, proxy: FaultyProxy, tmp_path: Path
) -> None:
    source = grid.source(settings_of(grid.rucio, host=proxy.url, timeout_s=5.0))
    with proxy.faulty(status(500)):
        error = refused(source, everywhere, tmp_path / "here")
    assert (error.failure, error.transient) == (Failure.CATALOG_UNREACHABLE, True)
    assert fetched(source, everywhere, tmp_path / "here") == CONTENT
    source.close()


def test_rucio_without_settings(tmp_path: Path) -> None:
    source = source_for(Site(name="here"))
    error = refused(source, "rucio:user.tonyj:sky.txt", tmp_path / "here")
    assert (error.failure, "[catalog.rucio]" in error.detail) == (Failure.STORAGE_UNKNOWN, True)
    source.close()
