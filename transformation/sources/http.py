"""Inputs from web servers and WebDAV doors: `http(s)://` and `dav(s)://`.

Rules of this file
1. An answer is whole when its end can be told from a broken connection, and its length and digests agree with what the
   server said. Where the server says neither, the file is read a second time and must be the same.
2. A broken transfer is gone on with (`Range` with `If-Range`) only where server or request can tell that the bytes so
   far are still those of the file; else it begins anew.
3. Catalogs come from anywhere, so a bearer token goes to a server only over https and only after it has refused to
   answer without one. A user and password of the location go to that server alone. Never to where it redirects us.
4. However slowly an answer trickles in, it has an end: a first while, and then a time that each byte earns.
   Nothing is repeated here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from isal import isal_zlib

from transformation.locations import redacted, scrubbed, without_user
from transformation.model.failures import Failure
from transformation.ports import Expected, Head, Landing, Missing, SourceError, StorageError
from transformation.sources.checks import (
    adler32_in,
    adler32_of,
    check_file,
    check_size,
    disk_error,
    page,
    refuse_page,
    too_large,
)
from transformation.sources.http_answer import NOT_IN_RANGE, REFUSALS, Answer, read_answer
from transformation.storage.http_client import Answer as Reply
from transformation.storage.http_client import HttpClient, Limits
from transformation.storage.http_credentials import bearer_token
from transformation.storage.http_errors import Refused
from transformation.storage.http_place import Place, place_of

_NOT_ALLOWED = 405
_PINNED = "pinned"
"""A `Landing.version` for bytes that the request itself can tell from others, by their checksum."""
_WANT_DIGEST = "adler32, sha-256;q=0.5, md5;q=0.3"
LIMITS = Limits(connect_s=10.0, silence_s=30.0, base_s=120.0, slowest_bytes_per_s=50_000.0)


class HttpSource:
    """Files of web servers, for any number of threads. `token` gives the bearer token of the moment."""

    def __init__(self, *, limits: Limits = LIMITS, token: Callable[[], str | None] = bearer_token) -> None:
        self._limits = limits
        self._token = token
        self._client = HttpClient(limits=limits, token=lambda: None)
        self._known_client = HttpClient(limits=limits, token=token)
        self._without_digests: set[str] = set()

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        """See `Source.open_head`: one request for a range, which servers without ranges answer with the whole file."""
        wanted_bytes = max(n_bytes, 1)
        try:
            return self._head(location, {"Range": f"bytes=0-{wanted_bytes - 1}"}, n_bytes)
        except _NotInRange:  # an empty file has none
            return self._head(location, {}, n_bytes)
        except SourceError as error:
            if not error.transient:
                raise
            # XRootD's door (5.5.3) promises, of a range that ends behind the file, bytes that it does not have.
            return self._head(location, {}, n_bytes)

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        """See `Source.fetch`."""
        try:
            digests = self._bring(location, landing, expected)
            landing.version = ""  # whole, or good for nothing
            check_file(location, landing.partial, expected, digests)
            landing.partial.replace(landing.path)
        except _NotInRange:
            landing.version = ""
            raise _broken(location, "the file is shorter than the server said") from None
        except OSError as error:  # those of the network have become `SourceError`
            landing.version = ""
            raise disk_error(location, error) from error
        except SourceError as error:
            if not error.transient:
                landing.version = ""
            raise
        finally:
            if not landing.version:
                landing.partial.unlink(missing_ok=True)

    def close(self) -> None:
        """See `Source.close`."""
        self._client.close()
        self._known_client.close()

    # -- one transfer

    def _head(self, location: str, headers: dict[str, str], n_bytes: int) -> Head:
        start = b""
        with self._answered(location, headers) as (reply, answer):
            for block in _blocks(location, reply, self._limits):
                start += block
                if len(start) >= n_bytes:
                    break
        refuse_page(location, start)
        return Head(
            size_bytes=answer.size_bytes,
            ranges=answer.is_part,
            start=start[:n_bytes],
            adler32=adler32_in(answer.digests),
        )

    def _bring(self, location: str, landing: Landing, expected: Expected) -> Mapping[str, str]:
        """Fetch what is missing of the file; the digests that the server gives for it."""
        held_bytes = _held_bytes(landing)
        # With its end where that is known: XRootD's door (5.5.3) answers a range without one with nothing.
        end = "" if expected.size_bytes is None else expected.size_bytes - 1
        headers = {"Range": f"bytes={held_bytes}-{end}"} if held_bytes else {}
        if held_bytes and landing.version != _PINNED:
            headers["If-Range"] = landing.version
        with self._answered(location, headers) as (reply, answer):
            if answer.first_byte not in {0, held_bytes}:
                landing.version = ""
                raise _broken(location, "the server sends another part than it was asked for")
            check_size(location, answer.size_bytes, expected)
            landing.version = answer.version or (_PINNED if expected.is_pinned else "")
            received_bytes = self._receive(location, reply, answer, landing.partial, expected)
        if answer.size_bytes is not None and received_bytes != answer.size_bytes:
            raise _broken(location, f"the connection broke after {received_bytes:,} of {answer.size_bytes:,} bytes")
        if not (answer.is_framed or answer.digests or expected.size_bytes is not None):
            self._read_again(location, landing.partial)
        return answer.digests

    def _receive(self, location: str, reply: Reply, answer: Answer, path: Path, expected: Expected) -> int:
        """Write the body behind what is there already; the bytes that the file has then."""
        total_bytes = answer.first_byte
        with path.open("r+b" if total_bytes else "wb") as file:
            file.seek(total_bytes)
            file.truncate()
            for block in _blocks(location, reply, self._limits):
                total_bytes += len(block)
                if total_bytes > expected.limit_bytes:
                    raise too_large(location, total_bytes, expected)
                file.write(block)
        return total_bytes

    def _read_again(self, location: str, path: Path) -> None:
        """For a server that tells no length: what is read twice and the same did not break off by chance."""
        checksum, n_bytes = 1, 0
        with self._answered(location, {}) as (reply, _):
            for block in _blocks(location, reply, self._limits):
                checksum, n_bytes = isal_zlib.adler32(block, checksum), n_bytes + len(block)
        if (n_bytes, f"{checksum:08x}") != (path.stat().st_size, adler32_of(path)):
            path.unlink()
            raise _broken(location, "the server tells no length, and two readings of the file differ")

    # -- requests

    @contextmanager
    def _answered(self, location: str, headers: dict[str, str]) -> Iterator[tuple[Reply, Answer]]:
        """The server's answer to a GET. Raises `SourceError`."""
        plain, user = without_user(location)
        authorization = None if user is None else f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
        try:
            place = place_of(plain)
            with self._asked(place, {"Want-Digest": _WANT_DIGEST, **headers}, authorization) as reply:
                answer = read_answer(location, reply.status, reply.headers)
                if answer.is_page:
                    raise page(location)
                yield reply, answer
        except StorageError as error:
            raise _as_source_error(location, error) from error

    @contextmanager
    def _asked(self, place: Place, headers: dict[str, str], authorization: str | None) -> Iterator[Reply]:
        """With a token if the server asks for one and may have it. Raises `StorageError`."""
        if place.authority in self._without_digests:
            headers.pop("Want-Digest", None)
        clients = [self._client]
        if authorization is None and place.scheme == "https" and self._token() is not None:
            clients.append(self._known_client)
        for client in clients:
            try:
                with client.ask("GET", place, headers=headers, authorization=authorization) as reply:
                    yield reply
                    return
            except Refused as error:
                if error.status == _NOT_ALLOWED and headers.pop("Want-Digest", ""):
                    # So XRootD's door says that it computes no checksums; its files can be had all the same.
                    self._without_digests.add(place.authority)
                    with self._asked(place, headers, authorization) as reply:
                        yield reply
                    return
                if error.status not in REFUSALS or client is clients[-1]:
                    raise


