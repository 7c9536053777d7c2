"""Who we are at HTTP doors, and whom we believe."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.servers.conftest import StartXRootD
from tests.servers.credentials import Authority, has_scitokens, tls_context, user_certificate
from tests.servers.http_doors import DENIED, FINAL, OpenHttp, failing, names
from tests.servers.scripted_http import Asked, ScriptedHttp
from transformation.model.failures import Failure


def test_no_redirect_leads_out_of_tls(open_http: OpenHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "tls")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca_file))
    with ScriptedHttp(lambda asked: asked.say(200, b"x")) as plain:
        script = lambda asked: asked.say(307, Location=f"{plain.url}/f")  # noqa: E731
        with ScriptedHttp(script, context=tls_context(authority)) as server:
            assert failing(lambda: open_http().read(f"{server.url}/f", limit_bytes=10)) == DENIED
        assert plain.requests == []


def test_a_token_does_not_go_over_an_open_line(open_http: OpenHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARER_TOKEN", "a.b.c")
    with ScriptedHttp(lambda asked: asked.say(200, b"x")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert open_http().read("http://storage.example.org/f", limit_bytes=10) == b"x"
        (request,) = proxy.requests
        assert request.path == "http://storage.example.org/f"
        assert "authorization" not in request.headers


@pytest.mark.skipif(not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens")
def test_tokens(start_xrootd: StartXRootD, open_http: OpenHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    server, storage = start_xrootd(http=True, tls=True, token=True), open_http()
    monkeypatch.setenv("X509_CERT_DIR", str(server.ca_folder))
    file = server.folder / "token"
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(file))
    url = f"{server.http_url}/f"
    assert failing(lambda: storage.create(url, b"x")) == DENIED
    file.write_text(server.token_file(lifetime_s=600, scope="storage.read:/").read_text())
    assert failing(lambda: storage.create(url, b"x")) == DENIED
    file.write_text(server.token_file(lifetime_s=-60).read_text())
    assert failing(lambda: storage.create(url, b"x")) == (Failure.CREDENTIAL_EXPIRED, False)
    file.write_text(server.token_file(lifetime_s=600).read_text())  # as who looks after it does meanwhile
    assert storage.create(url, b"x")


def test_a_server_that_nobody_vouches_for(
    start_xrootd: StartXRootD, open_http: OpenHttp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = start_xrootd(http=True, tls=True)
    for name, place in (
        ("X509_CERT_DIR", Authority(tmp_path / "other").ca_folder),
        ("X509_CERT_DIR", Path("/nowhere")),
    ):
        monkeypatch.setenv(name, str(place))
        assert failing(lambda: open_http().create(f"{server.http_url}/f", b"x")) == FINAL
    assert names(server.store) == []
    monkeypatch.delenv("X509_CERT_DIR")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca_file))
    assert open_http().create(f"{server.http_url}/f", b"x")


def test_a_proxy_certificate_is_shown(open_http: OpenHttp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To a server that lets nobody in without; one that has expired is told apart, a new one is taken at once."""
    authority = Authority(tmp_path / "tls")
    monkeypatch.setenv("X509_CERT_DIR", str(authority.ca_folder))
    context = tls_context(authority)
    # With TLS 1.3 what the server says of our certificate may be lost in the connection that it closes.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    proxy = tmp_path / "proxy.pem"
    shown: list[object] = []

    def script(asked: Asked) -> None:
        shown.append(asked.connection.getpeercert()["subject"])  # type: ignore[attr-defined]
        asked.say(200, b"x")

    with ScriptedHttp(script, context=context) as server:
        storage, url = open_http(), f"{server.url}/f"
        assert failing(lambda: storage.read(url, limit_bytes=10)) == FINAL
        monkeypatch.setenv("X509_USER_PROXY", str(proxy))
        proxy.write_text(user_certificate(authority, tmp_path, days=-1))
        assert failing(lambda: storage.read(url, limit_bytes=10)) == (Failure.CREDENTIAL_EXPIRED, False)
        proxy.write_text(user_certificate(authority, tmp_path, days=2))
        assert storage.read(url, limit_bytes=10) == b"x"
        assert shown == [((("commonName", "imsim"),),)]
        proxy.write_text("no certificate")
        assert failing(lambda: storage.read(url, limit_bytes=10)) == FINAL
