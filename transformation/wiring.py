"""Which adapter serves what: the only module that knows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from site_configs.load import SiteInvalid, expand, load_site
from site_configs.schema import Rucio, Site
from transformation.bases import address_of, endpoint_of
from transformation.layout import JobPlace, place_of
from transformation.locations import Kind, redacted
from transformation.model.failures import Failure, JobError
from transformation.patience import Patience
from transformation.ports import Catalog, Retry, Source, SourceError, Storage

if TYPE_CHECKING:
    # Most who open a storage read no catalog: their start is not to pay for what reads them.
    from transformation.fetching import Note
    from transformation.inputs import Inputs
    from transformation.request import Request
    from transformation.simulator.release import Sidecar
    from transformation.storage.xrootd import XRootDStorage
    from transformation.targets import Targets
    from transformation.workdir import WorkDir

_MB = 1_000_000
_XROOTD_PORT = 1094


def open_site(name: str) -> Site:
    """The site of that name or file. Raises `JobError` SITE_INVALID."""
    try:
        return load_site(name)
    except SiteInvalid as error:
        raise JobError(Failure.SITE_INVALID, f"--site: {error}") from None


def release_roots(site: Site, environment: Mapping[str, str]) -> list[Path]:
    """Where to look for releases: `IOD_RELEASES`, a path list, before the site's own roots."""
    override = environment.get("IOD_RELEASES")
    roots = override.split(os.pathsep) if override else [expand(root) for root in site.releases.roots]
    return [Path(root) for root in roots if root]


def sidecars(site: Site) -> dict[str, Sidecar]:
    """What the site says of installed simulators that have no `release.json`, by release name."""
    from transformation.simulator.release import Sidecar

    return {name: Sidecar(tree=Path(expand(one.tree)), facts=one.facts) for name, one in site.releases.sidecars.items()}


_XROOTD = frozenset(Kind.XROOTD.value)
_HTTP = frozenset(Kind.HTTP.value)


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a storage is used, beyond its location."""

    logs: Path | None = None
    """What its libraries print goes there."""
    note: Callable[[Retry], None] = lambda _: None
    """Gets every repeated call, maybe several at once."""
    hurried: bool = False
    """Short time-outs: there is another destination to go to."""
    straight: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Data servers to be used instead of redirectors: `HOST:PORT` of both."""


_USUAL = Manner()
_HASTE = Patience(tries=3, total_s=5.0, first_wait_s=0.2, longest_wait_s=1.0, quick_s=2.0)
"""Where another destination is left."""


def storage_for(base: str, manner: Manner = _USUAL) -> Storage:
    """The storage that holds a location; to be closed. Raises `JobError` STORAGE_UNKNOWN."""
    return storages_for(base, manner)[0]


def storages_for(base: str, manner: Manner = _USUAL) -> tuple[Storage, Storage]:
    """The same storage with its usual patience, and with little; closing one closes both. Raises `JobError`."""
    scheme, found, _ = base.partition("://")
    if not found or scheme == "file":
        from transformation.storage.file import FileStorage

        storage = FileStorage()
        return storage, storage
    if scheme in _XROOTD:
        from transformation.storage.retrying import RetryingStorage

        inner = _bare_xrootd(manner)
        return RetryingStorage(inner, note=manner.note), RetryingStorage(inner, note=manner.note, patience=_HASTE)
    if scheme in _HTTP:
        from transformation.storage.http import HURRIED_LIMITS, LIMITS, HttpStorage
        from transformation.storage.retrying import RetryingStorage

        door = HttpStorage(limits=HURRIED_LIMITS if manner.hurried else LIMITS)
        return RetryingStorage(door, note=manner.note), RetryingStorage(door, note=manner.note, patience=_HASTE)
    known = ", ".join(["file", *sorted({*_XROOTD, *_HTTP})])
    raise JobError(Failure.STORAGE_UNKNOWN, f"no storage adapter for '{scheme}:' ({redacted(base)}); known: {known}")


def _bare_xrootd(manner: Manner) -> XRootDStorage:
    from transformation.storage.xrootd import HURRIED, HURRIED_LIMIT, WallLimit, XRootDStorage

    if find_spec("XRootD") is None:
        raise JobError(Failure.STORAGE_UNKNOWN, "root: locations need the Python package 'xrootd' (pip install xrootd)")
    return XRootDStorage(
        log=Path(os.devnull) if manner.logs is None else manner.logs / "xrootd_mover.err",
        client_settings=HURRIED if manner.hurried else None,
        wall_limit=HURRIED_LIMIT if manner.hurried else WallLimit(),
        straight=manner.straight,
    )


def source_for(site: Site, logs: Path | None = None, note: Callable[[Retry], None] = lambda _: None) -> Source:
    """Where inputs are read from, of whatever kind their locations are; to be closed.

    What its libraries print goes to `logs`, if that is there; `note` gets every repeated call, maybe several at once.
    """
    from transformation.sources.file import FileSource
    from transformation.sources.routing import RetryingSource, RoutingSource

    def rucio() -> Source:
        return _rucio_source(site, plain)

    plain = RoutingSource(
        {
            Kind.FILE: FileSource,
            Kind.HTTP: _http_source,
            Kind.XROOTD: lambda: _xrootd_source(logs),
            Kind.RUCIO: rucio,
        }
    )
    return RetryingSource(plain, note=note)