class _NotInRange(Exception):
    """The file has no such part."""


def _blocks(location: str, reply: Reply, limits: Limits) -> Iterator[bytes]:
    """The body as it comes; each byte earns it more time. Raises `SourceError`."""
    try:
        for block in reply.blocks():
            reply.call.end_s += len(block) / limits.slowest_bytes_per_s
            yield block
    except StorageError as error:
        raise _as_source_error(location, error) from error


def _held_bytes(landing: Landing) -> int:
    """What an earlier try has left that can be gone on with."""
    with suppress(FileNotFoundError):
        return landing.partial.stat().st_size if landing.version else 0
    return 0


def _broken(location: str, problem: str) -> SourceError:
    return SourceError(Failure.CATALOG_UNREACHABLE, f"{redacted(location)}: {problem}", transient=True)


def _as_source_error(location: str, error: StorageError) -> Exception:
    if isinstance(error, Refused) and error.status == NOT_IN_RANGE:
        return _NotInRange()
    detail = scrubbed(error.detail, location)
    with suppress(StorageError):  # named as the request names it
        detail = detail.replace(place_of(without_user(location)[0]).shown, redacted(location), 1)
    if isinstance(error, Refused) and str(error.status) not in detail:
        detail = f"{detail} (status {error.status})"
    if isinstance(error, Missing) or error.failure is Failure.STORAGE_DENIED:
        return SourceError(Failure.CATALOG_MISSING, detail)
    failure = error.failure if error.failure is Failure.STORAGE_UNKNOWN else Failure.CATALOG_UNREACHABLE
    return SourceError(failure, detail, transient=error.transient)
