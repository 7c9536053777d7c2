"""Storage behind XRootD servers: `root://host[:port]//absolute/path`, also `roots`, `xroot` and `xroots`.

Rules of this file
1. The client library lives in a child process. Every request has a wall limit; when one is late, or the child dies,
   all that is under way fails as transient and the next request finds a new child.
2. Images are written under a hidden name of their own and renamed when the far end holds what was sent: the server may
   still be about to remove what an earlier try left unfinished, by name.
3. `create` is `open(NEW|POSC)`: one winner (measured with XRootD 5.5.3 under sixteen at once; `mkdir` and `mv` succeed
   for everybody). A file that its writer has not closed is not there for any question.
4. Credentials are read by the child from its environment, as every XRootD client does (`XrdSecSSSKT`,
   `X509_USER_PROXY`, `BEARER_TOKEN_FILE`, `X509_CERT_DIR`): they pass through nothing of ours. They are shown when a
   connection is opened: once a file is renewed, new requests go to a new child (measured with 5.5.3: a server goes on
   with an expired token for a minute, then refuses the connection's requests, whatever the file holds by then).
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from transformation.credentials import stamp as credential_stamp
from transformation.helper import HelperFailed
from transformation.model import documents
from transformation.model.failures import Failure
from transformation.ports import Entry, Measured, Missing, Stat, StorageError, Survey, TooLarge
from transformation.storage.xrootd_errors import local_error, storage_error
from transformation.storage.xrootd_words import Answer, Operation, Question
from transformation.switchboard import Switchboard

SCHEMES = ("root", "roots", "xroot", "xroots")
MOVER = "transformation.storage.xrootd_mover"

CLIENT_SETTINGS: Mapping[str, str] = {
    "XRD_CONNECTIONRETRY": "2",
    "XRD_CONNECTIONWINDOW": "10",
    "XRD_REQUESTTIMEOUT": "120",
    "XRD_STREAMTIMEOUT": "30",
    "XRD_TIMEOUTRESOLUTION": "1",
    "XRD_STREAMERRORWINDOW": "0",
    "XRD_WRITERECOVERY": "0",
}
"""Seconds and counts. Measured with client 6.2.1: a refused connection ends after 10 s (defaults: 480 s), a silent
server after 22 s (660 s), one killed in a copy after 11 s (480 s), one stopped in a copy after 52 s (721 s). Without
STREAMERRORWINDOW=0 every call to a server that came back fails for half an hour. A file whose writing was interrupted
is sent again from its beginning."""

HURRIED: Mapping[str, str] = {
    "XRD_CONNECTIONRETRY": "1",
    "XRD_CONNECTIONWINDOW": "5",
    "XRD_REQUESTTIMEOUT": "20",
    "XRD_STREAMTIMEOUT": "10",
}
"""Where another destination waits: no server is given more than about ten seconds to say anything at all, and twenty to
answer one request."""

_LOCATION = re.compile(r"x?(?P<server>roots?://[^/?#\s]+)/(?P<path>/[^?]*)(?P<opaque>\?.*)?", re.DOTALL)
_IS_FOLDER, _POSC_PENDING = 2, 64
_UNSUPPORTED = 3013
_DEFAULT_PORT = 1094
_TRANSFERS_AT_ONCE = 4
_WRITES = frozenset({Operation.PUT, Operation.CREATE})
"""Of these "not there" does not mean that the file they are for is missing."""


class WallLimit(msgspec.Struct, frozen=True, kw_only=True):
    """When a request is given up; longer than the client's own time-outs, which say better what is wrong."""

    base_s: float = 180.0
    slowest_bytes_per_s: float = 200_000.0

    def seconds(self, size_bytes: int) -> float:
        """For a request that moves so many bytes."""
        return self.base_s + size_bytes / self.slowest_bytes_per_s


_USUAL_LIMIT = WallLimit()
HURRIED_LIMIT = WallLimit(base_s=45.0)


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    server: str
    path: str
    opaque: str

    @property
    def full_path(self) -> str:
        return self.path + self.opaque

    def hidden(self, token: str) -> str:
        folder, _, name = self.path.rpartition("/")
        return f"{folder}/.{name.removeprefix('.')}.{token}.new{self.opaque}"


