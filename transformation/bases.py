"""Where the images of a job go: the ordered destinations of its request, and what the site file says of each."""

from __future__ import annotations

from pathlib import Path

from site_configs.load import expand
from site_configs.schema import Endpoint, Site
from transformation.layout import JobPlace
from transformation.locations import REMOTE_SCHEMES, Kind, LocationInvalid, kind_of, redacted, resolve
from transformation.model.failures import Failure, JobError
from transformation.model.spec import JobSpec


def output_bases(spec: JobSpec, site: Site, relative_to: str, workdir: Path) -> list[str]:
    """The spec's, else the site's, else the work folder; each once, local ones as absolute paths. Raises `JobError`."""
    asked = spec.output.base
    if asked is not None:
        bases = [asked] if isinstance(asked, str) else asked
        return _absolute(bases, relative_to, Failure.SPEC_INVALID, "output.base")
    return _absolute(site_bases(site), "/", Failure.SITE_INVALID, "storage.bases") or [str(workdir)]


def site_bases(site: Site) -> list[str]:
    """Where images go at that site when a job names no destination; empty for its work folder."""
    own = site.storage.bases or [one.url for one in site.storage.endpoints if "write" in one.use]
    return [expand(one) for one in own]


def _absolute(bases: list[str], relative_to: str, failure: Failure, key: str) -> list[str]:
    found = []
    for base in bases:
        try:
            absolute = resolve(base, relative_to)
            kind = kind_of(absolute)
        except LocationInvalid as error:
            scheme, is_url, _ = base.partition("://")
            known = ", ".join(["bare paths", "file", *REMOTE_SCHEMES])
            detail = f"no storage adapter for '{scheme}:' ({redacted(base)}); known: {known}" if is_url else str(error)
            raise JobError(Failure.STORAGE_UNKNOWN, f"'{key}': {detail}") from None
        if kind is Kind.RUCIO:
            raise JobError(failure, f"'{key}': {redacted(base)} is no place to write to; name a folder or a URL")
        found.append(str(Path(absolute).resolve()) if kind is Kind.FILE else absolute)
    return list(dict.fromkeys(found))


def endpoint_of(site: Site, base: str) -> Endpoint | None:
    """What the site file says of the storage that holds that base: of the closest folder above it, else of its host."""
    address = address_of(base)
    known = [(address_of(expand(one.url)), one) for one in site.storage.endpoints]
    above = [(url, one) for url, one in known if address == url or address.startswith(f"{url}/")]
    if above:
        return max(above, key=lambda item: len(item[0]))[1]
    host = _host(address)
    return next((one for url, one in known if host and _host(url) == host), None)


def address_of(base: str) -> str:
    """How claims, the report and the catalog's settings name a base; see `JobPlace.address`."""
    return JobPlace(base=base, user="x", job="x").address


def _host(address: str) -> str:
    scheme, found, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if found and scheme != "file" else ""
