"""The files of a request: each is found, checked, and if it is elsewhere brought here, before any is read."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

from site_configs.schema import Site
from transformation.fetching import FetchFailed, Note, Wanted, fetch_all, keep_silent
from transformation.input_cache import InputCache
from transformation.instance_catalog import SizeLimits
from transformation.instance_catalog.includes import beside as beside_locally
from transformation.instance_catalog.includes import missing, names_in
from transformation.locations import (
    Kind,
    LocationInvalid,
    LocationUnknown,
    beside,
    file_name,
    kind_of,
    redacted,
    resolve,
)
from transformation.model.failures import Failure, JobError
from transformation.model.spec import CatalogItem, JobSpec, catalog_item
from transformation.ports import Expected, Source

LARGEST_COMMANDS_BYTES = 1_000_000
_FAILURE_OF_COMMANDS = {
    Failure.CATALOG_MISSING: Failure.COMMANDS_INVALID,
    Failure.CATALOG_TOO_LARGE: Failure.COMMANDS_INVALID,
    Failure.CATALOG_INVALID: Failure.COMMANDS_INVALID,
}


class Inputs:
    """Where each file of a request is on this machine, once `bring` is through.

    `base` is the folder, here or elsewhere, that relative locations are relative to. Copies are kept in `folder` until
    `close`. `note` gets an event for each file that was fetched.
    """

    def __init__(
        self,
        *,
        base: str,
        folder: Path,
        open_source: Callable[[], Source],
        sizes: SizeLimits,
        cache: InputCache | None = None,
        note: Note = keep_silent,
    ) -> None:
        self.sizes = sizes
        self._base = base
        self._folder = folder
        self._open_source = open_source
        self._cache = cache
        self._note = note
        self._copies: dict[tuple[str, Expected], Path] = {}
        self._origins: dict[Path, str] = {}
        """Of the copies of catalogs."""
        self._missing: set[str] = set()

    def bring(self, spec: JobSpec) -> None:
        """Fetch what is elsewhere: all catalogs and command files, then all that those catalogs include.

        Raises `JobError`: nothing was started then, and one file speaks for all.
        """
        if spec.options.seds is not None:
            self.folder_of_seds(spec.options.seds)
        visits = spec.visit_items()
        commands = [entry for visit in visits for entry in visit.commands or [] if isinstance(entry, str)]
        catalogs = [catalog_item(entry) for visit in visits for entry in visit.catalogs]
        wanted = [self._wanted("catalogs", item.url, self._expected(item)) for item in catalogs]
        wanted += [self._wanted("commands", entry, _COMMANDS) for entry in commands if "$" not in entry]
        if not any(wanted):
            return
        source = self._open_source()
        try:
            self._fetch(source, wanted)
            self._origins = {one.path: one.location for one in wanted if one and one.key == "catalogs"}
            self._fetch(source, [self._included(path, name) for path in self._origins for name in self._names(path)])
        finally:
            source.close()

    def catalog(self, item: CatalogItem) -> Path:
        """The catalog on this machine, of the size and checksum that the request gives. Raises `JobError`."""
        location = self._resolved("catalogs", item.url)
        if kind_of(location) is not Kind.FILE:
            return self._copies[location, self._expected(item)]
        return _checked(item, Path(location), self.sizes)

    def commands(self, location: str) -> Path:
        """The command file on this machine, if it is there. Raises `JobError`."""
        resolved = self._resolved("commands", location)
        return Path(resolved) if kind_of(resolved) is Kind.FILE else self._copies[resolved, _COMMANDS]

    def folder_of_seds(self, location: str) -> Path:
        """The folder of the job's own spectra, which must be on this machine. Raises `JobError`."""
        resolved = self._resolved("options.seds", location)
        return local_path(resolved, Path(), "options.seds")

    def include(self, catalog: Path, name: str) -> Path:
        """The file of that name beside the catalog; see `read_instance_catalogs`."""
        origin = self._origins.get(catalog)
        if origin is None:
            return beside_locally(catalog, name)
        wanted = self._included(catalog, name)
        if wanted is None or wanted.location in self._missing:
            raise missing(name)
        return wanted.path

    def close(self) -> None:
        """Remove the copies: what the simulator needs of them stands elsewhere."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fetch(self, source: Source, wanted: list[Wanted | None]) -> None:
        chosen = {one.path: one for one in wanted if one is not None}
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._missing |= fetch_all(source, list(chosen.values()), self._cache, self._note)
        except FetchFailed as failed:
            failure, detail = failed.cause.failure, f"'{failed.wanted.key}': {failed.cause.detail}"
            if failed.wanted.key == "commands":
                failure = _FAILURE_OF_COMMANDS.get(failure, failure)
            raise JobError(failure, detail) from None

    def _wanted(self, key: str, location: str, expected: Expected, *, may_be_missing: bool = False) -> Wanted | None:
        """What to fetch for a location; None if it is on this machine. Raises `JobError`."""
        resolved = self._resolved(key, location)
        if kind_of(resolved) is Kind.FILE:
            return None
        path = self._folder / f"{len(self._copies):04d}-{file_name(resolved)}"
        path = self._copies.setdefault((resolved, expected), path)
        return Wanted(key=key, location=resolved, path=path, expected=expected, may_be_missing=may_be_missing)

    def _included(self, catalog: Path, name: str) -> Wanted | None:
        try:
            location = beside(self._origins[catalog], name)
        except LocationInvalid:  # no name for a file in Rucio
            return None
        return self._wanted("catalogs", location, Expected(limit_bytes=self.sizes.file_bytes), may_be_missing=True)

    def _names(self, catalog: Path) -> list[str]:
        return list(dict.fromkeys(names_in(catalog, self.sizes)))

    def _expected(self, item: CatalogItem) -> Expected:
        adler32 = item.adler32.lower() if item.adler32 else None
        return Expected(size_bytes=item.size, adler32=adler32, limit_bytes=self.sizes.file_bytes)

    def _resolved(self, key: str, location: str) -> str:
        return _resolved(key, location, self._base)


def sizes_for(spec: JobSpec, site: Site) -> SizeLimits:
    """How large a catalog may be, packed and unpacked: as the request says, else the site."""
    limits, worker = spec.limits, site.worker
    return SizeLimits(
        file_bytes=_bytes(limits.max_catalog_mb or worker.max_catalog_mb),
        unpacked_bytes=_bytes(limits.max_unpacked_mb or worker.max_unpacked_mb),
    )


def _bytes(megabytes: float) -> int:
    """TOML can write an infinite number of them."""
    return int(min(megabytes * 1e6, 2.0**62))


_COMMANDS = Expected(limit_bytes=LARGEST_COMMANDS_BYTES)


def local_path(location: str, folder: Path, key: str) -> Path:
    """The path that a location of the spec means on this machine. Raises `JobError` for other kinds of location."""
    resolved = _resolved(key, location, str(folder))
    if kind_of(resolved) is not Kind.FILE:
        raise JobError(Failure.STORAGE_UNKNOWN, f"'{key}': {redacted(location)} is not on this machine")
    return Path(resolved)


def _resolved(key: str, location: str, base: str) -> str:
    try:
        return resolve(location, base)
    except LocationUnknown as error:
        raise JobError(Failure.STORAGE_UNKNOWN, f"'{key}': {error}") from None
    except LocationInvalid as error:
        raise JobError(Failure.SPEC_INVALID, f"'{key}': {error}") from None


def _checked(item: CatalogItem, path: Path, sizes: SizeLimits) -> Path:
    """The catalog on a disk of this machine, if it is what the request says. Raises `JobError`."""
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise JobError(Failure.CATALOG_MISSING, f"catalog {item.url} is not a file")
        if item.size is not None and size_bytes != item.size:
            detail = f"catalog {item.url} has {size_bytes:,} bytes, not {item.size:,}"
            raise JobError(Failure.CATALOG_CHANGED, detail)
        if size_bytes > sizes.file_bytes:
            detail = f"catalog {item.url} has {size_bytes:,} bytes; {sizes.file_bytes:,} are allowed"
            raise JobError(Failure.CATALOG_TOO_LARGE, detail)
        if item.adler32 is not None and (found := _adler32(path)) != item.adler32.lower():
            detail = f"catalog {item.url} has adler32 {found}, not {item.adler32.lower()}"
            raise JobError(Failure.CATALOG_CHANGED, detail)
    except (FileNotFoundError, NotADirectoryError):
        raise JobError(Failure.CATALOG_MISSING, f"catalog {item.url} does not exist ({path})") from None
    except OSError as error:
        raise JobError(Failure.CATALOG_UNREACHABLE, f"catalog {item.url}: {error.strerror}") from None
    return path


def _adler32(path: Path) -> str:
    value = 1
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            value = zlib.adler32(chunk, value)
    return f"{value:08x}"
