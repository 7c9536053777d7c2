"""What a job shows to a storage: which credential that is, until when it is good, and whom it names.

Found as the clients find it, in the environment and in well-known files; read again at each question, because others
renew it while a job runs. Nobody's signature is checked here, that is the server's business; no secret leaves this
module.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import pwd
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

_XROOTD = re.compile(r"x?roots?://", re.IGNORECASE)
_HTTP = re.compile(r"(https?|davs?)://", re.IGNORECASE)
_LIMIT_BYTES = 1 << 20
_SSS_FACT = re.compile(r"(?<= )(?P<name>[cenu]):(?P<value>\S+)")
_XROOTD_PROTOCOLS = {"gsi": "x509_proxy", "ztn": "token", "sss": "sss", "unix": "unix"}
"""What XrdSecPROTOCOL calls them."""


class Kind(StrEnum):
    """How a job proves who it is; the words of a site file."""

    UNIX = "unix"
    SSS = "sss"
    PROXY = "x509_proxy"
    TOKEN = "token"  # noqa: S105 - what kind, not which


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One of them."""

    kind: Kind
    shown: str
    """What it is called in a message, e.g. its file."""
    expires_s: float = math.inf
    """Seconds since the epoch; infinite where it says nothing."""
    begins_s: float = -math.inf
    """When it begins to be good; likewise."""
    renewable: bool = False
    """A file that others renew while the job runs: how long it is good now says nothing about later."""
    identities: tuple[str, ...] = ()
    """Whom it names: a token's `sub` and `preferred_username`, a proxy's DN, an account."""
    subject: str = ""
    """The short form of that: a DN's last CN."""
    problem: str = ""
    """Why it cannot be read."""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.kind} {self.shown}: {self.problem}"
        until = "" if math.isinf(self.expires_s) else f", good until {utc_text(self.expires_s)}"
        return f"{self.kind} {self.shown}{' of ' + self.subject if self.subject else ''}{until}"


def credentials_for(
    base: str, declared: str | None = None, environment: Mapping[str, str] = os.environ
) -> tuple[Credential, ...]:
    """What this job may show to the storage of that base: what the site file declares, else all that is there."""
    taken: dict[str, Callable[..., Credential | None]]
    if _HTTP.match(base):
        taken = {"token": _token, "x509_proxy": _proxy}
    elif _XROOTD.match(base):
        taken = {"token": _token, "x509_proxy": _proxy, "sss": _sss, "unix": _account}
    else:
        return (_own_account(),)
    if declared is not None:
        wanted = [declared]
    else:
        protocols = environment.get("XrdSecPROTOCOL", "").replace(",", " ").split() if _XROOTD.match(base) else []
        wanted = [_XROOTD_PROTOCOLS.get(protocol, "") for protocol in protocols] or list(taken)
    found = (taken[kind](environment, declared=declared is not None) for kind in wanted if kind in taken)
    return tuple(one for one in found if one is not None)


def good_until_s(credentials: Sequence[Credential]) -> float:
    """How long something can be stored for sure, seconds since the epoch: the last of what cannot be renewed; for ever
    if nothing is needed, or if one of them is renewed by others."""
    if not credentials or any(one.renewable for one in credentials):
        return math.inf
    return max(one.expires_s for one in credentials)


def have_expired(credentials: Sequence[Credential], now_s: float) -> bool:
    """Whether none of them is good any more."""
    return bool(credentials) and all(one.expires_s <= now_s for one in credentials)


def why_not_theirs(user: str, credentials: Sequence[Credential], rule: str) -> str | None:
    """Why a request of that user may not use these credentials, in one sentence; None if it may.

    `rule`: `none`, `subject` (the user's name is the credential's subject or identity), or a pattern with `{user}` over
    its identity, in which `*` stands for anything.
    """
    if rule == "none":
        return None
    if not credentials:
        return f"the site binds users to their credentials, and this job of {user} has none"
    for one in credentials:
        if one.problem:
            return f"the site binds users to their credentials: {one}"
        names = {one.subject, *one.identities} if rule == "subject" else one.identities
        wanted = re.escape("{user}" if rule == "subject" else rule).replace(r"\*", ".*")
        pattern = wanted.replace(re.escape("{user}"), re.escape(user))
        if not any(re.fullmatch(pattern, name) for name in names):
            return (
                f"the request's user is {user}, {one.kind} {one.shown} names {' or '.join(one.identities) or 'nobody'}"
            )
    return None


