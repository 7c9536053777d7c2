"""What an HTTP answer, or the lack of one, means: is it there, may it help to ask again, who has to act.

Statuses are those of RFC 9110 and 4918; the words are those of XRootD's HTTP door (5.5.3), which answers with 500 where
the protocol behind it has a number of its own.
"""

from __future__ import annotations

import http.client
import socket
import ssl

from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError

_FULL = frozenset({413, 507})
_PASSING = frozenset({408, 423, 425, 429})
"""Time-out, somebody is writing it, too early, too many requests."""
_NO_SUCH_METHOD = frozenset({400, 405, 501})
_NOT_A_FOLDER = "not a directory"
_NO_SPACE = ("no space left", "quota exceeded")
_ALERT, _EXPIRED = "_ALERT_", "CERTIFICATE_EXPIRED"
"""OpenSSL's name of what the server says about our certificate, e.g. `SSLV3_ALERT_CERTIFICATE_EXPIRED`."""
_OUR_CERTIFICATE = ("BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "ACCESS_DENIED", "CERTIFICATE_REQUIRED")

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL"})


class Refused(StorageError):
    """The server answered, and the answer is no."""

    def __init__(self, failure: Failure, detail: str, *, status: int, transient: bool) -> None:
        super().__init__(failure, detail, transient=transient)
        self.status = status

    @property
    def is_unknown_method(self) -> bool:
        """Whether the server does not know what it was asked to do."""
        return self.status in _NO_SUCH_METHOD


class CutOff(StorageError):
    """No whole answer came; what was asked may have been done. `silent`: nor will one come to the next question."""

    def __init__(self, detail: str, *, transient: bool = True, silent: bool = False) -> None:
        super().__init__(Failure.STORAGE_UNREACHABLE, detail, transient=transient)
        self.silent = silent


def refusal(shown: str, status: int, text: str, *, writing: bool) -> StorageError:
    """The error for a status that is no success; for what was read or asked, `Missing` if the file is not there."""
    words = text.strip().partition("\n")[0]
    # XRootD's door closes its answers with a line feed; error pages of web servers say less than their status.
    detail = f"{shown}: {words}" if words and not words.startswith("<") else f"{shown}: answered with status {status}"
    failure, transient = _meaning(status, words.lower())
    if not writing and (status in {404, 410} or _NOT_A_FOLDER in words.lower()):
        return Missing(shown)
    return Refused(failure, detail, status=status, transient=transient)


def _meaning(status: int, words: str) -> tuple[Failure, bool]:
    if status in _FULL or any(one in words for one in _NO_SPACE):
        return Failure.STORAGE_FULL, False
    if _NOT_A_FOLDER in words:
        return Failure.STORAGE_DENIED, False
    if status in _PASSING or (status >= 500 and status not in _NO_SUCH_METHOD):
        return Failure.STORAGE_UNREACHABLE, True
    return Failure.STORAGE_DENIED, False


def no_answer(shown: str, error: BaseException) -> StorageError:
    """The error for a request that ended without a whole answer."""
    causes = _causes(error)
    cause = causes[-1]
    broke = any(isinstance(one, http.client.IncompleteRead) for one in causes)
    detail = f"{shown}: {'the connection broke before the end' if broke else _words(cause)}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CutOff(detail, transient=False)
    if isinstance(cause, ssl.SSLError):
        reason = (getattr(cause, "reason", None) or "").upper()
        if _ALERT in reason and _EXPIRED in reason:
            return StorageError(Failure.CREDENTIAL_EXPIRED, f"{shown}: the certificate has expired", transient=False)
        if _ALERT in reason and any(one in reason for one in _OUR_CERTIFICATE):
            return StorageError(Failure.STORAGE_DENIED, detail, transient=False)
        if _ALERT in reason or reason in _NO_TLS:
            return CutOff(detail, transient=False)
    if isinstance(cause, socket.gaierror):
        return CutOff(detail, transient=cause.errno == socket.EAI_AGAIN)
    return CutOff(detail, silent=isinstance(cause, TimeoutError))


def _causes(error: BaseException) -> list[BaseException]:
    """Down to what was wrong in the first place: libraries wrap it, with the whole URL in their words."""
    found = [error]
    while (inner := _inner(found[-1])) is not None and inner not in found:
        found.append(inner)
    return found


def _inner(error: BaseException) -> BaseException | None:
    # urllib3 keeps what TLS said among its arguments alone.
    told = next((one for one in error.args if isinstance(one, BaseException)), None)
    return error.__cause__ or error.__context__ or told


def _words(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return "the server is silent"
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(cause).__name__
