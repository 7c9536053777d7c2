"""Who we are for HTTP servers, and whom we believe: bearer tokens, X509 proxies, certificate authorities.

All of it is found as WLCG tools find it, in the environment and in well-known files, and read again when it is used:
others renew it while a job runs. Nothing is shown or kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, 2.1. Anything else would end the header it stands in, or is no token."""
_GRID_AUTHORITIES = Path("/etc/grid-security/certificates")
_LONGEST_TOKEN_BYTES = 1 << 16


def bearer_token(environment: Mapping[str, str] = os.environ, *, folder: Path = Path("/tmp")) -> str | None:  # noqa: S108
    """The token of this moment; None if there is none.

    WLCG Bearer Token Discovery: `BEARER_TOKEN`, the file `BEARER_TOKEN_FILE`, `bt_u<uid>` in `XDG_RUNTIME_DIR`, the
    same in /tmp, where a file of somebody else is not taken.
    """
    if token := environment.get("BEARER_TOKEN", "").strip():
        return token if _TOKEN.fullmatch(token) else None
    name = f"bt_u{os.geteuid()}"
    if path := environment.get("BEARER_TOKEN_FILE"):
        return _token_in(Path(path))
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        return _token_in(Path(runtime) / name) or _token_in(folder / name, ours=True)
    return _token_in(folder / name, ours=True)


def _token_in(path: Path, *, ours: bool = False) -> str | None:
    try:
        with path.open("rb") as file:
            if ours and os.fstat(file.fileno()).st_uid != os.geteuid():
                return None
            token = file.read(_LONGEST_TOKEN_BYTES).decode("ascii", errors="replace").strip()
    except OSError:
        return None
    return token if _TOKEN.fullmatch(token) else None


def expiry_of(token: str) -> float | None:
    """When a token ends, seconds since the epoch; None if it is no JWT or does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def proxy_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Certificate and key in one file, if `X509_USER_PROXY` names one that is there."""
    path = environment.get("X509_USER_PROXY")
    return Path(path) if path and Path(path).is_file() else None


def tls_context(proxy: Path | None, environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Believes the authorities that the environment names (`X509_CERT_DIR`, `REQUESTS_CA_BUNDLE`), else this machine's
    and the grid's, and shows the proxy to servers that ask. Raises `OSError` for a file that is none of that."""
    named = [environment[name] for name in ("X509_CERT_DIR", "REQUESTS_CA_BUNDLE") if environment.get(name)]
    if named:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.create_default_context()
        named = [str(_GRID_AUTHORITIES)] if _GRID_AUTHORITIES.is_dir() else []
    for place in named:
        if Path(place).is_dir():
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if proxy is not None:
        context.load_cert_chain(proxy, password="")  # never ask a person for one
    return context