def stamp(environment: Mapping[str, str] = os.environ) -> tuple[object, ...]:
    """Changes when one of the files is renewed: connections that were opened before it was know the old one."""
    named = [environment[name] for name in ("X509_USER_PROXY", "XrdSecSSSKT") if environment.get(name)]
    found = []
    for place in (*map(Path, named), *_token_files(environment)):
        try:
            status = place.stat()
        except OSError:
            continue
        found.append((str(place), status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


# -- each kind


def _account(_environment: Mapping[str, str], *, declared: bool) -> Credential | None:
    return _own_account() if declared else None


def _own_account() -> Credential:
    """What a file system, or a server that believes its clients, goes by."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return Credential(kind=Kind.UNIX, shown="account", identities=(name,), subject=name)


def _token_files(environment: Mapping[str, str]) -> list[Path]:
    """WLCG Bearer Token Discovery: a file that is named, else those of this user."""
    if named := environment.get("BEARER_TOKEN_FILE"):
        return [Path(named)]
    name = f"bt_u{os.geteuid()}"
    runtime = environment.get("XDG_RUNTIME_DIR")
    return [*([Path(runtime) / name] if runtime else []), Path("/tmp") / name]  # noqa: S108 - the WLCG's place


def _token(environment: Mapping[str, str], *, declared: bool) -> Credential | None:
    if token := environment.get("BEARER_TOKEN", "").strip():
        return _of_token("in BEARER_TOKEN", token.encode(), renewable=False)
    places = [path for path in _token_files(environment) if path.is_file()]
    if not places:
        missing = Credential(kind=Kind.TOKEN, shown="file", renewable=True, problem="there is none")
        return missing if declared or environment.get("BEARER_TOKEN_FILE") else None
    content = _content(places[0])
    if isinstance(content, str):
        return Credential(kind=Kind.TOKEN, shown=str(places[0]), renewable=True, problem=content)
    return _of_token(str(places[0]), content, renewable=True)


def _seconds(claim: object, *, endless: float) -> float:
    """A time that a token claims; endless if it is none."""
    try:
        return float(claim) if isinstance(claim, int | float) else endless
    except OverflowError:
        return endless


def _of_token(shown: str, token: bytes, *, renewable: bool) -> Credential:
    """By its claims (RFC 7519), if it is a JWT."""
    claims: dict[str, object] = {}
    parts = token.strip().split(b".")
    if len(parts) == 3:
        try:
            found = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
        except (binascii.Error, ValueError, RecursionError):
            found = None
        claims = found if isinstance(found, dict) else {}
    names = [claims.get(name) for name in ("sub", "preferred_username")]
    identities = tuple(name for name in names if isinstance(name, str))
    return Credential(
        kind=Kind.TOKEN,
        shown=shown,
        expires_s=_seconds(claims.get("exp"), endless=math.inf),
        begins_s=_seconds(claims.get("nbf"), endless=-math.inf),
        renewable=renewable,
        identities=identities,
        subject=identities[0] if identities else "",
        problem="" if token.strip() else "it is empty",
    )


def _sss(environment: Mapping[str, str], *, declared: bool) -> Credential | None:
    """A keytab of XRootD's shared secrets: one key a line, the newest counts, `e:0` is for ever."""
    place = environment.get("XrdSecSSSKT") or environment.get("XrdSecsssKT")
    if not place:
        return Credential(kind=Kind.SSS, shown="keytab", problem="XrdSecSSSKT names none") if declared else None
    content = _content(Path(place))
    if isinstance(content, str):
        return Credential(kind=Kind.SSS, shown=place, problem=content)
    lines = content.decode(errors="replace").splitlines()
    keys = [{match["name"]: match["value"] for match in _SSS_FACT.finditer(line)} for line in lines if line.strip()]
    if not keys:
        return Credential(kind=Kind.SSS, shown=place, problem="it holds no key")
    newest = max(keys, key=lambda key: _number(key.get("c", "0")))
    user = newest.get("u", "")
    return Credential(
        kind=Kind.SSS,
        shown=place,
        expires_s=_number(newest.get("e", "0")) or math.inf,
        identities=(user,) if user else (),
        subject=user,
    )


def _number(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0


def _proxy(environment: Mapping[str, str], *, declared: bool) -> Credential | None:
    """A chain of certificates: it ends with the first of them that does."""
    place = environment.get("X509_USER_PROXY")
    if not place and declared:
        place = f"/tmp/x509up_u{os.geteuid()}"  # noqa: S108 - where every grid tool looks
    if not place:
        return None
    content = _content(Path(place))
    if isinstance(content, str):
        return Credential(kind=Kind.PROXY, shown=place, problem=content)
    try:
        from transformation.proxy_certificate import read_proxy  # `cryptography`, for those who have a proxy
    except ImportError:
        problem = "nobody here can read it: pip install 'imsim-on-demand[xrootd]'"
        return Credential(kind=Kind.PROXY, shown=place, problem=problem)
    proxy = read_proxy(content)
    if isinstance(proxy, str):
        return Credential(kind=Kind.PROXY, shown=place, problem=proxy)
    return Credential(
        kind=Kind.PROXY,
        shown=place,
        expires_s=proxy.expires_s,
        begins_s=proxy.begins_s,
        identities=(proxy.identity,),
        subject=proxy.common_name,
    )


def _content(path: Path) -> bytes | str:
    """What is in the file, or one sentence that says why it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT_BYTES)
    except OSError as error:
        return error.strerror or type(error).__name__


def utc_text(time_s: float) -> str:
    """A time that a credential claims, for people; it may be any number."""
    try:
        return datetime.fromtimestamp(time_s, tz=UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"second {time_s:g}"
