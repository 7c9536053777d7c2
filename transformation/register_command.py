"""`lsst-trf register LOCATION`: replay what is committed into the catalog, any number of times."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing

from transformation.model.failures import Failed, Failure, JobError
from transformation.model.manifest import LIMIT_BYTES, UnitManifest, parse_manifest
from transformation.ports import StorageError
from transformation.register import register_location
from transformation.wiring import catalog_of, storage_for


def register(parsed: Namespace) -> int:
    """Run the command; the exit code. Raises `JobError`."""
    location, catalog = catalog_of(parsed.location, parsed.site)
    with closing(storage_for(location)) as storage:
        result = register_location(storage, catalog, location, _look)
    if isinstance(result, Failed):
        raise JobError(result.failure, result.detail)
    files = sum(len(manifest.files) for manifest in result.manifests)
    print(f"{len(result.manifests)} units, {files} files are registered in {catalog.place}")
    for reason in result.elsewhere:
        print(reason)
    for reason in result.skipped:
        print(f"skipped: {reason}")
    if result.failed is not None:
        raise JobError(result.failed.failure, result.failed.detail)
    if result.skipped:
        raise JobError(Failure.PARTIAL, f"{len(result.skipped)} units are not registered")
    return 0


def _look(url: str, manifest: UnitManifest) -> UnitManifest | None:
    """The manifest of the same unit where the catalog knows it."""
    try:
        with closing(storage_for(url)) as storage:
            found = parse_manifest(storage.read(url, limit_bytes=LIMIT_BYTES), unit=manifest.unit)
    except (StorageError, JobError):
        return None
    return found if isinstance(found, UnitManifest) else None
