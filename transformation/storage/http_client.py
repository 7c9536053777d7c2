"""Requests to HTTP servers: who is told what about us, how long they may take, where they may send us.

Rules of this file
1. A bearer token goes to the server that the location names and to no other, over TLS or within this machine.
2. Redirects are followed by hand, with the same method and body: to http and https only, and never out of TLS.
3. Every request has a wall limit of its size over a least rate, and one for silence.
4. Nothing of the environment changes requests behind our back (`.netrc`, `REQUESTS_CA_BUNDLE`); proxies are honoured,
   except for this machine.
5. Nothing is repeated. Errors never hold what follows `?` in a location, nor a token.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin

import msgspec
import requests
from msgspec.structs import replace
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from transformation.model.failures import Failure
from transformation.ports import StorageError
from transformation.storage.http_content import NOTHING, Content, FileContent
from transformation.storage.http_credentials import bearer_token, expiry_of, proxy_file, tls_context
from transformation.storage.http_errors import CutOff, Refused, no_answer, refusal
from transformation.storage.http_place import Place, place_of
from transformation.storage.http_wire import AnsweredEarly, Call, Watchdog, WatchedAdapter

_BLOCK_BYTES = 1 << 18
_REDIRECTS, _MOST_REDIRECTS = frozenset({301, 302, 307, 308}), 5
_SEE_OTHER = 303
"""A redirect for what is only read: the other place is asked with GET."""
_REFUSALS = frozenset({401, 403})
_TROUBLE = 400
"""After such an answer XRootD's door closes the connection, also where it says that it keeps it (5.5.3)."""
_SMALL_BYTES = 65_536
"""Of an answer nobody reads, so much is taken to keep its connection."""
_WORDS_BYTES = 1000

Headers = Mapping[str, str | bytes]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a request is given up."""

    connect_s: float = 10.0
    silence_s: float = 60.0
    """Longest wait for the next byte, in either direction."""
    checksum_s: float = 20.0
    """The same for a file's checksum, which takes the server a moment."""
    base_s: float = 180.0
    slowest_bytes_per_s: float = 200_000.0

    def seconds(self, size_bytes: int) -> float:
        """Wall limit of a request that moves so many bytes."""
        return self.base_s + size_bytes / self.slowest_bytes_per_s

    def call(self, size_bytes: int, silence_s: float | None = None) -> Call:
        """One that begins now."""
        return Call(end_s=time.monotonic() + self.seconds(size_bytes), silence_s=silence_s or self.silence_s)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a server said, and its body as far as it is read."""

    status: int
    headers: Mapping[str, str]
    """Whatever their case."""
    response: requests.Response | None
    """None for an answer that came before what was to be sent; then its body is in `words`."""
    words: bytes = b""
    fail: Callable[[BaseException], StorageError]
    """What an error of the libraries means."""
    call: Call
    """Its end may be moved by who reads a body whose length nobody told."""
    is_from_elsewhere: bool = False
    """Whether another server than the one that was asked has answered."""

    def read(self, n_bytes: int) -> bytes:
        """So many bytes of the body as they are on the wire, fewer only at its end. Raises `StorageError`."""
        if self.response is None:
            return self.words[:n_bytes]
        try:
            block: bytes = self.response.raw.read(n_bytes, decode_content=False)
        except (OSError, HTTPError) as error:
            raise self.fail(error) from error
        if not block and self.call.over:  # a socket that was shut down looks like the end
            raise self.fail(TimeoutError())
        return block

    def blocks(self) -> Iterator[bytes]:
        """The rest of the body. Raises `StorageError` if it does not come whole."""
        while block := self.read(_BLOCK_BYTES):
            yield block


class HttpClient:
    """For any number of threads; `token` gives the bearer token of the moment."""

    def __init__(self, *, limits: Limits, token: Callable[[], str | None] = bearer_token) -> None:
        self._limits = limits
        self._token = token
        self._watchdog = Watchdog()
        self._sessions: list[tuple[object, requests.Session]] = []
        self._lock = threading.Lock()

    @contextmanager
    def ask(
        self, method: str, place: Place, *, headers: Headers = MappingProxyType({}),
        content: Content = NOTHING, answer_bytes: int = 0, writing: bool = False, authorization: str | None = None,
        silence_s: float | None = None,
    ) -> Iterator[Answer]:  # fmt: skip
        """The server's answer while the block runs, if it is a yes. Raises `StorageError`.

        `answer_bytes` is what the answer will bring, for the wall limit. `writing`: that something is not there does
        not mean that the place is `Missing`. `authorization` goes to the server in place of the token.
        """
        call = self._limits.call(len(content) + answer_bytes, silence_s)
        token = self._token() if place.is_private and authorization is None else None
        request = _Request(
            method=method, place=place, headers=headers, content=content, token=token, call=call,
            authorization=authorization,
        )  # fmt: skip
        with self._watchdog.watched(call), self._session() as session:
            answer = self._followed(session, request)
            try:
                if not 200 <= answer.status < 300:
                    raise _refusal(request, answer, writing=writing)
                yield answer
            finally:
                _finish(answer)
                if answer.status >= _TROUBLE:
                    session.close()

    def close(self) -> None:
        """Requests under way fail, and so do all later ones."""
        self._watchdog.close()
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for _, session in sessions:
            session.close()

    def _followed(self, session: requests.Session, request: _Request) -> Answer:
        """The first answer that is no redirect."""
        there = request.place
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._answer(session, request, there)
            target = answer.headers.get("Location")
            is_redirect = answer.status in _REDIRECTS or (answer.status == _SEE_OTHER and request.method == "GET")
            if not is_redirect or not target:
                return replace(answer, is_from_elsewhere=there.origin != request.place.origin)
            _finish(answer)
            there = _redirected(request.place, there, target)
        raise CutOff(f"{request.place.shown}: redirected more than {_MOST_REDIRECTS} times", transient=False)

    def _answer(self, session: requests.Session, request: _Request, there: Place) -> Answer:
        def fail(error: BaseException) -> StorageError:
            return self._failed(request, error)

        try:
            response = session.request(
                request.method,
                there.url,
                headers=request.told(there),
                data=request.content if len(request.content) else None,
                stream=True,
                allow_redirects=False,
                timeout=(self._limits.connect_s, request.call.silence_s),
                proxies=None if there.is_here else get_environ_proxies(there.url),
            )
        except AnsweredEarly as early:
            return Answer(
                status=early.status,
                headers=early.headers,
                response=None,
                words=early.words,
                fail=fail,
                call=request.call,
            )
        except (OSError, HTTPError, ValueError) as error:  # a redirect's target may be no URL, and the library looks
            raise fail(error) from error
        if request.call.over:  # then the headers end where the socket was shut down
            response.close()
            raise fail(TimeoutError())
        return Answer(
            status=response.status_code, headers=response.headers, response=response, fail=fail, call=request.call
        )

    def _failed(self, request: _Request, error: BaseException) -> StorageError:
        fault = request.content.fault if isinstance(request.content, FileContent) else None
        if fault is not None:
            return StorageError(Failure.OUTPUT_MISSING, f"cannot send it: {fault}", transient=False)
        if self._watchdog.closed:
            return CutOff(f"{request.place.shown}: the storage is closed")
        if request.call.late:
            return CutOff(f"{request.place.shown}: given up, it was too slow", silent=True)
        return no_answer(request.place.shown, error)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """A session that nobody else uses meanwhile, with connections that are open already if there are any."""
        proxy = proxy_file()
        identity = None if proxy is None else (proxy, proxy.stat().st_mtime_ns)
        with self._lock:
            held, session = self._sessions.pop() if self._sessions else (identity, None)
        if session is None or held != identity:
            if session is not None:
                session.close()  # the proxy has been renewed
            session = _open_session(proxy)
        try:
            yield session
        finally:
            with self._lock:
                self._sessions.append((identity, session))
            if self._watchdog.closed:
                self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A dataclass, not a struct: those cannot hide a field from their `repr`."""

    method: str
    place: Place
    headers: Headers
    content: Content
    token: str | None = field(repr=False)
    authorization: str | None = field(repr=False)
    call: Call

    def told(self, there: Place) -> dict[str, str | bytes]:
        """The headers for a server: its own for the one that the location names, without a token for all others."""
        headers = dict(self.headers)
        if there.origin == self.place.origin:
            if self.authorization is not None:
                headers["Authorization"] = self.authorization
            elif self.token is not None:
                headers["Authorization"] = f"Bearer {self.token}"
        if self.method == "PUT" and len(self.content):
            headers["Expect"] = "100-continue"
        return headers


