"""Questions to the Rucio server that a site names: each in bounded time, each failure in our own words.

Nothing is repeated here. A call ends after twice the longest silence allowed, even if the server dribbles, because it
runs in a thread that is left behind then. After any error the next call logs in anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from site_configs.load import expand
from site_configs.schema import Rucio
from transformation.catalog.credentials import NoCredential, credential_of
from transformation.model.failures import Failure
from transformation.patience import within
from transformation.ports import CatalogError

if TYPE_CHECKING:
    from transformation.catalog.rucio_client import RucioSession

_LONGEST_REASON = 300
_Answer = TypeVar("_Answer")


class Conversation:
    """One log-in that is kept as long as all goes well. Safe for threads, which take turns."""

    def __init__(self, settings: Rucio, place: str) -> None:
        self._settings = settings
        self._place = place
        self._session: RucioSession | None = None
        self._turn = threading.Lock()

    def ask(self, question: Callable[[RucioSession], _Answer]) -> _Answer:
        """Put it to the server, in bounded time. Raises `CatalogError`."""
        limit_s = 2 * self._settings.timeout_s

        def converse(session: RucioSession | None) -> tuple[RucioSession, _Answer]:
            session = session or self._log_in()
            session.deadline_s = time.monotonic() + limit_s
            return session, question(session)

        with self._turn:
            session, self._session = self._session, None
            try:
                self._session, answer = within(
                    limit_s, lambda: self._classified(lambda: converse(session)), name="rucio"
                )
            except TimeoutError:
                detail = f"the catalog did not finish its answer in {limit_s:.0f} s"
                raise CatalogError(Failure.REGISTRATION_PENDING, detail, transient=True) from None
            return answer

    def _log_in(self) -> RucioSession:
        from transformation.catalog.rucio_client import open_session

        settings = self._settings
        return open_session(
            host=settings.host,
            auth_host=settings.auth_host or settings.host,
            account=settings.account,
            auth=settings.auth,
            credential=credential_of(settings),
            ca_file=None if settings.ca_file is None else expand(settings.ca_file),
            timeout_s=settings.timeout_s,
        )

    def _classified(self, call: Callable[[], _Answer]) -> _Answer:
        from requests.exceptions import SSLError
        from rucio.common import exception as rucio

        hopeless = (
            *(rucio.AccessDenied, rucio.CannotAuthenticate, rucio.CannotAuthorize, rucio.InputValidationError),
            *(rucio.InvalidObject, rucio.InvalidPath, rucio.InvalidRSEExpression, rucio.RSENotFound),
            *(rucio.RSEFileNameNotSupported, rucio.ScopeNotFound, rucio.UnsupportedOperation),
            *(NoCredential, SSLError),
        )
        try:
            return call()
        except (
            *(rucio.RucioException, NoCredential, OSError),  # requests' errors are OSErrors
            *(ValueError, TypeError, KeyError, msgspec.ValidationError),  # what is no JSON, or not a Rucio server's
        ) as error:
            detail = f"{self._place}: {reason_of(error)}"
            transient = not isinstance(error, hopeless)
            raise CatalogError(Failure.REGISTRATION_PENDING, detail, transient=transient) from error


def reason_of(error: Exception) -> str:
    """One line of what Rucio, `requests` or we say; a server may send whole pages."""
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text[:_LONGEST_REASON]}"
