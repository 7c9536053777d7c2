"""Whether the credentials that the site's storage and catalog ask for are there, private, and good for how long."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from site_configs.schema import Site
from transformation.catalog.credentials import NoCredential, credential_of
from transformation.credentials import Credential, Kind, credentials_for, utc_text
from transformation.doctor.reading import Case, Reading, bad, ok, warn

_ENOUGH_S = 6 * 3600.0
"""A unit may take as long; and who renews a token does so before its last minutes."""
_ENOUGH_OF_TOKEN_S = 300.0
_RUCIO = "rucio"
_ANY_DOOR = "root://any//"
"""All that counts of a location is its scheme; this one may ask for any credential."""
_ACTIONS = {
    Kind.PROXY: "make a new proxy (voms-proxy-init), and name it in X509_USER_PROXY",
    Kind.TOKEN: "let the pilot or a token agent (oidc-agent, htgettoken) write one; see BEARER_TOKEN_FILE",
    Kind.SSS: "ask the storage's admins for the key table, and name it in XrdSecSSSKT",
    Kind.UNIX: "",
}


def kinds(site: Site) -> list[str]:
    """Which credentials the site's doors ask for."""
    asked = [one.credential for one in site.storage.endpoints if one.credential not in {"none", "unix"}]
    return [*dict.fromkeys(asked), *([_RUCIO] if site.catalog.kind == "rucio" else [])]


def look(case: Case) -> Reading:
    """The kind that `subject` names."""
    if not case.subject:
        return ok("none is asked for")
    return _rucio(case) if case.subject == _RUCIO else _held(case.subject, os.environ)


def _rucio(case: Case) -> Reading:
    settings = case.site.catalog.rucio
    assert settings is not None
    try:
        found = credential_of(settings)
    except NoCredential as error:
        return bad(str(error), "put it where catalog.rucio.secret says, readable for its owner alone")
    if "client_proxy" in found:
        return _held("x509_proxy", {"X509_USER_PROXY": found["client_proxy"]})
    if "bearer" in found:
        return _held("token", {"BEARER_TOKEN": found["bearer"]})
    return ok(f"the password of {settings.username} is at {settings.secret}")


def _held(kind: str, environment: Mapping[str, str]) -> Reading:
    (one,) = credentials_for(_ANY_DOOR, kind, environment)
    action = _ACTIONS[one.kind]
    left_s = one.expires_s - time.time()
    if one.problem or left_s <= 0:
        return bad(str(one), action)
    if one.begins_s > time.time():
        return bad(f"{one}, but not before {utc_text(one.begins_s)}", "see whether the clock is right here; else wait")
    if others_read(one):
        return bad(f"{one}: others can read it, and clients do not take it", f"chmod 600 {one.shown}")
    if math.isinf(left_s):
        return ok(str(one))
    enough_s = _ENOUGH_OF_TOKEN_S if one.renewable else _ENOUGH_S
    return ok(str(one), left_s=round(left_s)) if left_s >= enough_s else warn(str(one), action, left_s=round(left_s))


def others_read(one: Credential) -> bool:
    """Whether it is a secret in a file that is not its owner's alone."""
    with suppress(OSError):
        return one.kind in {Kind.PROXY, Kind.SSS} and bool(Path(one.shown).stat().st_mode & 0o077)
    return False
