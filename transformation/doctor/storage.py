"""Whether a storage takes a file, keeps it unharmed, renames and removes it, as every unit's upload needs.

What is written has a hidden name that nobody else uses, directly in the base: the port removes files, not folders, and
nothing is to be left.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from site_configs.load import expand
from site_configs.schema import Site
from transformation.doctor.reading import Case, Reading, Verdict, bad, ok, warn
from transformation.model.failures import JobError
from transformation.ports import Stat, Storage, StorageError
from transformation.wiring import Manner, storages_for

_SAMPLE_BYTES = 300_000


def locations(site: Site, workdir: Path) -> list[str]:
    """Every base and endpoint of the site, each once; the work folder where there is none."""
    named = dict.fromkeys([*site.storage.bases, *(one.url for one in site.storage.endpoints)])
    return [expand(one) for one in named] or [str(workdir.absolute())]


def look(case: Case) -> Reading:
    """The location that `subject` names."""
    if "set-by-site" in case.subject:
        return warn("where it is, is to be set by the site", "set storage.endpoints in the site file")
    base = case.subject.rstrip("/")
    manner = Manner(hurried=True, note=lambda retry: case.note(retry.problem))
    absent = _absent(base)
    try:
        _, hasty = storages_for(base, manner)
        with closing(hasty) as storage:
            read_only = case.short or not _writes(case)
            found = _read_only(storage, base) if read_only else _round_trip(storage, base, case)
    except JobError as error:
        return bad(error.failed.detail, error.failed.failure.action, failure=error.failed.failure.name)
    if absent is None:
        return found
    with suppress(OSError):
        absent.rmdir()
    if found.verdict is not Verdict.OK or not _named(case):
        return found
    return warn(
        f"{found.found}; the folder itself is not there",
        "see whether its file system is mounted; if it is, make the folder",
    )


def _absent(base: str) -> Path | None:
    """The base, if it is a folder on this machine that is not there: the first file that is written will make it."""
    folder = base.removeprefix("file://localhost").removeprefix("file://")
    return None if "://" in folder or os.access(folder, os.F_OK) else Path(folder)


def _named(case: Case) -> bool:
    """Whether the site names it; a work folder is made when a job begins."""
    return bool(case.site.storage.bases or case.site.storage.endpoints)


def _writes(case: Case) -> bool:
    """Whether jobs write there; bases are written to, and so is a work folder."""
    named = [one for one in case.site.storage.endpoints if expand(one.url) == case.subject]
    return not named or any("write" in one.use for one in named)


def _read_only(storage: Storage, base: str) -> Reading:
    try:
        storage.stat(f"{base}/.iod-doctor")
    except StorageError as error:
        return _failed("read", error)
    return ok(f"{base} answers")


def _round_trip(storage: Storage, base: str, case: Case) -> Reading:
    """What becomes of one file; stops at the first thing that goes wrong."""
    content = os.urandom(_SAMPLE_BYTES)
    name = f"{base}/.iod-doctor-{socket.gethostname()}-{secrets.token_hex(6)}"
    part, final = f"{name}.part", f"{name}.fits"
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "sample"
        local.write_bytes(content)
        steps: dict[str, Callable[[], str | None]] = {
            "write": lambda: storage.put(local, part),
            "size": lambda: _differs(storage.stat(part), Stat(size_bytes=len(content))),
            "checksum": lambda: _differs(storage.adler32(part), f"{zlib.adler32(content):08x}"),
            "rename": lambda: storage.rename(part, final),
            "delete": lambda: storage.delete(final),
            "absence": lambda: _differs(storage.stat(final), None),
        }
        for number, (what, step) in enumerate(steps.items()):
            case.note(f"{what} under way")
            try:
                wrong = step()
            except StorageError as error:
                if number:
                    _tidy(storage, part, final)
                return _failed(what, error)
            if wrong:
                _tidy(storage, part, final)
                return bad(f"{base}: {what}: {wrong}", "tell the storage's admins")
    return ok(f"{base}: {', '.join(list(steps)[:-1])} are good{_room(storage, base)}", bytes_written=len(content))


def _differs(found: object, expected: object) -> str | None:
    return None if found == expected else f"{found} instead of {expected}"


def _failed(what: str, error: StorageError) -> Reading:
    return bad(f"{what}: {error.detail}", error.failure.action, failure=error.failure.name)


def _tidy(storage: Storage, *names: str) -> None:
    for name in names:
        with suppress(StorageError):
            storage.delete(name)


def _room(storage: Storage, base: str) -> str:
    try:
        free = storage.survey(base).free_bytes
    except StorageError:
        return ""
    return "" if free is None else f", {free / 1e9:,.0f} GB free"
