"""Who may do what at an XRootD server, and which server is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.conftest import StartXRootD
from tests.servers.credentials import has_scitokens
from tests.servers.xrootd_clients import OpenXRootD, check_works_again, failing, names
from transformation.model.failures import Failure


def test_denied(
    start_xrootd: StartXRootD, open_xrootd: OpenXRootD, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_xrootd(sss=True)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    storage = open_xrootd()
    for call in (
        lambda: storage.put(small, f"{server.root_url}/locked/f"),
        lambda: storage.create(f"{server.root_url}/locked/f", b"x"),
        lambda: storage.put(small, f"root://localhost:{server.port}//elsewhere/f"),
    ):
        error = failing(call)
        assert (error.failure, error.transient) == (Failure.STORAGE_DENIED, False)
    assert names(server) == []
    check_works_again(server, storage, small)


@pytest.mark.parametrize("keytab", ["none", "readable by others", "another secret"])
def test_without_the_secret(
    start_xrootd: StartXRootD, open_xrootd: OpenXRootD, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keytab: str
) -> None:
    server = start_xrootd(sss=True)
    monkeypatch.setenv("XrdSecSSSKT", str(tmp_path / "absent"))
    if keytab != "none":
        other = start_xrootd(sss=True) if keytab == "another secret" else server
        path = tmp_path / "keytab"
        path.write_bytes((other.folder / "client.keytab").read_bytes())
        path.chmod(0o600 if keytab == "another secret" else 0o644)
        monkeypatch.setenv("XrdSecSSSKT", str(path))
    error = failing(lambda: open_xrootd().stat(f"{server.root_url}/f"))
    assert (error.failure, error.transient) == (Failure.STORAGE_DENIED, False)
    monkeypatch.setenv("XrdSecSSSKT", server.environment["XrdSecSSSKT"])
    assert open_xrootd().create(f"{server.root_url}/f", b"x")


@pytest.mark.skipif(not has_scitokens(), reason="no xrootd-scitokens-plugins: `apt-get install` it to test tokens")
def test_tokens(start_xrootd: StartXRootD, open_xrootd: OpenXRootD, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_xrootd(tls=True, token=True)
    monkeypatch.setenv("X509_CERT_DIR", str(server.ca_folder))
    tokens = {
        "expired": server.token_file(lifetime_s=-60),
        "for reading": server.token_file(lifetime_s=600, scope="storage.read:/"),
        "absent": Path("/nowhere"),
    }
    for path in tokens.values():
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
        storage = open_xrootd()
        error = failing(lambda storage=storage: storage.create(f"{server.root_url}/f", b"x"))  # type: ignore[misc]
        assert (error.failure, error.transient) == (Failure.STORAGE_DENIED, False)
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(server.token_file(lifetime_s=600)))
    assert open_xrootd().create(f"{server.root_url}/f", b"x")


def test_a_server_that_nobody_vouches_for(
    start_xrootd: StartXRootD, open_xrootd: OpenXRootD, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, other = start_xrootd(tls=True), start_xrootd(tls=True)
    monkeypatch.setenv("X509_CERT_DIR", str(other.ca_folder))
    error = failing(lambda: open_xrootd().create(f"{server.root_url}/f", b"x"))
    assert not error.transient
    assert error.failure is Failure.STORAGE_UNREACHABLE
    assert names(server) == []
