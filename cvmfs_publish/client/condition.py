"""Whether this machine's CVMFS client is fit for jobs: cache, proxy, errors, as the mount itself tells."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional

from cvmfs_publish.mounted import Finding, attributes
from cvmfs_publish.processes import run

_ROOM = 2.0
"""A cache should hold this many times what one unit reads."""


def condition(place: Path, need_bytes: int) -> List[Finding]:
    """Findings about the mount that holds a folder; `need_bytes` is what one unit reads of it."""
    known = attributes(place)
    if not known:
        return [Finding("bad", f"{place} is not on a CVMFS mount", "mount it: `cvmfs_config probe REPOSITORY`")]
    findings = [*_proxy(known), *_errors(known), *_age(known)]
    quota = _quota(known.get("fqrn", ""))
    if quota is None:
        findings.append(Finding("note", "the cache's limit is unknown here (no cvmfs_config)"))
    elif quota < _ROOM * need_bytes:
        what = f"the cache may hold {quota / 1e6:,.0f} MB, one unit reads {need_bytes / 1e6:,.0f} MB"
        findings.append(Finding("bad", what, "raise CVMFS_QUOTA_LIMIT"))
    else:
        findings.append(Finding("ok", f"the cache may hold {quota / 1e6:,.0f} MB"))
    return findings


def _proxy(known: Dict[str, str]) -> Iterator[Finding]:
    proxy = known.get("proxy", "")
    if proxy in ("", "DIRECT"):
        yield Finding("note", "the client asks the servers directly", "workers of a site should go through its proxy")
    else:
        yield Finding("ok", f"it asks through {proxy}")


def _errors(known: Dict[str, str]) -> Iterator[Finding]:
    errors = known.get("nioerr", "0")
    if errors.isdigit() and int(errors) > 0:
        yield Finding("bad", f"{errors} reads failed since it was mounted", "look at the servers and the proxy")


def _age(known: Dict[str, str]) -> Iterator[Finding]:
    if "revision" in known:
        yield Finding("ok", f"revision {known['revision']} from {known.get('host', 'an unknown server')}")


def _quota(repository: str, which: Callable[[str], Optional[str]] = shutil.which) -> Optional[int]:
    """Bytes that the client's cache may take, as `cvmfs_config` prints its settings."""
    program = which("cvmfs_config")
    if program is None or not repository:
        return None
    for line in run([program, "showconfig", repository], environment=dict(os.environ)).out.splitlines():
        name, _, value = line.partition("=")
        number = value.split("#")[0].strip().strip("'\"")
        if name.strip() == "CVMFS_QUOTA_LIMIT" and number.isdigit():
            return int(number) * 1_000_000
    return None
