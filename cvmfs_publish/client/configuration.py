"""Configuration files of the CernVM-FS client, from what a site knows.

Names of the parameters are those of CernVM-FS 2.12's client; files go where its package looks for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from cvmfs_publish.exits import Exit, KitError

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*\.[a-z0-9.-]+")
_LEAST_QUOTA_MB = 1000
"""CernVM-FS refuses less than 1 GB."""
_ODD = re.compile(r"[\s'\"`$;|&<>\\]")
"""The client's configuration is read by a shell."""


@dataclass(frozen=True)
class Mount:
    """What is to be mounted, and how."""

    repository: str
    servers: Tuple[str, ...]
    """Each a server's URL as clients write it, `http://HOST/cvmfs/@fqrn@` or the root of the repository."""
    proxies: Tuple[str, ...]
    """In order; those in one text with `|` between them share the load. Empty = DIRECT, which only a laptop may."""
    quota_mb: int = 20_000
    cache: str = "/var/lib/cvmfs"
    key: Optional[str] = None
    """Content of the public key."""


def configuration(mount: Mount) -> Dict[str, str]:
    """Path -> content of each file. Raises `KitError` USAGE."""
    _check(mount)
    name = mount.repository
    key_path = f"/etc/cvmfs/keys/{name}.pub"
    urls = ";".join(_with_name(url, name) for url in mount.servers)
    files = {
        "/etc/cvmfs/default.local": _lines(
            "What all repositories of this machine share.",
            ("CVMFS_REPOSITORIES", name),
            ("CVMFS_HTTP_PROXY", ";".join(mount.proxies) or "DIRECT"),
            ("CVMFS_CACHE_BASE", mount.cache),
            ("CVMFS_QUOTA_LIMIT", str(mount.quota_mb)),
        ),
        f"/etc/cvmfs/config.d/{name}.conf": _lines(
            f"Where {name} is served, and the key that its whitelist is signed with.",
            ("CVMFS_SERVER_URL", urls),
            ("CVMFS_PUBLIC_KEY", key_path),
            ("CVMFS_USE_GEOAPI", "no"),
        ),
    }
    if mount.key is not None:
        files[key_path] = mount.key
    return files


def _check(mount: Mount) -> None:
    if not _NAME.fullmatch(mount.repository):
        raise KitError(Exit.USAGE, f"'{mount.repository}' is no repository name", cure="such as sw.example.org")
    for what, texts, schemes in (("server", mount.servers, ("http", "https")), ("proxy", mount.proxies, ("http",))):
        for url in [url for text in texts for url in text.split("|")]:
            if _ODD.search(url) or not ((url == "DIRECT" and what == "proxy") or _is_url(url, schemes)):
                raise KitError(Exit.USAGE, f"'{url}' is no URL of a {what}")
    if mount.quota_mb < _LEAST_QUOTA_MB:
        raise KitError(Exit.USAGE, f"a cache of {mount.quota_mb} MB is too small: at least {_LEAST_QUOTA_MB}")
    if _ODD.search(mount.cache) or not mount.cache.startswith("/"):
        raise KitError(Exit.USAGE, f"'{mount.cache}' is no folder for a cache")


def _is_url(text: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _with_name(url: str, name: str) -> str:
    return f"{url[: -len(name)]}@fqrn@" if url.endswith(f"/{name}") else url


def _lines(comment: str, *settings: Tuple[str, str]) -> str:
    return "".join([f"# {comment}\n", *(f'{key}="{value}"\n' for key, value in settings)])
