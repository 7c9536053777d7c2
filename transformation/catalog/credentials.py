"""Secrets that a site file only points at: read when they are used, never kept, never shown."""

from __future__ import annotations

import os
from pathlib import Path

from site_configs.load import expand
from site_configs.schema import Rucio


class NoCredential(Exception):
    """The secret is not where the site file says, or others could read it; `str()` says which."""


def credential_of(settings: Rucio) -> dict[str, str]:
    """What logging in takes: `username` and `password`, `client_proxy` (a path) or `bearer`. Raises `NoCredential`."""
    match settings.auth:
        case "userpass":
            return {"username": settings.username or "", "password": read_secret(settings.secret)}
        case "x509_proxy":
            return {"client_proxy": str(_private_file(settings.secret))}
        case "token":
            return {"bearer": read_secret(settings.secret)}


def read_secret(reference: str) -> str:
    """The secret at `env:NAME` or in `file:PATH`, without the white space around it. Raises `NoCredential`."""
    kind, _, place = reference.partition(":")
    if kind == "env":
        secret = os.environ.get(place, "").strip()
    else:
        try:
            secret = _private_file(reference).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoCredential(f"{reference} cannot be read: {error}") from None
    if not secret:
        raise NoCredential(f"{reference} is empty or not set")
    return secret


def _private_file(reference: str) -> Path:
    path = Path(expand(reference.removeprefix("file:")))
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NoCredential(f"{reference} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise NoCredential(f"{reference} can be read by others (mode {mode & 0o777:04o}); it must be 0600")
    return path
