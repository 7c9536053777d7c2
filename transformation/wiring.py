"""Which adapter serves what: the only module that knows them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from site_configs.load import SiteInvalid, expand, load_site
from site_configs.schema import Site
from transformation.layout import join_url
from transformation.model.failures import Failure, JobError
from transformation.ports import Catalog, Storage


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


def storage_for(base: str) -> Storage:
    """The storage that holds a location. Raises `JobError` STORAGE_UNKNOWN."""
    scheme, found, _ = base.partition("://")
    if not found or scheme == "file":
        from transformation.storage.file import FileStorage

        return FileStorage()
    raise JobError(Failure.STORAGE_UNKNOWN, f"no storage adapter for '{scheme}:' ({base}); known: file")


def catalog_for(site: Site, base: str) -> Catalog | None:
    """Where images under a base are registered; None if the site registers nothing."""
    if site.catalog.kind == "none":
        return None
    from transformation.catalog.sqlite import SqliteCatalog
    from transformation.storage.file import local_path

    if site.catalog.path:
        return SqliteCatalog(Path(expand(site.catalog.path)))
    return SqliteCatalog(local_path(join_url(base, "catalog.sqlite")))
