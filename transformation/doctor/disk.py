"""Room and leave to write where the job works."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from site_configs.load import expand
from site_configs.schema import Site
from transformation.doctor.here import phosim_facts
from transformation.doctor.reading import Case, Reading, bad, ok, warn
from transformation.resources import affinity_cores, free_bytes, units_on_disk

_SAMPLE_BYTES = 1 << 20
_PILOT_MINIMUM_BYTES = 2_000_000_000
"""A PanDA pilot starts no job with less (`free_space_limit` of pilot 3)."""


def look(case: Case) -> Reading:
    """The folder that `subject` names."""
    folder = Path(case.subject)
    if "$" in case.subject:
        action = "set it, or change worker.scratch in the site file: without it scratch is inside the work folder"
        return warn(f"{folder}: a variable in it is not set here", action)
    try:
        nearest = _nearest(folder)
        _try_writing(nearest)
        free = free_bytes(nearest)
    except OSError as error:
        return bad(f"cannot write in {folder}: {error.strerror}", "check owner, mount and quota; try another worker")
    facts = phosim_facts()
    units = units_on_disk(
        free, visit_scratch_bytes=facts.visit_scratch_bytes, unit_scratch_bytes=facts.unit_scratch_bytes
    )
    wanted = case.site.worker.cores or affinity_cores()
    found = f"{folder}: {free / 1e9:,.1f} GB free, room for {units:,} units at once"
    if not units:
        return bad(found, "free space, or set worker.scratch in the site file", free_bytes=free, units=units)
    if units < wanted or free < _PILOT_MINIMUM_BYTES:
        action = f"a PanDA pilot wants {_PILOT_MINIMUM_BYTES / 1e9:.0f} GB, {wanted} cores want room for as many units"
        return warn(found, action, free_bytes=free, units=units)
    return ok(found, free_bytes=free, units=units)


def folders(site: Site, workdir: Path) -> list[str]:
    """The folders to look at, each once."""
    return list(
        dict.fromkeys([str(workdir.absolute()), *([expand(scratch)] if (scratch := site.worker.scratch) else [])])
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there: a job makes what is missing."""
    for one in (folder, *folder.absolute().parents):
        if one.is_dir():
            return one
        if one.exists():
            raise NotADirectoryError(20, os.strerror(20), str(one))
    return Path("/")


def _try_writing(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".iod-doctor-") as file:
        file.write(os.urandom(_SAMPLE_BYTES))
        file.flush()
        os.fsync(file.fileno())