class XRootDStorage:
    """Files on XRootD servers, for any number of threads; `close` ends the child process.

    `log` takes what the client library prints. `client_settings` come before the measured ones, and the environment's
    own `XRD_...` before both; `token` gives a new short word at each call, unique among all writers. `stamp` changes
    when a credential is renewed. `straight` names data servers to be used instead of redirectors, `HOST:PORT` of both.
    """

    def __init__(
        self,
        *,
        log: Path = Path(os.devnull),
        wall_limit: WallLimit = _USUAL_LIMIT,
        client_settings: Mapping[str, str] | None = None,
        token: Callable[[], str] = lambda: secrets.token_hex(8),
        stamp: Callable[[], object] = credential_stamp,
        straight: Mapping[str, str] | None = None,
    ) -> None:
        own = {name: value for name, value in os.environ.items() if name.startswith("XRD_")}
        self._mover = Switchboard(MOVER, log, {**CLIENT_SETTINGS, **(client_settings or {}), **own})
        self._wall_limit = wall_limit
        self._token = token
        self._stamp = stamp
        self._straight = straight or {}
        self._lock = threading.Lock()
        self._stamped: object = None

    @property
    def parallel(self) -> int:
        """See `Storage.parallel`."""
        return _TRANSFERS_AT_ONCE

    @property
    def mover_pid(self) -> int | None:
        """The child's process id; None if none runs."""
        return self._mover.pid

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""
        try:
            found = self._ask(url, Operation.STAT)
        except Missing:
            return None
        return None if found.flags & (_IS_FOLDER | _POSC_PENDING) else Stat(size_bytes=found.size_bytes)

    def adler32(self, url: str) -> str:
        """See `Storage.adler32`. What a server that computes no checksums holds is read back through the network."""
        place = _place(url)
        answer = self._answer(place, Operation.CHECKSUM)
        if answer.status is not None and answer.status.errno == _UNSUPPORTED:
            return self._ask(url, Operation.READ_BACK, size_bytes=self._size(url)).adler32
        return _good(_shown(place), answer, Operation.CHECKSUM).adler32

    def list(self, url: str) -> Sequence[Entry]:
        """See `Storage.list`."""
        unseen = _IS_FOLDER | _POSC_PENDING
        with suppress(Missing):
            listed = self._ask(url, Operation.LIST).listed
            return [Entry(name=one.name, size_bytes=one.size_bytes) for one in listed if not one.flags & unseen]
        return []

    def folders(self, url: str) -> Sequence[str]:
        """See `Storage.folders`."""
        with suppress(Missing):
            return [one.name for one in self._ask(url, Operation.LIST).listed if one.flags & _IS_FOLDER]
        return []

    def read(self, url: str, *, limit_bytes: int) -> bytes:
        """See `Storage.read`."""
        answer = self._ask(url, Operation.READ, size_bytes=limit_bytes, limit_bytes=limit_bytes)
        if answer.size_bytes > limit_bytes:
            raise TooLarge(_shown(_place(url)), limit_bytes=limit_bytes)
        return answer.content

    def start(self, url: str, n_bytes: int) -> bytes:
        """The first bytes of a file, all of them if it is shorter. Raises `Missing`."""
        return self._ask(url, Operation.START, size_bytes=n_bytes, limit_bytes=n_bytes).content

    def get(self, url: str, path: Path) -> None:
        """See `Storage.get`; checked against the server's checksum where it has one."""
        hidden = path.with_name(f".{path.name}.{self._token()}.new")
        try:
            self._ask(url, Operation.GET, size_bytes=self._size(url), local=str(hidden))
            hidden.rename(path)
        finally:
            hidden.unlink(missing_ok=True)

    def get_measured(self, url: str, path: Path, expected: Measured) -> Measured:
        """See `MeasuringStorage.get_measured`; the server's checksum is asked for only if another arrives."""
        hidden = path.with_name(f".{path.name}.{self._token()}.new")
        facts = {"expected_bytes": expected.size_bytes, "expected_adler32": expected.adler32}
        try:
            found = self._ask(url, Operation.GET, size_bytes=expected.size_bytes, local=str(hidden), **facts)
            hidden.rename(path)
        finally:
            hidden.unlink(missing_ok=True)
        return Measured(found.size_bytes, found.adler32)

    def put(self, path: Path, url: str) -> None:
        """See `Storage.put`; checked against the server's checksum where it has one, else the caller has to ask."""
        place = _place(url)
        try:
            size_bytes = path.stat().st_size
        except OSError as error:
            raise local_error(error.errno or 0, f"cannot store {path}: {error.strerror}", reading=True) from error
        new_path = place.hidden(self._token())
        self._ask(url, Operation.PUT, size_bytes=size_bytes, local=str(path), new_path=new_path)

    def create(self, url: str, content: bytes) -> bool:
        """See `Storage.create`."""
        place = _place(url)
        answer = self._answer(place, Operation.CREATE, size_bytes=len(content), content=content)
        if answer.status is not None and answer.status.errno == 0:
            # Without an answer nobody knows what the server does with a file that is open: it forgets it with us.
            self._mover.hang_up()
        return not _good(_shown(place), answer, Operation.CREATE).exists

    def rename(self, url: str, new_url: str) -> None:
        """See `Storage.rename`."""
        self._ask(url, Operation.RENAME, new_path=_place(new_url).full_path)

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        with suppress(Missing):
            self._ask(url, Operation.DELETE)

    def survey(self, url: str) -> Survey:
        """See `Storage.survey`. Behind a redirector files lie on several servers: one that is away is not missed."""
        found = self._ask(url, Operation.SURVEY)
        return Survey(free_bytes=found.free_bytes, exclusive=not found.redirects)

    def close(self) -> None:
        """See `Storage.close`: the child process is gone when this returns."""
        self._mover.close()

    def _size(self, url: str) -> int:
        found = self.stat(url)
        if found is None:
            raise Missing(_shown(_place(url)))
        return found.size_bytes

    def _ask(self, url: str, operation: Operation, *, size_bytes: int = 0, **facts: Any) -> Answer:
        place = _place(url)
        return _good(_shown(place), self._answer(place, operation, size_bytes=size_bytes, **facts), operation)

    def _answer(self, place: _Place, operation: Operation, *, size_bytes: int = 0, **facts: Any) -> Answer:
        self._show_what_is_new()
        question = Question(operation=operation, server=self._behind(place.server), path=place.full_path, **facts)
        try:
            said = self._mover.ask(msgspec.json.encode(question), wall_limit_s=self._wall_limit.seconds(size_bytes))
        except HelperFailed as failed:
            detail = f"{_shown(place)}: {failed}"
            raise StorageError(Failure.STORAGE_UNREACHABLE, detail, transient=True) from failed
        return documents.decode(said, Answer)

    def _show_what_is_new(self) -> None:
        stamp = self._stamp()
        with self._lock:
            if stamp == self._stamped:
                return
            first, self._stamped = self._stamped is None, stamp
        if not first:
            self._mover.renew()

    def _behind(self, server: str) -> str:
        """The data server where the site names one, else the server itself."""
        scheme, _, host = server.partition("://")
        user, at, bare = host.rpartition("@")
        straight = self._straight.get(bare if ":" in bare else f"{bare}:{_DEFAULT_PORT}")
        return f"{scheme}://{user}{at}{straight}" if straight else server


def _good(url: str, answer: Answer, operation: Operation) -> Answer:
    """The answer if the thing was done. Raises `StorageError`."""
    if answer.status is not None:
        raise storage_error(url, answer.status, writing=operation in _WRITES)
    if answer.local_errno:
        detail = f"{url}: {os.strerror(answer.local_errno)} on this side"
        raise local_error(answer.local_errno, detail, reading=operation is Operation.PUT)
    if answer.differs:
        raise StorageError(Failure.STORAGE_DAMAGED, f"{url}: damaged on its way: {answer.differs}", transient=True)
    return answer


def _place(url: str) -> _Place:
    match = _LOCATION.fullmatch(url)
    if match is None or "\0" in url:
        detail = f"{url!r} is not of the form root://host//absolute/path"
        raise StorageError(Failure.STORAGE_UNKNOWN, detail, transient=False)
    return _Place(server=match["server"], path=match["path"], opaque=match["opaque"] or "")


def _shown(place: _Place) -> str:
    """A location for reports: what stands before the host or follows `?` may be a credential."""
    scheme, _, host = place.server.partition("://")
    return f"{scheme}://{host.rpartition('@')[2]}/{place.path}"