def inputs_for(request: Request, site: Site, workdir: WorkDir, note: Note | None = None) -> Inputs:
    """The files of a request, to be brought to the work folder. `note` gets the events of the journal."""
    from transformation.fetching import keep_silent
    from transformation.input_cache import InputCache
    from transformation.inputs import Inputs, sizes_for

    tell = note or keep_silent
    sizes, worker = sizes_for(request.spec, site), site.worker
    cache = None
    if worker.cache:
        cache = InputCache(
            Path(expand(worker.cache)),
            limit_bytes=int(worker.cache_mb * _MB),
            note=lambda problem: tell("cache_skipped", problem=problem),
        )

    def note_retry(retry: Retry) -> None:
        tell("input_retry", location=retry.url, tried=retry.tried, wait_s=retry.wait_s, problem=retry.problem)

    return Inputs(
        base=request.base,
        folder=workdir.inputs / "fetched",
        open_source=lambda: source_for(site, workdir.logs, note_retry),
        sizes=sizes,
        cache=cache,
        note=tell,
    )


def _http_source() -> Source:
    from transformation.sources.http import HttpSource

    return HttpSource()


def _xrootd_source(logs: Path | None) -> Source:
    from transformation.sources.xrootd import XRootDSource

    there = logs is not None and logs.is_dir()  # a spec is fetched before the work folder is made
    return XRootDSource(_bare_xrootd(Manner(logs=logs if there else None)))


def _rucio_source(site: Site, replicas: Source) -> Source:
    settings = site.catalog.rucio
    if settings is None:
        detail = f"site {site.name} has no table [catalog.rucio], which rucio: locations need"
        raise SourceError(Failure.STORAGE_UNKNOWN, detail)
    if find_spec("rucio") is None:
        raise SourceError(Failure.STORAGE_UNKNOWN, "rucio: locations need rucio-clients, which is not installed here")
    from transformation.catalog.rucio_replicas import RucioReplicas
    from transformation.sources.rucio import RucioSource

    home = {settings.rse, *(endpoint.rse for endpoint in site.storage.endpoints if endpoint.rse)}
    return RucioSource(RucioReplicas(settings).known, replicas, home=home)


def catalog_for(site: Site, place: JobPlace, folder: Path | None = None) -> Catalog | None:
    """Where a job's images are registered; None if the site registers nothing. Raises `JobError` SITE_INVALID.

    An SQLite catalog of images that are not on a local disk is kept in `folder`, the job's work folder (default: here).
    """
    if site.catalog.kind == "none":
        return None
    from transformation.catalog.retrying import RetryingCatalog

    settings = site.catalog.rucio
    if site.catalog.kind == "rucio" and settings:
        catalog = _rucio(site, settings, place)
    else:
        catalog = _sqlite(site, place, folder or Path.cwd())
    return RetryingCatalog(catalog, patience_s=site.catalog.patience_s)


def targets_for(
    bases: Sequence[str], site: Site, *, user: str, job: str, folder: Path, manner: Manner = _USUAL
) -> Targets:
    """The destinations of a job, to be closed; those that share a catalog share the object. Raises `JobError`."""
    from transformation.targets import Target, Targets

    targets: list[Target] = []
    for base in bases:
        endpoint, place = endpoint_of(site, base), JobPlace(base=base, user=user, job=job)
        storage, hasty = storages_for(base, replace(manner, hurried=len(bases) > 1, straight=_straight(site)))
        catalog = catalog_for(site, place, folder)
        known = (one.catalog for one in targets if one.catalog and catalog and one.catalog.place == catalog.place)
        targets.append(
            Target(
                place=place,
                storage=storage,
                hasty=hasty,
                catalog=next(known, catalog),
                credential=endpoint.credential if endpoint else None,
                trusted=bool(endpoint and (endpoint.one_namespace or endpoint.single_writer)),
            )
        )
    return Targets(targets)


def _straight(site: Site) -> dict[str, str]:
    """Data servers by redirector, `HOST:PORT` of both."""
    declared = {address_of(one.url): one.data_server for one in site.storage.endpoints if one.data_server}
    hosts = {url.partition("://")[2].partition("/")[0]: server for url, server in declared.items()}
    return {host if ":" in host else f"{host}:{_XROOTD_PORT}": server for host, server in hosts.items()}


def catalog_of(location: str, site_name: str) -> tuple[str, Catalog]:
    """A destination folder that a person names, made absolute, and the catalog of its images. Raises `JobError`."""
    site = open_site(site_name)
    absolute = location if "://" in location else str(Path(location).absolute())
    found = place_of(absolute)
    if found is None:
        raise JobError(Failure.USAGE, f"{absolute} is not BASE/USER/JOBNAME or a visit below it")
    catalog = catalog_for(site, found[0])
    if catalog is None:
        raise JobError(Failure.SITE_INVALID, f"site {site.name} has no catalog")
    return absolute, catalog


def gather_s(site: Site) -> float:
    """How long a finished unit may wait for others to be registered in one call."""
    if site.catalog.gather_s is not None:
        return site.catalog.gather_s
    return 60.0 if site.catalog.kind == "rucio" else 0.0


def _sqlite(site: Site, place: JobPlace, folder: Path) -> Catalog:
    from transformation.catalog.sqlite import SqliteCatalog
    from transformation.storage.file import local_path

    if site.catalog.path:
        return SqliteCatalog(Path(expand(site.catalog.path)))
    beside = not place.base.startswith(tuple(f"{scheme}:" for scheme in _XROOTD | _HTTP))
    return SqliteCatalog((local_path(place.base) if beside else folder) / "catalog.sqlite")


def _rucio(site: Site, settings: Rucio, place: JobPlace) -> Catalog:
    if find_spec("rucio") is None:
        raise JobError(Failure.SITE_INVALID, "this site registers in Rucio, and rucio-clients is not installed here")
    from transformation.catalog.rucio import RucioCatalog

    rses = {address_of(expand(one.url)): one.rse for one in site.storage.endpoints if one.rse}
    return RucioCatalog(settings, user=place.user, rses=rses)
