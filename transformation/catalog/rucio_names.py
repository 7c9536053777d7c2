"""Names as Rucio has them: containers, and the physical names of files."""

from __future__ import annotations

import re

_XROOTD = frozenset({"root", "roots", "xroot", "xroots"})


def container_of(dataset: str) -> str:
    """The job's, for `JOBNAME/v<visit>`."""
    return dataset.rpartition("/")[0]


def pfn_of(url: str) -> str:
    """A location as Rucio names it: local files have the host `localhost`, XRootD's paths begin with two slashes.

    The server puts prefix and path together with any number of slashes; no storage makes a difference of them.
    """
    scheme, host, path = _split(url)
    return f"{scheme}://{host}{'/' if scheme in _XROOTD else ''}{path}"


def url_of(pfn: str) -> str:
    """The same as we write it."""
    scheme, _, path = _split(pfn)
    return path if scheme == "file" else pfn_of(pfn)


def _split(url: str) -> tuple[str, str, str]:
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, rest = "file", url
    host, _, path = rest.partition("/")
    return scheme, host or "localhost", re.sub("/+", "/", f"/{path}")
