"""Checks signatures with the program `openssl`, else with the package `cryptography`, which takes longer to start.

Both signatures of a repository are RSA with PKCS#1 v1.5 padding over the hex digits of a hash: the manifest's with a
SHA-1 DigestInfo, by the key of a certificate; the whitelist's raw, by the master key (CernVM-FS 2.12).
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import Finished, run
from cvmfs_publish.repository.hashes import refused

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_PUBLIC_KEY = re.compile(rb"-----BEGIN (RSA )?PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END (RSA )?PUBLIC KEY-----")
_REFUSAL = re.compile(r"invalid digest|unsupported|not allowed|disabled for|fips", re.IGNORECASE)
"""How OpenSSL words that a digest may not be used."""


def is_public_key(text: bytes) -> bool:
    """Whether it looks like one: of what does not, OpenSSL says the same as of a digest that it refuses."""
    return _PUBLIC_KEY.search(text) is not None


def fingerprint(certificate: bytes) -> str:
    """sha1 of a PEM certificate, `AA:BB:...`. Raises `KitError` SIGNATURE_BAD, POLICY_REFUSES."""
    found = _PEM.search(certificate)
    if found is None:
        raise KitError(Exit.SIGNATURE_BAD, "the certificate object holds no certificate")
    try:
        der = base64.b64decode(found[1])
    except ValueError:
        raise KitError(Exit.SIGNATURE_BAD, "the certificate object holds no certificate") from None
    digest = _sha1(der).hex().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _sha1(data: bytes) -> bytes:
    try:
        return hashlib.sha1(data).digest()  # noqa: S324 - CVMFS's own choice
    except ValueError:
        raise refused("sha1") from None


def check_manifest(certificate: bytes, hash_text: bytes, signature: bytes) -> None:
    """Raises `KitError` SIGNATURE_BAD, POLICY_REFUSES, TOOL_MISSING."""
    check = _manifest_by_program if _has_program() else _manifest_by_library
    if not check(certificate, hash_text, signature):
        raise KitError(Exit.SIGNATURE_BAD, "the manifest was not signed with the repository's certificate")


def check_whitelist(public_key: bytes, hash_text: bytes, signature: bytes) -> None:
    """Raises `KitError` SIGNATURE_BAD, POLICY_REFUSES, TOOL_MISSING."""
    recover = _recovered_by_program if _has_program() else _recovered_by_library
    if recover(public_key, signature) != hash_text:
        raise KitError(Exit.SIGNATURE_BAD, "the whitelist was not signed with the key given as --public-key")


def _manifest_by_library(certificate: bytes, hash_text: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import load_pem_x509_certificate

    try:
        key = load_pem_x509_certificate(certificate).public_key()
        if not isinstance(key, RSAPublicKey):
            return False
        key.verify(signature, hash_text, PKCS1v15(), hashes.SHA1())  # noqa: S303 - CVMFS's own choice
    except UnsupportedAlgorithm:
        raise refused("sha1") from None
    except (InvalidSignature, ValueError):
        return False
    return True


def _recovered_by_library(public_key: bytes, signature: bytes) -> bytes:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key)
        if isinstance(key, RSAPublicKey):
            return key.recover_data_from_signature(signature, PKCS1v15(), None)
    except (InvalidSignature, ValueError):
        pass
    return b""


def _manifest_by_program(certificate: bytes, hash_text: bytes, signature: bytes) -> bool:
    with tempfile.TemporaryDirectory(prefix="iod-publish-") as folder:
        place = Path(folder)
        (place / "certificate").write_bytes(certificate)
        (place / "signature").write_bytes(signature)
        (place / "digest").write_bytes(_sha1(hash_text))
        key = ("-certin", "-inkey", str(place / "certificate"))
        words = ("-sigfile", str(place / "signature"), "-in", str(place / "digest"), "-pkeyopt", "digest:sha1")
        done = _openssl("pkeyutl", "-verify", *key, *words)
    _see_refusal(done)
    return done.code == 0


def _recovered_by_program(public_key: bytes, signature: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="iod-publish-") as folder:
        place = Path(folder)
        (place / "key").write_bytes(public_key)
        (place / "signature").write_bytes(signature)
        words = ("pkeyutl", "-verifyrecover", "-pubin", "-inkey", str(place / "key"), "-in", str(place / "signature"))
        done = _openssl(*words)
    _see_refusal(done)
    return done.out.encode() if done.code == 0 else b""


def _see_refusal(done: Finished) -> None:
    if done.code != 0 and _REFUSAL.search(done.err):
        raise refused("sha1")


def _has_program() -> bool:
    """Whether `openssl` is here; if not, the library is. Raises `KitError` TOOL_MISSING if neither is."""
    if shutil.which("openssl"):
        return True
    if find_spec("cryptography") is None:
        cure = "install the program openssl, or the Python package cryptography"
        raise KitError(Exit.TOOL_MISSING, "nothing here can check signatures", cure=cure)
    return False


def _openssl(*words: str) -> Finished:
    return run(["openssl", *words])
