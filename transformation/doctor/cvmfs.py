"""Whether a CVMFS repository is mounted, which revision, and how far behind its server it is.

The client answers questions in extended attributes (`user.revision`, `user.host`, ...), without root. A mount by autofs
appears when somebody asks for the very folder; listing the folder above it shows nothing.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from transformation.doctor.reading import Case, Reading, bad, ok, warn

_TIMEOUT_S = 4.0
_LARGEST_MANIFEST_BYTES = 1 << 16
_LATE_S = 3600.0
"""A client looks for a new revision every few minutes; an hour is trouble."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The newest revision at a server."""

    revision: int
    published_s: float
    """Seconds since the epoch."""


def look(case: Case) -> Reading:
    """The repository that `subject` names."""
    if not case.subject:
        return ok("none is asked for: the site names no repository")
    if "set-by-site" in case.subject.lower():
        return warn("which repositories there are is to be set by the site", "set cvmfs.repositories in the site file")
    folder = Path(case.site.cvmfs.mount) / case.subject
    try:
        empty = not any(True for _ in os.scandir(folder))
    except OSError as error:
        return bad(f"{folder}: {error.strerror}", "mount CVMFS here (`cvmfs_config probe`), or try another worker")
    revision = _number(folder, "revision")
    if revision is None:
        if empty:
            return bad(f"{folder} is an empty folder: not mounted", "mount CVMFS here (`cvmfs_config probe`)")
        return warn(f"{folder} is readable, but does not answer as CVMFS does", "a copy? see to it that it is current")
    host = _attribute(folder, "host") or ""
    facts: dict[str, str | float | None] = {
        "revision": revision,
        "host": host,
        "proxy": _attribute(folder, "proxy"),
        "io_errors": _number(folder, "nioerr"),
    }
    newest = None if case.short else _newest(host, case)
    found = f"{folder}: revision {revision}"
    if newest is not None:
        age_s = max(0.0, time.time() - newest.published_s)
        facts |= {"newest_revision": newest.revision, "newest_age_s": round(age_s)}
        found += f", newest {newest.revision}, published {age_s / 3600:,.1f} h ago"
        if newest.revision > revision and age_s > _LATE_S:
            return warn(f"{found}: this client is behind", "`cvmfs_config reload`; look at its proxy", **facts)
    if facts["io_errors"]:
        return warn(f"{found}; {facts['io_errors']} read errors so far", "look at the proxy and the cache", **facts)
    return ok(found, **facts)


def parse_manifest(text: bytes) -> Published:
    """Revision and time of `.cvmfspublished`: one field a line, its first letter the name, until `--`.

    Not a proof, which `iod-publish verify` makes: the signature is not looked at. Raises `ValueError`.
    """
    fields = {line[:1]: line[1:] for line in text.partition(b"\n--\n")[0].split(b"\n")}
    try:
        return Published(revision=int(fields[b"S"]), published_s=float(fields[b"T"]))
    except KeyError as error:
        raise ValueError(f"no field {error}") from None


def _newest(host: str, case: Case) -> Published | None:
    import urllib.request
    from http.client import HTTPException

    if not host.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(f"{host}/.cvmfspublished", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
            return parse_manifest(answer.read(_LARGEST_MANIFEST_BYTES))
    except (OSError, HTTPException, ValueError) as error:
        case.note(f"{host}: {error}")  # workers often reach it only through their proxy
        return None


def _attribute(folder: Path, name: str) -> str | None:
    try:
        return os.getxattr(folder, f"user.{name}").decode("utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None


def _number(folder: Path, name: str) -> int | None:
    text = _attribute(folder, name)
    return int(text) if text is not None and text.isdecimal() else None
