"""What an export is asked for, and the parts of a site that several exports need."""

from __future__ import annotations

import re

import msgspec

from site_configs.load import SiteInvalid, expand
from site_configs.schema import Endpoint, Queue, Site

LOG_RSE_SUFFIX = "_LOGS"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A site, and what the command line changes of it."""

    site: Site
    reference: str
    """What `--site` takes for it on a worker: its name if it comes with this package, else its file."""
    queue: str | None = None
    """The one queue that is wanted; None = all, or the first where only one can be had."""
    base: str | None = None
    """Where the pilot's log tarballs go instead."""
    server: str | None = None
    """Another PanDA server."""
    cache_dir: str = ""
    """Where the pilot will find its files."""
    update_sleep_s: int = 120
    """Between two tries of the pilot to reach its server."""

    @property
    def panda_server(self) -> str:
        """URL with port, without a slash at its end."""
        return (self.server or self.site.panda.server).rstrip("/")

    def queues(self) -> list[Queue]:
        """The queues that are wanted, in the file's order. Raises `SiteInvalid`."""
        known = self.site.panda.queues
        wanted = [one for one in known if self.queue in {None, one.name}]
        if not wanted:
            names = ", ".join(one.name for one in known) or "none"
            which = f"queue '{self.queue}'" if self.queue else "PanDA queue"
            raise SiteInvalid(f"site {self.site.name} has no {which}; it has {names}")
        return wanted


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """A location cut as the pilot wants it: `endpoint + path` is the location."""

    scheme: str
    endpoint: str
    """`root://host:port/`, `https://host:port`, `file://localhost`."""
    path: str
    """Begins and ends with a slash."""


def door_of(location: str) -> Door:
    """The door of a folder or URL. Raises `SiteInvalid`."""
    place = expand(location)
    if "$" in place:
        raise SiteInvalid(f"{location}: a variable in it is not set here, and PanDA's pilot fills in none")
    scheme, found, rest = place.partition("://")
    if not found or scheme == "file":
        path = rest.removeprefix("localhost") if found else scheme
        return Door(scheme="file", endpoint="file://localhost", path=_folder(path))
    host, _, path = rest.partition("/")
    slash = "/" if re.fullmatch("x?roots?", scheme) else ""
    return Door(scheme=scheme, endpoint=f"{scheme}://{host}{slash}", path=_folder(path))


def log_rse(site: Site) -> str:
    """Name of the storage that the pilot's log tarballs go to."""
    return f"{site.name}{LOG_RSE_SUFFIX}"


def log_base(wanted: Wanted) -> str:
    """Where they go. Raises `SiteInvalid`."""
    site = wanted.site
    base = wanted.base or site.panda.log_base or next(iter(site.storage.bases), None)
    if base is None:
        raise SiteInvalid(f"site {site.name} has no place for log tarballs: set panda.log_base, or give --base")
    return base


def named_endpoints(site: Site) -> dict[str, Endpoint]:
    """The endpoints that have a name in Rucio and PanDA; several doors of one storage are one endpoint here."""
    named: dict[str, Endpoint] = {}
    for one in site.storage.endpoints:
        if one.rse is not None and (first := named.setdefault(one.rse, one)) is not one:
            both = [use for use in ("write", "read") if use in {*first.use, *one.use}]
            named[one.rse] = msgspec.structs.replace(first, use=both)
    return named


def _folder(path: str) -> str:
    return f"/{path.strip('/')}/"
