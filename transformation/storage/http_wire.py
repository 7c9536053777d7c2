"""What `requests` and `urllib3` lack, built into their connections.

Rules of this file
1. Every call has an end by the clock. Time-outs of sockets start anew with each byte, so that a server which trickles
   holds a caller for ever; here a watchdog shuts the socket down, which ends whatever read or write is under way.
2. A body is sent when the server has said that it wants it (`Expect: 100-continue`): one that redirects or refuses does
   so before the first byte, and its answer is not lost in a connection that breaks while we are still sending.
3. Certificates are checked by one context for all; nothing can switch that off.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_TICK_S = 0.1
"""How late the end of a late call may come."""
_CONTINUE_S = 1.0
"""RFC 9110, 10.1.1: a server may not know `Expect`, so its answer is not waited for long."""
_MOST_HEAD_BYTES = 65_536
_WORDS_BYTES = 1000
_INFORMATIONAL, _CONTINUE = range(100, 200), 100


class AnsweredEarly(Exception):
    """The server has answered before the body was sent, and does not want it."""

    def __init__(self, status: int, headers: Mapping[str, str], words: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.words = words
        """The begin of its body, if that is of a known length."""


class Call:
    """One request and its answer, which another thread can end. `end_s` is of `time.monotonic` and may be moved."""

    def __init__(self, *, end_s: float, silence_s: float) -> None:
        self.end_s = end_s
        self.silence_s = silence_s
        self.late = False
        self.over = False
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None

    def hold(self, connection: HTTPConnection) -> None:
        """From now on the call goes over this connection."""
        with self._lock:
            self._connection, self._socket = connection, connection.sock
            if self.over:
                self._shut()

    def end(self, *, late: bool = False) -> None:
        """Whatever waits for the server fails now; harmless after the call's end."""
        with self._lock:
            self.over = True
            self.late = self.late or late
            self._shut()

    def let_go(self) -> None:
        """The call is done; its connection may serve others."""
        with self._lock:
            self._connection = self._socket = None

    def _shut(self) -> None:
        # While TLS is being agreed on, only the connection has the socket; once an answer ends it, only we do.
        for sock in (self._socket, self._connection and self._connection.sock):
            if isinstance(sock, socket.socket):
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # that of `ssl` would not leave TLS as it is


class Watchdog:
    """Ends calls that are late, and all of them when it is closed. Its thread starts with the first call."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.closed = False

    @contextmanager
    def watched(self, call: Call) -> Iterator[None]:
        """While the block runs the call is ended when it is late; requests of this thread belong to it."""
        with self._changed:
            self._calls.add(call)
            if self.closed:
                call.end()
            elif self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="http-watchdog", daemon=True)
                self._thread.start()
            elif len(self._calls) == 1:
                self._changed.notify()
        _this_thread.call = call
        try:
            yield
        finally:
            _this_thread.call = None
            with self._changed:
                self._calls.discard(call)
            call.let_go()

    def close(self) -> None:
        """End all calls and the thread."""
        with self._changed:
            self.closed = True
            for call in self._calls:
                call.end()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self.closed:
                now = time.monotonic()
                for call in self._calls:
                    if call.end_s < now and not call.over:
                        call.end(late=True)
                self._changed.wait(_TICK_S if self._calls else None)


class _ThisThread(threading.local):
    call: Call | None = None


_this_thread = _ThisThread()


class _Watched(HTTPConnection):
    """A connection that belongs to the calling thread's call, and asks before it sends a body."""

    def connect(self) -> None:
        self._belong()
        super().connect()
        self._belong()

    def request(  # type: ignore[override]
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        self._belong()
        if body is None or "Expect" not in (headers or {}):
            super().request(method, url, body=body, headers=headers, **options)
            return
        super().request(method, url, headers=headers, **options)  # the length is among the headers
        self._belong()
        if self._is_wanted():
            for block in body:
                self.send(block)

    def _belong(self) -> None:
        call = _this_thread.call
        if call is not None:
            if self.sock is not None:
                self.sock.settimeout(call.silence_s)
            call.hold(self)

    def _is_wanted(self) -> bool:
        """True unless the server says no. Raises `AnsweredEarly`."""
        while True:
            head = self._read_head()
            if head is None:
                return True
            line, _, rest = head.partition(b"\r\n")
            words = line.split(None, 2)
            if len(words) < 2 or not words[1].isdigit():
                raise http.client.BadStatusLine(repr(line[:100]))
            status = int(words[1])
            if status == _CONTINUE:
                return True
            if status not in _INFORMATIONAL:
                headers = CaseInsensitiveDict(http.client.parse_headers(io.BytesIO(rest)).items())
                raise AnsweredEarly(status, headers, self._read_words(headers.get("Content-Length", "")))

    def _read_words(self, length: str) -> bytes:
        words = b""
        while length.isdigit() and (left_bytes := min(int(length), _WORDS_BYTES) - len(words)) > 0:
            block = self.sock.recv(left_bytes)
            if not block:
                break
            words += block
        return words

    def _read_head(self) -> bytes | None:
        """The head of the next answer; None if none comes. Byte by byte: what follows is the library's to read."""
        sock = self.sock
        patience_s = sock.gettimeout()
        head = bytearray()
        sock.settimeout(_CONTINUE_S)
        try:
            while not head.endswith(b"\r\n\r\n"):
                byte = sock.recv(1)
                if not byte or len(head) > _MOST_HEAD_BYTES:
                    raise http.client.RemoteDisconnected("the server closed the connection without an answer")
                head += byte
                sock.settimeout(patience_s)
        except TimeoutError:
            if head:
                raise
            return None
        finally:
            sock.settimeout(patience_s)
        return bytes(head)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


_POOLS = {"http": _Pool, "https": _TlsPool}


class WatchedAdapter(HTTPAdapter):
    """Puts such connections under a `requests.Session`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=8, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **settings: Any) -> None:
        """See `HTTPAdapter`."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **settings)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """See `HTTPAdapter`."""
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **settings)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
        """See `HTTPAdapter`. The context knows whom to trust; the library would add authorities of its own."""
        conn.cert_reqs = "CERT_REQUIRED"
