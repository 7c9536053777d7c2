"""When tokens and proxies end."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from submitter.credentials import credential_for, read_grid_proxy, read_token
from submitter.folders import Folders
from submitter.settings import PandaSettings

# openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -days 3650
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBcjCCARmgAwIBAgIUSaRheoqQghaJGauWdcz+TQ1wh6UwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjIxNzE1NDZaFw0zNjExMTkxNzE1NDZa
MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS8CaIq
MQh0Dr1mcnPaPeqZ320VGxkw4wXbp4vHNy8Dpd45uNTv26izvWrBbeMwwE2LH0mD
63SEb0Hy91YaWZuZo1MwUTAdBgNVHQ4EFgQUTaiJIvBZFOWAMHgdTIIQ3FoqNsow
HwYDVR0jBBgwFoAUTaiJIvBZFOWAMHgdTIIQ3FoqNsowDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNHADBEAiBs6e1btOUyIQUTiFC7/tzsRBowZdaAUG0fBV9l
QMbqHwIgTGPDJddQXW2C0MPFp0nDKDQyjIj0Nf2rH3P5hXeUXpw=
-----END CERTIFICATE-----
"""


def token(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    for name in ("PANDA_AUTH_ID_TOKEN", "OIDC_AUTH_ID_TOKEN", "OIDC_AUTH_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IOD_HOME", str(tmp_path))
    return Folders()


def test_a_bare_token_says_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(token(exp=1_800_000_000) + "\n")
    found = read_token(path)
    assert found is not None
    assert (found.ends_s, found.renewable) == (1_800_000_000, False)


@pytest.mark.parametrize("text", ["", "no token", "a.b.c", "a.!!!.c", token(exp="soon")])
def test_other_text_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    found = read_token(path)
    assert found is None or found.ends_s is None


def test_the_panda_client_s_file_may_be_renewable(folders: Folders) -> None:
    folders.panda.mkdir(parents=True)
    content = {"id_token": token(exp=1_800_000_000), "refresh_token": "r"}
    (folders.panda / ".token").write_text(json.dumps(content))
    found = credential_for(PandaSettings(), folders)
    assert found is not None
    assert (found.ends_s, found.renewable) == (1_800_000_000, True)


def test_no_token_is_no_credential(folders: Folders) -> None:
    assert credential_for(PandaSettings(), folders) is None


def test_a_proxy_ends_with_its_first_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    proxy = tmp_path / "proxy"
    proxy.write_text(CERTIFICATE)
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    found = credential_for(PandaSettings(auth="x509"), folders)
    assert found is not None
    assert (found.kind, found.ends_s) == ("proxy", 2_110_727_746)


def test_a_broken_proxy_is_none(tmp_path: Path) -> None:
    for pem in ("", CERTIFICATE[:90]):
        (tmp_path / "proxy").write_text(pem)
        assert read_grid_proxy(tmp_path / "proxy") is None
