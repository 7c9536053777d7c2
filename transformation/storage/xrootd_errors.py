"""What an answer of the XRootD client means: is it there, may it help to ask again, who has to act.

Codes were measured with client 6.2.1 against server 5.5.3, which says 3005 for much that has no code of its own.
"""

from __future__ import annotations

import errno

from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError
from transformation.storage.xrootd_words import Status

_SERVER_ANSWERED = 400

_NOT_THERE = frozenset({3011, 3015, 3016})
"""Not found; not a file; is a folder."""
_NOT_A_FOLDER = "not a directory"
"""Under 3005, which also stands for every other trouble of the server's file system."""
_NO_SERVERS = "no servers"
"""Under 3011, when a redirector finds that the servers that could hold the file are away."""
_FULL = frozenset({3009, 3021})
"""No space, over quota."""
_DENIED = frozenset({3000, 3001, 3002, 3006, 3010, 3013, 3018, 3025, 3030})
"""Bad arguments, not authorised, not supported, a name that is taken, read-only, authentication failed."""
_DAMAGED = frozenset({3019})

_AUTHENTICATION = 204
_FINAL = frozenset({101, 110, 402})
"""No such host, TLS refused, local trouble: the same call here gives the same answer."""

_LOCAL_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def storage_error(url: str, status: Status, *, writing: bool) -> StorageError:
    """The error for a status; for what was read or asked, `Missing` if the file is surely not there."""
    message = status.message.strip().removeprefix("[ERROR] ").removeprefix("Server responded with an error: ")
    detail = f"{url}: {message}"
    if status.code == _SERVER_ANSWERED:
        return _of_server(url, status.errno, detail, writing=writing)
    if status.code == _AUTHENTICATION:
        return StorageError(Failure.STORAGE_DENIED, detail, transient=False)
    return StorageError(Failure.STORAGE_UNREACHABLE, detail, transient=status.code not in _FINAL)


def _of_server(url: str, code: int, detail: str, *, writing: bool) -> StorageError:
    words = detail.lower()
    if (code in _NOT_THERE and _NO_SERVERS not in words) or _NOT_A_FOLDER in words:
        if not writing:
            return Missing(url)
        if code == 3011:
            # The server was restarted, or somebody removed the name, while it was being written.
            return StorageError(Failure.STORAGE_DAMAGED, detail, transient=True)
        return StorageError(Failure.STORAGE_DENIED, detail, transient=False)
    if code in _FULL:
        return StorageError(Failure.STORAGE_FULL, detail, transient=False)
    if code in _DENIED:
        return StorageError(Failure.STORAGE_DENIED, detail, transient=False)
    if code in _DAMAGED:
        return StorageError(Failure.STORAGE_DAMAGED, detail, transient=True)
    return StorageError(Failure.STORAGE_UNREACHABLE, detail, transient=True)


def local_error(number: int, detail: str, *, reading: bool) -> StorageError:
    """The error for a file on this side that could not be read (for a put) or written (for a get)."""
    if reading:
        return StorageError(Failure.OUTPUT_MISSING, detail, transient=False)
    failure = Failure.DISK_FULL if number in _LOCAL_FULL else Failure.WORKDIR_UNUSABLE
    return StorageError(failure, detail, transient=False)
