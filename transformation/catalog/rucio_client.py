"""rucio-clients without its side effects and without its patience. Imported late: it costs 0.2 s and 13 MB.

What is changed was found by running rucio-clients 41.5.1:
- it keeps tokens in /tmp/<user>/.rucio_<account>, where a wrong password goes on working and, with the wrong setting,
  accounts act for each other: here each session has a folder of its own, which goes with it;
- it rewrites `sys.argv[0]`;
- it repeats what failed up to three times, with waits: repetition is a coat around the adapter;
- it writes each failure to stderr, where ours stand for PanDA's pilot to read;
- an expired bearer token makes it print a web address and read from stdin: here that is an error;
- a server in trouble looks like a wrong password when it fails while logging in.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

from requests import HTTPError, Response
from requests.exceptions import Timeout
from rucio.client.baseclient import BaseClient
from rucio.client.didclient import DIDClient
from rucio.client.replicaclient import ReplicaClient
from rucio.client.rseclient import RSEClient
from rucio.common.exception import CannotAuthenticate

_SILENT = logging.getLogger("imsim.rucio")
_SILENT.setLevel(logging.CRITICAL + 1)
_TOKEN_HEADER = "x-rucio-auth-token"  # noqa: S105 - a name, not a secret


class PrivateTokens(BaseClient):  # type: ignore[misc]
    """A client whose token is kept where no other process looks; `bearer` is used instead of logging in."""

    AUTH_RETRIES = 1  # one new token when the old one has expired
    REQUEST_RETRIES = -1

    def __init__(self, *, bearer: str | None = None, **arguments: Any) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rucio-token-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._bearer = bearer
        self.deadline_s = float("inf")
        """`time.monotonic` after which no request is begun."""
        program = sys.argv[0]
        try:
            super().__init__(logger=_SILENT, **arguments)
        finally:
            sys.argv[0] = program
        if bearer is not None:  # rucio-clients prefers what it finds in the environment
            self.auth_token = self.headers["X-Rucio-Auth-Token"] = bearer

    def _get_auth_tokens(self) -> tuple[None, str, str, str]:
        token, expiry = self._folder / "token", self._folder / "expiry"
        if self._bearer is not None:
            token.touch(mode=0o600)
            token.write_text(self._bearer)
        return None, str(expiry), str(token), str(self._folder)

    def _send_request(self, url: str, *args: Any, get_token: bool = False, **arguments: Any) -> Response:
        if get_token and self._bearer is not None:
            raise CannotAuthenticate("the token is refused; it may have expired")
        if time.monotonic() > self.deadline_s:
            raise Timeout("the time for this call is used up")
        response: Response = super()._send_request(url, *args, get_token=get_token, **arguments)
        if response.status_code >= 500 and (get_token or "ExceptionClass" not in response.headers):
            raise HTTPError(f"{url} answered with status {response.status_code}", response=response)
        if get_token and response.ok and _TOKEN_HEADER not in response.headers:
            raise HTTPError(f"{url} answered without a token", response=response)
        return response


class RucioSession(PrivateTokens, DIDClient, ReplicaClient, RSEClient):  # type: ignore[misc]
    """What registration needs of a Rucio server, and the site doctor. Not safe for threads."""


def open_session(
    *, host: str, auth_host: str, account: str, auth: str, credential: dict[str, str], ca_file: str | None,
    timeout_s: float,
) -> RucioSession:  # fmt: skip
    """Log in. `credential` holds `username` and `password`, `client_proxy` (a path) or `bearer`.

    Raises `RucioException`, `OSError` (which `requests` errors are too).
    """
    bearer = credential.get("bearer")
    creds = {key: value for key, value in credential.items() if key != "bearer"}
    return RucioSession(
        bearer=bearer,
        rucio_host=host,
        auth_host=auth_host,
        account=account,
        auth_type="oidc" if bearer is not None else auth,
        creds=creds,
        ca_cert=ca_file or os.environ.get("X509_CERT_DIR") or True,
        timeout=timeout_s,
        user_agent="imsim-on-demand",
    )
