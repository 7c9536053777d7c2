"""Which adapter serves what: the only module that knows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from site_configs.load import SiteInvalid, expand, load_site
from site_configs.schema import Rucio, Site
from transformation.layout import JobPlace, place_of
from transformation.model.failures import Failure, JobError
from transformation.ports import Catalog, Retry, Storage
from transformation.simulator.release import Sidecar


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
    return {
        name: Sidecar(tree=Path(expand(one.tree)), facts=one.facts) for name, one in site.releases.sidecars.items()
    }


_XROOTD = frozenset({"root", "roots", "xroot", "xroots"})


def storage_for(base: str, logs: Path | None = None, note: Callable[[Retry], None] = lambda _: None) -> Storage:
    """The storage that holds a location; to be closed. Raises `JobError` STORAGE_UNKNOWN.

    What its libraries print goes to `logs`; `note` gets every repeated call, maybe several at once.
    """
    scheme, found, _ = base.partition("://")
    if not found or scheme == "file":
        from transformation.storage.file import FileStorage

        return FileStorage()
    if scheme in _XROOTD:
        return _xrootd(logs, note)
    raise JobError(
        Failure.STORAGE_UNKNOWN,
        f"no storage adapter for '{scheme}:' ({base}); known: {', '.join(sorted({'file', *_XROOTD}))}",
    )


def _xrootd(logs: Path | None, note: Callable[[Retry], None]) -> Storage:
    from transformation.storage.retrying import RetryingStorage
    from transformation.storage.xrootd import XRootDStorage

    if find_spec("XRootD") is None:
        raise JobError(Failure.STORAGE_UNKNOWN, "root: locations need the Python package 'xrootd' (pip install xrootd)")
    log = Path(os.devnull) if logs is None else logs / "xrootd_mover.err"
    return RetryingStorage(XRootDStorage(log=log), note=note)


def catalog_for(site: Site, place: JobPlace, folder: Path | None = None) -> Catalog | None:
    """Where a job's images are registered; None if the site registers nothing. Raises `JobError` SITE_INVALID.

    An SQLite catalog of images that are not on a local disk is kept in `folder`, the job's work folder (default: here).
    """
    if site.catalog.kind == "none":
        return None
    from transformation.catalog.retrying import RetryingCatalog

    settings = site.catalog.rucio
    if site.catalog.kind == "rucio" and settings:
        catalog = _rucio(settings, place)
    else:
        catalog = _sqlite(site, place, folder or Path.cwd())
    return RetryingCatalog(catalog, patience_s=site.catalog.patience_s)


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
    beside = not place.base.startswith(tuple(f"{scheme}:" for scheme in _XROOTD))
    return SqliteCatalog((local_path(place.base) if beside else folder) / "catalog.sqlite")


def _rucio(settings: Rucio, place: JobPlace) -> Catalog:
    if find_spec("rucio") is None:
        raise JobError(Failure.SITE_INVALID, "this site registers in Rucio, and rucio-clients is not installed here")
    from transformation.catalog.rucio import RucioCatalog

    return RucioCatalog(settings, user=place.user)
