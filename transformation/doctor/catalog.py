"""Whether the catalog of images answers, lets us in, and will find the images where jobs put them."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import msgspec

from site_configs.load import expand
from site_configs.schema import Rucio, Site
from transformation.bases import endpoint_of, site_bases
from transformation.doctor.reading import Case, Reading, bad, ok, warn
from transformation.layout import JobPlace
from transformation.model.failures import Failure
from transformation.ports import CatalogError

_USER, _JOB = "iod-doctor", "iod-doctor-1"
_VISIT, _FILE = "1", "lsst_e_1_f2_R22_S11_E000.fits.gz"


def look(case: Case) -> Reading:
    """The site's catalog, of whatever kind."""
    match case.site.catalog.kind:
        case "none":
            return ok("the site registers images nowhere")
        case "sqlite":
            return _sqlite(case.site.catalog.path)
        case "rucio":
            return _rucio(case)


def _sqlite(name: str | None) -> Reading:
    if name is None:
        return ok("SQLite, beside the images")
    path = Path(expand(name))
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0)) as database:
                database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except OSError as error:
        return bad(f"SQLite {path}: {error.strerror}", "make the folder, writable for jobs, or change catalog.path")
    except sqlite3.Error as error:
        return bad(f"SQLite {path}: {error}", "restore the file from its backup, or move it away")
    return ok(f"SQLite {path}")


def _rucio(case: Case) -> Reading:
    settings = case.site.catalog.rucio
    assert settings is not None
    if "set-by-site" in f"{settings.host} {settings.rse} {settings.account}".lower():
        return warn("the catalog is to be set by the site", "set catalog.rucio in the site file")
    if find_spec("rucio") is None:
        return bad("rucio-clients is not installed here", "use a complete runtime of this package")
    places = _places_by_rse(case.site, settings.rse)
    try:
        findings = [_look_at_rse(settings, rse, urls) for rse, urls in places.items()]
    except CatalogError as error:
        return bad(error.detail, "check catalog.rucio in the site file, its secret and the server")
    said = f"{settings.host} lets {settings.account} in"
    for rse, (kind, url, elsewhere) in zip(places, findings, strict=True):
        said += f"; {rse} is {kind}"
        if elsewhere:
            return bad(
                f"{said}, and would look for {url} at {elsewhere}",
                f"give {rse} the protocol and prefix of storage.endpoints, not deterministic, or 'identity' with"
                " scope = '{user}'",
                failure=Failure.REGISTRATION_CONFLICT.name,
            )
    named = any(places.values())
    return ok(f"{said} and {'names' if len(places) == 1 else 'name'} files as jobs write them" if named else said)


def _places_by_rse(site: Site, rse: str) -> dict[str, list[str]]:
    """Where jobs would write an image at this site, by the storage element that it would be registered at."""
    places: dict[str, list[str]] = {}
    for base in site_bases(site):
        endpoint = endpoint_of(site, base)
        named = endpoint.rse if endpoint and endpoint.rse else rse
        places.setdefault(named, []).append(JobPlace(base=base, user=_USER, job=_JOB).file_url(_VISIT, _FILE))
    return places or {rse: []}


def _look_at_rse(settings: Rucio, rse: str, urls: Sequence[str]) -> tuple[str, str, str]:
    """Its kind; and one of the places with where it would look instead, both empty if all is well."""
    from transformation.catalog.rucio_rse import look_at_rse

    scope, name = settings.scope.replace("{user}", _USER), f"{_JOB}/v{_VISIT}/{_FILE}"
    found = look_at_rse(msgspec.structs.replace(settings, rse=rse), scope=scope, name=name, urls=urls)
    return found.kind, urls[0] if found.misplaced else "", ", ".join(found.misplaced)
