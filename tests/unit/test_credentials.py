"""Which credential a job shows, until when it is good, and whom it names."""

from __future__ import annotations

import base64
import json
import math
import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from transformation.credentials import (
    Credential,
    Kind,
    credentials_for,
    good_until_s,
    have_expired,
    stamp,
    why_not_theirs,
)
from transformation.proxy_certificate import read_proxy

ROOT, HTTPS = "root://se.example.org//store", "https://se.example.org/store"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
_KEY = ec.generate_private_key(ec.SECP256R1())


def name_of(*common_names: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SLAC")]
    return x509.Name([*parts, *(x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_names)])


def certificate(subject: x509.Name, issuer: x509.Name, ends: datetime, *, is_proxy: bool) -> bytes:
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(_KEY.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(SOON - timedelta(days=9)).not_valid_after(ends)
    )  # fmt: skip
    if is_proxy:  # proxyCertInfo with a policy that inherits all
        inherits_all = bytes.fromhex("300c300a06082b06010505071501")
        builder = builder.add_extension(
            x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.5.5.7.1.14"), inherits_all), critical=True
        )
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def proxy_pem(*, owner: str = "Tony Johnson 42", ends: datetime = SOON, is_old: bool = False) -> bytes:
    """A proxy of two steps, as delegation leaves it; the person's own certificate ends later."""
    ca, person = name_of("CA"), name_of(owner)
    steps = ["proxy", "limited proxy"] if is_old else ["123456", "7890"]
    first, second = name_of(owner, steps[0]), name_of(owner, *steps)
    return b"".join([
        certificate(second, first, ends, is_proxy=not is_old),
        certificate(first, person, SOON + timedelta(hours=9), is_proxy=not is_old),
        certificate(person, ca, SOON + timedelta(days=300), is_proxy=False),
    ])  # fmt: skip


def token(**claims: object) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims)]
    return b".".join([*parts, b"signature"]).decode()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "proxy").write_bytes(proxy_pem())
    (tmp_path / "token").write_text(token(sub="tonyj", exp=SOON.timestamp()) + "\n")
    (tmp_path / "keytab").write_text(
        "0 u:old g:users n:k N:1 c:1000 e:0 f:0 k:0011\n0 u:tonyj g:users n:k N:2 c:2000 e:4102444800 f:0 k:2233\n"
    )
    return tmp_path


def one(base: str, environment: dict[str, str], declared: str | None = None) -> Credential:
    (found,) = credentials_for(base, declared, environment)
    return found


# -- each kind


def test_a_proxy(files: Path) -> None:
    found = one(ROOT, {"X509_USER_PROXY": f"{files}/proxy"})
    assert (found.kind, found.expires_s, found.renewable) == (Kind.PROXY, SOON.timestamp(), False)
    assert (found.identities, found.subject) == (("/O=SLAC/CN=Tony Johnson 42",), "Tony Johnson 42")


def test_an_old_proxy_and_one_without_the_persons_certificate() -> None:
    for pem in (proxy_pem(is_old=True), proxy_pem().rpartition(b"-----BEGIN")[0]):
        proxy = read_proxy(pem)
        assert not isinstance(proxy, str)
        assert (proxy.identity, proxy.expires_s) == ("/O=SLAC/CN=Tony Johnson 42", SOON.timestamp())


def test_a_token_file(files: Path) -> None:
    found = one(HTTPS, {"BEARER_TOKEN_FILE": f"{files}/token"})
    assert (found.kind, found.expires_s, found.renewable) == (Kind.TOKEN, SOON.timestamp(), True)
    assert (found.identities, found.subject) == (("tonyj",), "tonyj")


def test_a_token_in_the_environment_is_nobodys_to_renew(files: Path) -> None:
    found = one(ROOT, {"BEARER_TOKEN": token(sub="uuid", preferred_username="tonyj", exp=5), "BEARER_TOKEN_FILE": "x"})
    assert (found.expires_s, found.renewable, found.identities) == (5.0, False, ("uuid", "tonyj"))


def test_a_token_that_is_found(files: Path) -> None:
    (files / f"bt_u{os.geteuid()}").write_text(token(sub="tonyj"))
    found = one(ROOT, {"XDG_RUNTIME_DIR": str(files)})
    assert (found.subject, found.expires_s) == ("tonyj", math.inf)


@pytest.mark.parametrize("text", ["", "opaque", "a.b.c", "a.b", token(exp="soon", sub=7), f"x.{'Y' * 5}.z", "a.W10.c"])
def test_a_token_that_says_nothing(files: Path, text: str) -> None:
    (files / "token").write_text(text)
    found = one(ROOT, {"BEARER_TOKEN_FILE": f"{files}/token"})
    assert (found.expires_s, found.identities) == (math.inf, ())


def test_a_shared_secret(files: Path) -> None:
    found = one(ROOT, {"XrdSecSSSKT": f"{files}/keytab"})
    assert (found.kind, found.expires_s, found.subject) == (Kind.SSS, 4102444800.0, "tonyj")
    assert "2233" not in str(found)


