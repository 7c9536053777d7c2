"""Catalogs that workers could not reach, or that all of them would fetch from one web server: copied once, and pinned.

A copy keeps its file name and stands in a folder of its own with the files that it includes, since these are looked for
beside it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from submitter.catalogs import CatalogReader, adler32_of
from submitter.records import inputs_url
from transformation.instance_catalog import SizeLimits, includes
from transformation.layout import JobPlace
from transformation.locations import Kind, file_name, kind_of, local_path
from transformation.model.failures import Failure, JobError
from transformation.model.spec import CatalogItem, InlineCommands, JobSpec, VisitItem, catalog_item
from transformation.ports import Storage, StorageError

MANY_FETCHES = 1_000
"""PanDA jobs of a request from which on catalogs on web servers are copied."""
_LONGEST_INLINE = 20_000
"""Characters of a local command file that travel in the spec itself."""
_COPIES_AT_ONCE = 8
_THIS_HOST = re.compile(r"localhost|127(\.\d+){3}|::1")


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One file to be copied."""

    path: Path
    """On this machine."""
    url: str
    """Where it goes."""
    size_bytes: int
    adler32: str


def localise_commands(spec: JobSpec, reader: CatalogReader) -> JobSpec:
    """The spec with the text of command files that only this machine has. Raises `JobError`."""

    def inline(items: Sequence[str | InlineCommands]) -> list[str | InlineCommands]:
        return [
            InlineCommands(inline=reader.read_small(item, _LONGEST_INLINE).decode("utf-8", "replace"))
            if isinstance(item, str) and "$" not in item and is_out_of_reach(item)
            else item
            for item in items
        ]

    visits = spec.visits and [
        VisitItem(catalogs=item.catalogs, commands=None if item.commands is None else inline(item.commands))
        for item in spec.visits
    ]
    return msgspec.structs.replace(spec, commands=inline(spec.commands), visits=visits)


def is_out_of_reach(location: str) -> bool:
    """Whether workers elsewhere cannot fetch it."""
    if kind_of(location) is Kind.FILE:
        return True
    return _THIS_HOST.fullmatch(urlsplit(location).hostname or "") is not None


class Copies:
    """The copies that a request needs: decided while its spec is rewritten, made later."""

    def __init__(self, place: JobPlace, reader: CatalogReader, folder: Path, *, n_jobs: int) -> None:
        """`folder` takes what has to be fetched first; `n_jobs` is how many PanDA jobs will read the catalogs."""
        self._place = place
        self._reader = reader
        self._folder = folder
        self._n_jobs = n_jobs
        self._done: dict[str, CatalogItem] = {}
        self.copies: list[Copy] = []

    def rewrite(self, spec: JobSpec) -> JobSpec:
        """The spec with copies, size and checksum known, in place of what has to be copied. Raises `JobError`."""
        visits = spec.visits and [
            msgspec.structs.replace(item, catalogs=self._items(item.catalogs)) for item in spec.visits
        ]
        catalogs = spec.catalogs and self._items(spec.catalogs)
        return msgspec.structs.replace(spec, catalogs=catalogs, visits=visits)

    def make(self, storage: Storage, tell: Callable[[int, int], None] = lambda _done, _all: None) -> None:
        """Copy all; one that is there already is left alone. Raises `StorageError`, `JobError`."""
        with ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="copies") as pool:
            for number, _ in enumerate(pool.map(lambda copy: _put(storage, copy), self.copies), start=1):
                tell(number, len(self.copies))

    def _items(self, items: Sequence[str | CatalogItem]) -> list[str | CatalogItem]:
        return [self._item(entry) for entry in items]

    def _item(self, entry: str | CatalogItem) -> str | CatalogItem:
        item = catalog_item(entry)
        many = self._n_jobs >= MANY_FETCHES and kind_of(item.url) is Kind.HTTP
        if not (many or is_out_of_reach(item.url)):
            return entry
        if item.url not in self._done:
            self._done[item.url] = self._copy(item)
        return self._done[item.url]

    def _copy(self, item: CatalogItem) -> CatalogItem:
        if kind_of(item.url) is Kind.FILE:
            path = local_path(item.url, Path())
            source = str(path.parent)
        else:
            path = self._folder / f"{len(self._done):06d}-{file_name(item.url)}"
            source = item.url.rpartition("/")[0]
            self._reader.fetch(item, path)
        group = f"{zlib.crc32(source.encode()):08x}"
        copy = _copy_of(path, inputs_url(self._place, group, file_name(item.url)))
        if item.adler32 is not None and item.adler32.lower() != copy.adler32:
            detail = f"catalog {item.url} has adler32 {copy.adler32}, not {item.adler32.lower()}"
            raise JobError(Failure.CATALOG_CHANGED, detail)
        self.copies.append(copy)
        self.copies += self._includes(item.url, path, group)
        return CatalogItem(url=copy.url, adler32=copy.adler32, size=copy.size_bytes)

    def _includes(self, url: str, path: Path, group: str) -> Iterator[Copy]:
        for name in dict.fromkeys(includes.names_in(path, SizeLimits())):
            try:
                if kind_of(url) is Kind.FILE:
                    included = includes.beside(path, name)
                else:
                    included = self._reader.fetch_beside(url, name, self._folder)
            except FileNotFoundError:
                raise JobError(Failure.CATALOG_MISSING, f"{url} includes {name}, which is not there") from None
            yield _copy_of(included, inputs_url(self._place, group, *name.split("/")))


def _copy_of(path: Path, url: str) -> Copy:
    try:
        return Copy(path=path, url=url, size_bytes=path.stat().st_size, adler32=adler32_of(path))
    except OSError as error:
        raise JobError(Failure.CATALOG_UNREACHABLE, f"catalog {path}: {error.strerror}") from None


def _put(storage: Storage, copy: Copy) -> None:
    """Copy a file, and ask the far end what it holds. Raises `StorageError`."""
    if not _is_there(storage, copy):
        storage.put(copy.path, copy.url)
        if not _is_there(storage, copy):
            detail = f"{copy.url} is not what {copy.path} was when it was checked"
            raise StorageError(Failure.CATALOG_CHANGED, detail, transient=False)


def _is_there(storage: Storage, copy: Copy) -> bool:
    found = storage.stat(copy.url)
    return found is not None and found.size_bytes == copy.size_bytes and storage.adler32(copy.url) == copy.adler32
