"""Credentials that a test makes for itself, offline: a certificate authority, a shared secret, WLCG tokens."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import ssl
import subprocess
import time
from itertools import count
from pathlib import Path


class Authority:
    """A certificate authority, and a certificate for `localhost` signed by it."""

    def __init__(self, folder: Path) -> None:
        self.ca_folder = folder / "certificates"
        self.ca_folder.mkdir(parents=True)
        self.ca_file = self.ca_folder / "ca.pem"
        self.server_certificate, self.server_key = folder / "server.pem", folder / "server.key"
        ca_key, request, extension = folder / "ca.key", folder / "server.csr", folder / "server.ext"
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")
        _openssl(*new, ca_key, "-x509", "-days", "30", "-subj", "/CN=Test CA", "-out", self.ca_file)
        _openssl(*new, self.server_key, "-subj", "/CN=localhost", "-out", request)
        extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        signer = ("-CA", self.ca_file, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extension)
        _openssl("x509", "-req", "-in", request, "-days", "30", *signer, "-out", self.server_certificate)
        self.server_key.chmod(0o600)
        name = _openssl("x509", "-in", self.ca_file, "-noout", "-hash").decode().strip()
        (self.ca_folder / f"{name}.0").symlink_to("ca.pem")


def make_sss_keytab(client: Path, server: Path, user: str) -> None:
    """The same secret for both sides; 0600, or it is ignored without a word."""
    subprocess.run(
        ["xrdsssadmin", "-k", user, "-u", user, "-g", "users", "add", str(client)], check=True, capture_output=True
    )
    server.write_bytes(client.read_bytes())
    for path in (client, server):
        path.chmod(0o600)


class TokenIssuer:
    """WLCG tokens that a server with the SciTokens plug-in trusts; the issuer's key is in its cache already."""

    ALL = "storage.read:/ storage.create:/ storage.modify:/"
    _ISSUER, _KEY_ID = "https://issuer.invalid/", "test-key"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._numbers = count()
        self._key = folder / "issuer.key"
        self.cache = folder / "cache"
        self.cache.mkdir()
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self._key)
        self._seed_key_cache(_openssl("ec", "-in", self._key, "-pubout"))
        self.server_config = folder / "scitokens.cfg"
        self.server_config.write_text(
            "[Global]\naudience = https://wlcg.cern.ch/jwt/v1/any\n"
            f"[Issuer Test]\nissuer = {self._ISSUER}\nbase_path = /store\n"
        )

    def token_file(self, *, lifetime_s: float, scope: str) -> Path:
        """A file with a new token."""
        path = self._folder / f"token-{next(self._numbers)}"
        path.write_text(self.token(lifetime_s=lifetime_s, scope=scope))
        path.chmod(0o600)
        return path

    def token(self, *, lifetime_s: float, scope: str) -> str:
        """A signed token (ES256)."""
        now = int(time.time())
        claims = {
            "iss": self._ISSUER,
            "sub": "imsim",
            "aud": "https://wlcg.cern.ch/jwt/v1/any",
            "wlcg.ver": "1.0",
            "scope": scope,
            "iat": now - 3600,
            "nbf": now - 3600,
            "exp": now + int(lifetime_s),
        }
        head = {"alg": "ES256", "typ": "JWT", "kid": self._KEY_ID}
        signed = b".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
        signature = _openssl("dgst", "-sha256", "-sign", self._key, data=signed)
        return (signed + b"." + _base64(_plain_signature(signature))).decode()

    def _seed_key_cache(self, public_key: bytes) -> None:
        """In a process of its own: the library reads XDG_CACHE_HOME from the C environment."""
        code = (
            "import ctypes, sys; library = ctypes.CDLL('libSciTokens.so.0'); error = ctypes.c_char_p();"
            "words = [word.encode() for word in sys.argv[1:]];"
            "sys.exit(library.scitoken_store_public_ec_key(*words, ctypes.byref(error)))"
        )
        command = ["python3", "-c", code, self._ISSUER, self._KEY_ID, public_key.decode()]
        subprocess.run(command, check=True, env={**os.environ, "XDG_CACHE_HOME": str(self.cache)})


def has_scitokens() -> bool:
    """Whether tokens can be tested on this machine."""
    try:
        ctypes.CDLL("libSciTokens.so.0")
    except OSError:
        return False
    return any(Path("/usr/lib").glob("*/libXrdAccSciTokens-*.so"))


def _openssl(*arguments: str | Path, data: bytes | None = None) -> bytes:
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _plain_signature(der: bytes) -> bytes:
    """The two numbers of a signature, 32 bytes each, out of their DER form: SEQUENCE { INTEGER r, INTEGER s }."""
    r_bytes = der[3]
    r, s = der[4 : 4 + r_bytes], der[6 + r_bytes :]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (r, s))


def tls_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server_certificate, authority.server_key)
    return context


def user_certificate(authority: Authority, folder: Path, *, days: int) -> str:
    """Certificate and key of `imsim`, in one file as a proxy is."""
    key, request, certificate = (folder / f"user.{kind}" for kind in ("key", "csr", "pem"))
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=imsim"]
    ca_key = authority.server_key.with_name("ca.key")
    sign = ["x509", "-req", "-in", request, "-CA", authority.ca_file, "-CAkey", ca_key, "-CAcreateserial"]
    for words in ([*new, "-keyout", key, "-out", request], [*sign, "-days", str(days), "-out", certificate]):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    return certificate.read_text() + key.read_text()
