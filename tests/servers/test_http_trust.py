"""Whom a fetch over HTTP believes, where it may be sent, and who is told what about us."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.servers.catalog_server import CatalogServer, Request, catalog_server
from tests.servers.credentials import Authority
from tests.servers.fetch_client import CONTENT, Client
from transformation.model.failures import Failure

# -- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(fresh: CatalogServer, client: Client, status: int) -> None:
    fresh.put("there/sky.txt", CONTENT)
    assert client.fetch(fresh.put("sky.txt", b"", status=status, location="there/sky.txt")) == CONTENT


def test_redirects_without_end(fresh: CatalogServer, client: Client) -> None:
    error = client.refused(fresh.put("sky.txt", b"", location="sky.txt"))
    assert (error.failure, client.retries) == (Failure.CATALOG_UNREACHABLE, [])
    assert "redirected more than" in error.detail
    assert len(fresh.gets) < 10


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://host/x", "root://host//x", "gopher://x/", "data:,x", "https://"]
)
def test_where_no_server_may_send_us(fresh: CatalogServer, client: Client, target: str) -> None:
    error = client.refused(fresh.put("sky.txt", b"", location=target))
    assert (error.failure, client.retries) == (Failure.CATALOG_MISSING, [])
    assert "a place that is refused" in error.detail


def test_a_redirect_to_nonsense(fresh: CatalogServer, client: Client) -> None:
    assert client.refused(fresh.put("sky.txt", b"", location="http://[")).failure is Failure.CATALOG_UNREACHABLE


# -- who is told what


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_server(authority: Authority) -> Iterator[CatalogServer]:
    with catalog_server(certificate=authority.server_certificate, key=authority.server_key) as one:
        yield one


@pytest.fixture
def trusted(tls_server: CatalogServer, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> CatalogServer:
    monkeypatch.setenv("X509_CERT_DIR", str(authority.ca_folder))
    tls_server.requests.clear()
    return tls_server


def test_a_certificate_that_nobody_vouches_for(tls_server: CatalogServer, client: Client) -> None:
    error = client.refused(tls_server.put("sky.txt", CONTENT))
    assert (error.failure, client.retries) == (Failure.CATALOG_UNREACHABLE, [])
    assert "certificate verify failed" in error.detail


def test_a_token_goes_to_who_asks_for_it(trusted: CatalogServer, client: Client) -> None:
    client.token = "psst"
    assert client.fetch(trusted.put("open.txt", CONTENT)) == CONTENT
    assert client.fetch(trusted.put("sky.txt", CONTENT, token="Bearer psst")) == CONTENT
    assert [request.headers.get("authorization") for request in trusted.gets] == [None, None, "Bearer psst"]


def test_a_token_that_is_not_enough(trusted: CatalogServer, client: Client) -> None:
    client.token = "psst"
    error = client.refused(trusted.put("sky.txt", CONTENT, token="Bearer another"))
    assert error.failure is Failure.CATALOG_MISSING
    assert "psst" not in error.detail


def test_no_token_without_tls(fresh: CatalogServer, client: Client) -> None:
    client.token = "psst"
    client.refused(fresh.put("sky.txt", CONTENT, token="Bearer psst"))
    assert told(fresh.requests) == [None]


def test_no_token_for_where_we_are_sent(trusted: CatalogServer, authority: Authority, client: Client) -> None:
    client.token = "psst"
    certificate = {"certificate": authority.server_certificate, "key": authority.server_key}
    with catalog_server(**certificate) as other:
        other.put("sky.txt", CONTENT, token="Bearer psst")
        client.refused(trusted.put("sky.txt", b"", location=other.url("sky.txt")))
        assert set(told(other.requests)) == {None}


def test_never_from_https_to_http(trusted: CatalogServer, fresh: CatalogServer, client: Client) -> None:
    url = trusted.put("sky.txt", b"", location=fresh.put("sky.txt", CONTENT))
    assert client.refused(url).failure is Failure.CATALOG_MISSING
    assert fresh.requests == []
    assert client.fetch(fresh.put("up.txt", b"", location=trusted.put("there.txt", CONTENT))) == CONTENT


def test_a_password_of_the_location(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, token="Basic dG9ueWo6cEBzcw==").replace("//", "//tonyj:p%40ss@")
    assert client.fetch(url) == CONTENT
    (client.folder / "sky.txt").unlink()
    with catalog_server() as other:
        fresh.put("moved.txt", b"", location=other.put("sky.txt", CONTENT))
        assert client.fetch(url.replace("sky.txt", "moved.txt")) == CONTENT
        assert told(other.requests) == [None]


def told(requests: list[Request]) -> list[str | None]:
    return [request.headers.get("authorization") for request in requests]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda server: server.put("sky.txt", CONTENT, status=403),
        lambda server: server.put("sky.txt", CONTENT, status=500),
        lambda server: server.put("sky.txt", CONTENT, declares=len(CONTENT) + 1),
        lambda server: server.put("sky.txt", b"", location="ftp://tonyj:hush@host/?authz=psst"),
        lambda server: server.put("sky.txt", b"", page=True),
    ],
    ids=["403", "500", "broken", "redirect", "page"],
)
def test_secrets_are_not_in_errors(fresh: CatalogServer, client: Client, spoil: Callable[[CatalogServer], str]) -> None:
    url = spoil(fresh).replace("//", "//tonyj:hush@") + "?authz=psst"
    error = client.refused(url)
    said = f"{error} {error.detail} {[(retry.url, retry.problem) for retry in client.retries]}"
    assert not [secret for secret in ("hush", "psst") if secret in said]
    assert all("authz=psst" in request.path for request in fresh.gets)
