"""What the Rucio adapter shows of itself: a bearer token, an X509 proxy.

A Rucio server learns the owner of a certificate from the web server that it is embedded in, which gunicorn is not. So a
stand-in asks for the certificate here, where one logs in; the token that it hands out is the real server's.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from site_configs.schema import Rucio
from tests.conformance.catalog_suite import DATASET, record
from tests.servers.credentials import Authority, tls_context, user_certificate
from tests.servers.rucio_fixtures import settings_of
from tests.servers.rucio_server import RucioServer
from tests.servers.scripted_http import Asked, ScriptedHttp
from transformation.catalog.rucio import RucioCatalog


@pytest.fixture
def token(rucio_settings: Rucio, rucio_user: str) -> str:
    """One that the server has given out."""
    catalog = RucioCatalog(rucio_settings, user=rucio_user)
    catalog.register([record(0)])
    assert catalog._conversation._session is not None
    return str(catalog._conversation._session.auth_token)


def test_the_storages_token_is_not_taken_for_the_catalogs(
    rucio_server: RucioServer, rucio_user: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARER_TOKEN", "of.the.storage")
    monkeypatch.setenv("RUCIO_TOKEN", token)
    catalog = RucioCatalog(settings_of(rucio_server, auth="token", secret="env:RUCIO_TOKEN"), user=rucio_user)
    catalog.register([record(1)])
    assert len(catalog.known(DATASET)) == 2


def test_a_proxy_is_shown_where_one_logs_in(
    rucio_server: RucioServer, rucio_user: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "tls")
    monkeypatch.setenv("X509_CERT_DIR", str(authority.ca_folder))
    context = tls_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    proxy = tmp_path / "proxy.pem"
    proxy.touch(mode=0o600)
    proxy.write_text(user_certificate(authority, tmp_path, days=2))
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    owners: list[object] = []

    def log_in(asked: Asked) -> None:
        owners.append(asked.connection.getpeercert()["subject"])  # type: ignore[attr-defined]
        asked.say(200, X_Rucio_Auth_Token=token)

    with ScriptedHttp(log_in, context=context) as door:
        settings = settings_of(
            rucio_server, auth="x509_proxy", auth_host=door.url, secret="file:$X509_USER_PROXY", username=None
        )
        catalog = RucioCatalog(settings, user=rucio_user)
        catalog.register([record(1)])
        assert len(catalog.known(DATASET)) == 2
        (request,) = door.requests
        assert (request.method, request.path) == ("GET", "/auth/x509_proxy")
        assert request.headers["x-rucio-account"] == settings.account
        assert owners == [((("commonName", "imsim"),),)]
