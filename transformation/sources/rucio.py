"""Inputs that a Rucio server knows: `rucio:SCOPE:NAME`, read from the best of their replicas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from msgspec.structs import replace

from transformation.locations import LocationInvalid, did_of, kind_of
from transformation.model.failures import Failure
from transformation.ports import CatalogError, Expected, Head, KnownFile, Landing, Replica, Source, SourceError

_PREFERRED_SCHEMES = ("file", "root", "roots", "xroot", "davs", "https", "dav", "http")
"""The best first. What is mounted here costs nothing; XRootD says sooner than a web server what is wrong."""
T = TypeVar("T")


class RucioSource:
    """Files by their names in Rucio.

    `known` asks the server for a file by scope and name: one entry for a file, none if there is no such name, several
    for a dataset. It raises `CatalogError`. `inner` fetches the replicas and repeats nothing; those on the storage
    elements `home` are tried first.
    """

    def __init__(
        self, known: Callable[[str, str], Sequence[KnownFile]], inner: Source, *, home: Collection[str]
    ) -> None:
        self._known = known
        self._inner = inner
        self._home = home

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        """See `Source.open_head`; no replica is asked if no bytes are."""
        file = self._file(location)
        head = Head(size_bytes=file.size_bytes, ranges=True, start=b"", adler32=file.adler32)
        if not n_bytes:
            return head

        def look(url: str) -> Head:
            return replace(self._inner.open_head(url, n_bytes), size_bytes=file.size_bytes, adler32=file.adler32)

        return self._first_good(location, file, look)

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        """See `Source.fetch`; size and checksum must be those that the server knows."""
        file = self._file(location)
        _compare(location, file, expected)
        pinned = Expected(
            size_bytes=file.size_bytes,
            adler32=file.adler32 or expected.adler32,
            limit_bytes=expected.limit_bytes,
        )
        self._first_good(location, file, lambda url: self._inner.fetch(url, landing, pinned))

    def close(self) -> None:
        """See `Source.close`; the inner source is closed by who made it."""

    def _file(self, location: str) -> KnownFile:
        try:
            found = self._known(*did_of(location))
        except CatalogError as error:
            raise SourceError(
                Failure.CATALOG_UNREACHABLE, f"{location}: {error.detail}", transient=error.transient
            ) from error
        if not found:
            raise SourceError(Failure.CATALOG_MISSING, f"{location} is not known to Rucio")
        if len(found) > 1:
            raise SourceError(Failure.CATALOG_MISSING, f"{location} is a dataset of {len(found)} files; name one file")
        return found[0]

    def _first_good(self, location: str, file: KnownFile, ask: Callable[[str], T]) -> T:
        """The answer of the best replica that gives one. Raises `SourceError`: the one that is most likely to pass."""
        failed: list[SourceError] = []
        for replica in self._sorted(file.replicas):
            try:
                return ask(replica.url)
            except SourceError as error:
                failed.append(error)
        if not failed:
            raise SourceError(Failure.CATALOG_MISSING, f"{location} has no replica that can be read from here")
        worst = min(failed, key=_hopelessness)
        detail = f"{location}: none of {len(failed)} replicas; {worst.detail}"
        raise SourceError(worst.failure, detail, transient=worst.transient) from worst

    def _sorted(self, replicas: Sequence[Replica]) -> list[Replica]:
        usable = [replica for replica in replicas if _is_usable(replica.url)]
        return sorted(usable, key=lambda one: (one.rse not in self._home, _rank(one.url), one.priority, one.url))


def _compare(location: str, file: KnownFile, expected: Expected) -> None:
    known, wanted = (file.size_bytes, file.adler32), (expected.size_bytes, expected.adler32)
    for what, there, asked in zip(("size", "adler32"), known, wanted, strict=True):
        if asked is not None and there is not None and there != asked:
            detail = f"{location} has {what} {there} in Rucio, not {asked}"
            raise SourceError(Failure.CATALOG_CHANGED, detail)


def _is_usable(url: str) -> bool:
    try:
        return bool(kind_of(url))
    except LocationInvalid:
        return False


def _rank(url: str) -> int:
    return _PREFERRED_SCHEMES.index(url.partition("://")[0].lower() if "://" in url else "file")


def _hopelessness(error: SourceError) -> tuple[bool, bool]:
    return not error.transient, error.failure.needs_a_person
