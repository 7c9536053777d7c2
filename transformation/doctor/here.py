"""The site file, the Python that runs us, cores and memory: what is known without asking anybody."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

import psutil

from site_configs.schema import Site
from transformation.doctor.reading import Case, Reading, bad, ok, warn
from transformation.model import documents
from transformation.resources import affinity_cores, decide_share, read_cgroup, units_at_once
from transformation.simulator.release_facts import ReleaseFacts

_ALWAYS = ("astropy", "isal", "msgspec", "psutil", "rich", "tenacity")
_BUSY = 1.5
"""Load of the last minute over CPUs, above which others take part of ours."""
_MB = 1_000_000


def look_at_site_file(case: Case) -> Reading:
    """Whether jobs can run with it at all."""
    if not case.gaps:
        return ok(f"{case.file} is valid")
    first = "; ".join(map(str, case.gaps[:3])) + (f"; and {len(case.gaps) - 3} more" if len(case.gaps) > 3 else "")
    return bad(f"{case.file}: {first}", f"set them: `iod-site check {case.site.name}` lists all", n_gaps=len(case.gaps))


def look_at_python(case: Case) -> Reading:
    """Python and the packages that this site's storage and catalog need."""
    needed = {*_ALWAYS, *_for_servers(case.site)}
    versions = {name: _version(name) for name in sorted(needed)}
    missing = [name for name, version in versions.items() if version is None]
    found = f"{platform.python_version()} ({sys.executable}) with " + ", ".join(
        f"{name} {version}" for name, version in versions.items() if version is not None
    )
    if missing:
        return bad(f"{found}; without {', '.join(missing)}", "use a complete runtime of this package", **versions)
    return ok(found, python=platform.python_version(), **versions)


def look_at_machine(case: Case) -> Reading:
    """Cores and memory that a job would take for its own."""
    share = decide_share(
        asked_cores=None,
        asked_memory_mb=None,
        cgroup=read_cgroup(),
        site_cores=case.site.worker.cores,
        site_memory_mb=case.site.worker.memory_mb,
        affinity_cores=affinity_cores(),
    )
    available_mb = psutil.virtual_memory().available // _MB
    load = os.getloadavg()[0] / affinity_cores()
    facts: dict[str, str | float] = {
        "cores": share.cores,
        "memory_mb": share.memory_bytes // _MB,
        "available_memory_mb": available_mb,
        "load_per_cpu": round(load, 2),
    }
    found = (
        f"{share.cores} cores ({share.cores_from}), {share.memory_bytes // _MB:,} MB ({share.memory_from}),"
        f" of which {available_mb:,} MB are free"
    )
    unit_bytes = phosim_facts().memory_bytes
    if not units_at_once(share, unit_memory_bytes=unit_bytes):
        action = f"a PhoSim unit needs {unit_bytes // _MB:,} MB: ask for them, or set worker.memory_mb in the site file"
        return warn(found, action, **facts)
    if available_mb * _MB < unit_bytes:
        return warn(found, f"a PhoSim unit needs {unit_bytes // _MB:,} MB: look who holds the memory", **facts)
    if load > _BUSY:
        return warn(f"{found}; load {load:.1f} a CPU", "look who else computes here", **facts)
    return ok(found, **facts)


def phosim_facts() -> ReleaseFacts:
    """What a release needs that does not say so itself: PhoSim's figures."""
    return documents.convert({"name": "phosim", "simulator": "phosim", "version": "0"}, ReleaseFacts)


def _for_servers(site: Site) -> list[str]:
    """Packages that its storage and catalog ask for."""
    locations = [*site.storage.bases, *(one.url for one in site.storage.endpoints)]
    rucio = site.catalog.rucio if site.catalog.kind == "rucio" else None
    proxies = [one.credential for one in site.storage.endpoints] + ([rucio.auth] if rucio else [])
    return [
        *(["xrootd"] if any(one.startswith(("root", "xroot")) for one in locations) else []),
        *(["rucio-clients"] if rucio else []),
        *(["cryptography"] if "x509_proxy" in proxies else []),
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