@pytest.mark.parametrize("name", ["X509_USER_PROXY", "BEARER_TOKEN_FILE", "XrdSecSSSKT"])
@pytest.mark.parametrize("content", [None, b"", b"\x00\xff\x80rubbish\n"], ids=["absent", "empty", "rubbish"])
def test_what_cannot_be_read_has_a_problem_and_no_end(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / "credential"
    if content is not None:
        path.write_bytes(content)
    found = one(ROOT, {name: str(path)})
    assert found.expires_s == math.inf
    assert found.problem or content is not None
    assert found.identities == ()


# -- which of them


def test_what_each_storage_may_be_shown(files: Path) -> None:
    environment = {
        "X509_USER_PROXY": f"{files}/proxy", "BEARER_TOKEN_FILE": f"{files}/token", "XrdSecSSSKT": f"{files}/keytab"
    }  # fmt: skip
    kinds = {base: {one.kind for one in credentials_for(base, None, environment)} for base in (ROOT, HTTPS, "/store")}
    assert kinds == {ROOT: {Kind.TOKEN, Kind.PROXY, Kind.SSS}, HTTPS: {Kind.TOKEN, Kind.PROXY}, "/store": {Kind.UNIX}}
    assert one(ROOT, {**environment, "XrdSecPROTOCOL": "gsi"}).kind is Kind.PROXY
    assert one(ROOT, environment, "sss").kind is Kind.SSS
    assert credentials_for(ROOT, "none", environment) == ()
    assert credentials_for(ROOT, None, {}) == ()


def test_what_a_site_declares_and_a_job_has_not() -> None:
    for declared in ("sss", "token", "x509_proxy"):
        found = one(ROOT, {"XDG_RUNTIME_DIR": "/nowhere"}, declared)
        assert found.problem
        assert why_not_theirs("tonyj", [found], "subject") is not None


# -- how long


@pytest.mark.parametrize(
    ("credentials", "until_s"),
    [
        ([], math.inf),
        ([(5.0, False)], 5.0),
        ([(5.0, False), (9.0, False)], 9.0),
        ([(5.0, False), (1.0, True)], math.inf),
        ([(5.0, False), (math.inf, False)], math.inf),
    ],
)
def test_how_long_something_can_be_stored(credentials: list[tuple[float, bool]], until_s: float) -> None:
    made = [Credential(kind=Kind.PROXY, shown="x", expires_s=end, renewable=file) for end, file in credentials]
    assert good_until_s(made) == until_s
    assert have_expired(made, 1e9) == (bool(made) and all(end < 1e9 for end, _ in credentials))


def test_the_stamp_changes_when_a_file_is_renewed(files: Path) -> None:
    environment = {"BEARER_TOKEN_FILE": f"{files}/token", "X509_USER_PROXY": f"{files}/proxy"}
    first = stamp(environment)
    assert stamp(environment) == first
    (files / "new").write_text(token(sub="tonyj"))
    (files / "new").rename(files / "token")
    assert stamp(environment) != first
    (files / "token").unlink()
    assert len(stamp(environment)) == len(first) - 1


# -- whose


@pytest.mark.parametrize(
    ("rule", "user", "allowed"),
    [
        ("none", "anybody", True),
        ("subject", "tonyj", True),
        ("subject", "tony", False),
        ("/DC=org/*/CN={user}", "tonyj", True),
        ("/DC=org/*/CN={user}", "johnson", False),
        ("/DC=org/*/CN={user}*", "ton", True),
        ("/DC=.*/CN={user}", "tonyj", False),
        ("{user}", "/DC=org/DC=lsst/CN=tonyj", True),
    ],
)
def test_whose_they_are(rule: str, user: str, allowed: bool) -> None:
    proxy = Credential(kind=Kind.PROXY, shown="p", identities=("/DC=org/DC=lsst/CN=tonyj",), subject="tonyj")
    assert (why_not_theirs(user, [proxy], rule) is None) == allowed


def test_every_credential_that_may_be_shown_has_to_be_theirs() -> None:
    mine, other = (Credential(kind=Kind.SSS, shown=name, identities=(name,), subject=name) for name in ("me", "other"))
    assert why_not_theirs("me", [mine], "subject") is None
    assert "names other" in (why_not_theirs("me", [mine, other], "subject") or "")
    assert "has none" in (why_not_theirs("me", [], "subject") or "")


def test_a_users_name_is_no_pattern() -> None:
    token_of = Credential(kind=Kind.TOKEN, shown="t", identities=("tonyj",), subject="tonyj")
    for user in ("t.nyj", "*", "tony[j]", ".*"):
        assert why_not_theirs(user, [token_of], "subject") is not None
        assert why_not_theirs(user, [token_of], "{user}") is not None


def test_a_folder_here_is_the_accounts() -> None:
    account = pwd.getpwuid(os.geteuid()).pw_name
    assert why_not_theirs(account, credentials_for("/store"), "subject") is None
    assert why_not_theirs("somebody-else", credentials_for("file:///store"), "subject") is not None