def _open_session(proxy: Path | None) -> requests.Session:
    try:
        context = tls_context(proxy)
    except OSError as error:
        detail = f"the certificates that the environment names cannot be used: {error}"
        raise CutOff(detail, transient=False) from error
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # A body packed on its way would be unpacked by nobody: it is the file that counts, and files end in .gz.
    session.headers.update({"User-Agent": "imsim-on-demand", "Accept-Encoding": "identity"})
    for protocol in ("http://", "https://"):
        session.mount(protocol, WatchedAdapter(context))
    return session


def _redirected(named: Place, place: Place, target: str) -> Place:
    try:
        new = place_of(urljoin(place.url, target.partition("#")[0]))
    except (StorageError, ValueError):
        new = None
    if new is None or (place.scheme == "https" and new.scheme != "https"):
        detail = f"{named.shown}: the server sends us to a place that is refused: no web server, or without TLS"
        raise StorageError(Failure.STORAGE_DENIED, detail, transient=False)
    return new


def _refusal(request: _Request, answer: Answer, *, writing: bool) -> StorageError:
    shown, status = request.place.shown, answer.status
    expires_s = None if request.token is None else expiry_of(request.token)
    if status in _REFUSALS and expires_s is not None and expires_s < time.time():
        return StorageError(Failure.CREDENTIAL_EXPIRED, f"{shown}: the bearer token has expired", transient=False)
    words = unescape(answer.read(_WORDS_BYTES).decode("utf-8", errors="replace"))
    error = refusal(shown, status, re.sub(r"\?[^\s;]*", "", words), writing=writing)
    if status in _REFUSALS and request.token is None and proxy_file() is None:
        detail = f"{error}; there is no credential here: BEARER_TOKEN_FILE or X509_USER_PROXY would name one"
        return Refused(error.failure, detail, status=status, transient=False)
    return error


def _finish(answer: Answer) -> None:
    """Take what is left of a short answer, so that the connection can be used again; hang up on a longer one."""
    if answer.response is None:
        return
    with suppress(OSError, HTTPError):
        answer.response.raw.read(_SMALL_BYTES, decode_content=False)
    answer.response.close()
