"""Whether a simulator release is there and sound, and how fast it can be read when it is not cached."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from transformation.doctor.reading import Case, Reading, bad, ok, warn
from transformation.model import documents
from transformation.model.failures import JobError
from transformation.simulator.release import Release, find_release, list_releases
from transformation.wiring import release_roots, sidecars

_SAMPLE_S = 4.0
_SAMPLE_FILES = 60
_LARGEST_FILE_BYTES = 32_000_000
_BLOCK_BYTES = 1 << 20
_MEASURABLE_BYTES = 1_000_000
"""Of less, no rate is told."""
_PUBLISH = "verify the published release (`iod-publish verify`); try another worker"


class _Listed(msgspec.Struct, frozen=True):
    """One file of `release.json`."""

    path: str
    size: int
    sha256: str


class _Listing(msgspec.Struct, frozen=True):
    files: list[_Listed] = []


def names(case_default: str | None, offered: Sequence[str]) -> list[str]:
    """The releases to look for, each once; one empty name if the site promises none."""
    return list(dict.fromkeys(name for name in (case_default, *offered) if name)) or [""]


def look(case: Case) -> Reading:
    """The release that `subject` names."""
    roots = release_roots(case.site, os.environ)
    if "set-by-site" in case.subject.lower():
        return warn("which releases there are is to be set by the site", "set releases.default in the site file")
    if not case.subject:
        there = ", ".join(list_releases(roots)) or "none"
        return warn(f"the site promises no release; found: {there}", "set releases.default in the site file")
    try:
        release = find_release(case.subject, roots, sidecars(case.site))
    except JobError as error:
        return bad(error.failed.detail, error.failed.failure.action)
    found = f"{release.root} with {len(release.sensors)} sensors"
    if case.short or not (release.root / "release.json").is_file():
        return ok(found)
    return _sampled(case, release, found)


def _sampled(case: Case, release: Release, found: str) -> Reading:
    """Read programs, and other files at random, past the kernel's cache, and compare them with the manifest."""
    try:
        listing = documents.decode((release.root / "release.json").read_bytes(), _Listing).files
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return bad(f"{release.root}/release.json: {error}", _PUBLISH)
    if not listing:
        return warn(f"{found}; its manifest names no files", "publish it again with `iod-publish`")
    small = [one for one in listing if one.size <= _LARGEST_FILE_BYTES]
    random.shuffle(small)
    sample = sorted(small, key=lambda one: not one.path.startswith("bin/"))[:_SAMPLE_FILES]
    begun_s = time.monotonic()
    n_read = size_bytes = 0
    for one in sample:
        if wrong := _wrong(release.root, one):
            return bad(f"{release.root}: {wrong}", _PUBLISH)
        n_read, size_bytes = n_read + 1, size_bytes + one.size
        case.note(f"{n_read} files of {release.root} read")
        if time.monotonic() - begun_s > _SAMPLE_S:
            break
    rate_mb_per_s = size_bytes / 1e6 / max(1e-6, time.monotonic() - begun_s)
    found += f"; {n_read} of {len(listing)} files are as in its manifest"
    if size_bytes < _MEASURABLE_BYTES:
        return ok(found, files_read=n_read, bytes_read=size_bytes)
    found += f", read cold at {rate_mb_per_s:,.1f} MB/s"
    facts = {"files_read": n_read, "bytes_read": size_bytes, "cold_mb_per_s": round(rate_mb_per_s, 2)}
    slowest = case.site.cvmfs.slowest_mb_per_s
    if rate_mb_per_s < slowest:
        return warn(found, f"slower than {slowest:g} MB/s: look at the CVMFS proxy and cache", **facts)
    return ok(found, **facts)


def _wrong(root: Path, listed: _Listed) -> str | None:
    """What is wrong with a file, if anything."""
    if not (path := root / listed.path).resolve().is_relative_to(root.resolve()):
        return f"release.json names {listed.path}, which is outside of it"
    try:
        size_bytes, sha256 = _read_cold(path)
    except OSError as error:
        return f"{listed.path}: {error.strerror}"
    if (size_bytes, sha256) != (listed.size, listed.sha256):
        return f"{listed.path} is not what release.json says ({size_bytes} bytes, expected {listed.size})"
    return None


def _read_cold(path: Path) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size_bytes += len(block)
    return size_bytes, digest.hexdigest()
