"""Get a token for PanDA."""

from __future__ import annotations

from collections.abc import Callable

from submitter.credentials import Credential, credential_for
from submitter.folders import Folders
from submitter.panda.gateway import Gateway, server_of
from submitter.settings import PandaSettings
from submitter.troubles import IodError, Trouble
from transformation.wiring import open_site


def log_in(site: str, settings: PandaSettings, folders: Folders, tell: Callable[[str], None]) -> Credential:
    """Let the server say through `tell` where to sign in, and wait for it. Raises `IodError`, `JobError`."""
    server = server_of(open_site(site), settings)
    gateway = Gateway(server, settings, folders)
    try:
        gateway.log_in(tell)
    finally:
        gateway.close()
    credential = credential_for(settings, folders)
    if credential is None:
        raise IodError(Trouble.CREDENTIAL_MISSING, f"{server} gave a token, but it was not kept")
    return credential
