"""Whether the catalog of images answers, lets us in, and will find the images where jobs put them."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from site_configs.load import expand
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
    from transformation.catalog.rucio_rse import look_at_rse

    places = [JobPlace(base=expand(base), user=_USER, job=_JOB) for base in case.site.storage.bases]
    urls = [place.file_url(_VISIT, _FILE) for place in places]
    name = f"{_JOB}/v{_VISIT}/{_FILE}"
    try:
        found = look_at_rse(settings, scope=settings.scope.replace("{user}", _USER), name=name, urls=urls)
    except CatalogError as error:
        return bad(error.detail, "check catalog.rucio in the site file, its secret and the server")
    said = f"{settings.host} lets {settings.account} in; {settings.rse} is {found.kind}"
    if found.misplaced:
        return bad(
            f"{said}, and would look for {urls[0]} at {', '.join(found.misplaced)}",
            f"give {settings.rse} the protocol and prefix of storage.endpoints, not deterministic, or 'identity' with"
            " scope = '{user}'",
            failure=Failure.REGISTRATION_CONFLICT.name,
        )
    return ok(f"{said} and names files as jobs write them" if urls else said)
