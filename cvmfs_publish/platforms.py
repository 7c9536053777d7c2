"""What the operating systems of workers offer: the newest symbol versions of glibc and libstdc++.

Sources: the distributions' package lists (glibc and gcc of each release), and libstdc++'s ABI table
https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, Optional, Tuple

Version = Tuple[int, ...]


@dataclass(frozen=True)
class Ceiling:
    """The newest versions that an operating system has."""

    glibc: Version
    glibcxx: Version
    cxxabi: Version


WORKERS: Dict[str, Ceiling] = {
    "el7": Ceiling((2, 17), (3, 4, 19), (1, 3, 7)),
    "el8": Ceiling((2, 28), (3, 4, 25), (1, 3, 11)),
    "el9": Ceiling((2, 34), (3, 4, 29), (1, 3, 13)),
    "el10": Ceiling((2, 39), (3, 4, 33), (1, 3, 15)),
    "debian11": Ceiling((2, 31), (3, 4, 28), (1, 3, 12)),
    "debian12": Ceiling((2, 36), (3, 4, 30), (1, 3, 13)),
    "debian13": Ceiling((2, 41), (3, 4, 33), (1, 3, 15)),
    "ubuntu20.04": Ceiling((2, 31), (3, 4, 28), (1, 3, 12)),
    "ubuntu22.04": Ceiling((2, 35), (3, 4, 30), (1, 3, 13)),
    "ubuntu24.04": Ceiling((2, 39), (3, 4, 33), (1, 3, 15)),
}
DEFAULT_WORKERS = ("el9",)

GLIBC_LIBRARIES = frozenset(
    {
        *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2"),
        *("libanl.so.1", "libnsl.so.1", "libmvec.so.1", "libBrokenLocale.so.1", "libnss_dns.so.2", "libnss_files.so.2"),
        *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "ld-linux.so.2", "linux-vdso.so.1"),
    }
)
"""One set with the loader: they come from the worker, always; bundling one of them breaks the others."""

WORKER_LIBRARIES = frozenset({"libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"})
"""On every worker of the table, and expected there by the wheels of PyPI (manylinux)."""

LOADERS = {
    "x86_64": "/lib64/ld-linux-x86-64.so.2",
    "aarch64": "/lib/ld-linux-aarch64.so.1",
    "i386": "/lib/ld-linux.so.2",
}


def ceiling_of(workers: Iterable[str]) -> Ceiling:
    """What every one of these operating systems has."""
    chosen = [WORKERS[name] for name in workers]
    return Ceiling(
        min(one.glibc for one in chosen), min(one.glibcxx for one in chosen), min(one.cxxabi for one in chosen)
    )


def allowed(symbol: str, ceiling: Ceiling) -> Optional[bool]:
    """Whether `GLIBC_2.34` or the like is there; None for symbols of other families."""
    family, _, digits = symbol.partition("_")
    limit = {"GLIBC": ceiling.glibc, "GLIBCXX": ceiling.glibcxx, "CXXABI": ceiling.cxxabi}.get(family)
    version = version_of(digits)
    return None if limit is None or version is None else version <= limit


def version_of(digits: str) -> Optional[Version]:
    """The numbers of `2.34`; None for `PRIVATE` and the like."""
    parts = digits.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else None


def dotted(version: Version) -> str:
    """The version as text."""
    return ".".join(map(str, version))
