"""How long the credentials last that submitting needs. Reads their ends, never shows anything else of them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from submitter.folders import Folders
from submitter.settings import PandaSettings
from transformation.model import documents
from transformation.proxy_certificate import read_proxy
from transformation.storage.http_credentials import expiry_of

TOKEN_FILE = ".token"  # noqa: S105 - a file name
"""Where the PanDA client keeps its tokens (`openidc_utils.TOKEN_BASENAME`)."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One that was found."""

    kind: str
    """`token` or `proxy`."""
    path: str
    ends_s: float | None
    """Seconds since 1970; None if it does not say."""
    renewable: bool = False
    """Whether the client can get the next one without the user."""


def credential_for(settings: PandaSettings, folders: Folders) -> Credential | None:
    """What the PanDA client would show; None if there is nothing."""
    if not uses_tokens(settings):
        return read_grid_proxy()
    for name in ("PANDA_AUTH_ID_TOKEN", "OIDC_AUTH_ID_TOKEN"):
        if token := os.environ.get(name):
            return Credential(kind="token", path=f"${name}", ends_s=expiry_of(token))
    named = settings.token_file or os.environ.get("OIDC_AUTH_TOKEN_FILE")
    return read_token(Path(named).expanduser() if named else token_folder(folders) / TOKEN_FILE)


def uses_tokens(settings: PandaSettings) -> bool:
    """Whether the server is shown a token, and not a proxy."""
    return (settings.auth or os.environ.get("PANDA_AUTH") or "oidc") == "oidc"


def token_folder(folders: Folders) -> Path:
    """Where the PanDA client keeps tokens: where `pbook` and its sisters have them, else our own folder."""
    root = os.environ.get("PANDA_CONFIG_ROOT")
    return Path(root).expanduser() if root else folders.panda


class _TokenFile(msgspec.Struct):
    id_token: str = ""
    refresh_token: str | None = None


def read_token(path: Path) -> Credential | None:
    """A token file: a bare token, or what the PanDA client keeps (`.token`); None if there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    renewable = False
    if text.startswith("{"):
        try:
            found = documents.decode(text, _TokenFile)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        text, renewable = found.id_token, bool(found.refresh_token)
    return Credential(kind="token", path=str(path), ends_s=expiry_of(text), renewable=renewable) if text else None


def read_grid_proxy(path: Path | None = None) -> Credential | None:
    """A grid proxy at its usual place; None if there is none."""
    path = path or Path(os.environ.get("X509_USER_PROXY") or f"/tmp/x509up_u{os.getuid()}")  # noqa: S108 - grid custom
    try:
        found = read_proxy(path.read_bytes())
    except OSError:
        return None
    return None if isinstance(found, str) else Credential(kind="proxy", path=str(path), ends_s=found.expires_s)
