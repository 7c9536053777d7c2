"""`lsst-trf reconcile LOCATION`: do storage, catalog and manifests agree? Changes nothing."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from contextlib import closing
from itertools import islice

import msgspec

from transformation.model.failures import Failed, Failure, JobError
from transformation.reconcile import HARMLESS, Kind, Reconciled, reconcile
from transformation.wiring import catalog_of, storage_for

_LINES_PER_KIND = 5


def show_reconciled(parsed: Namespace) -> int:
    """Run the command; 0 if all agree. Raises `JobError`, INCONSISTENT if they do not."""
    location, catalog = catalog_of(parsed.location, parsed.site)
    with closing(storage_for(location)) as storage:
        result = reconcile(storage, catalog, location, checksums=parsed.checksums)
    if isinstance(result, Failed):
        raise JobError(result.failure, result.detail)
    counts = Counter(finding.kind for finding in result.findings)
    if parsed.json:
        print(json.dumps({**msgspec.to_builtins(result), "counts": {kind: counts[kind] for kind in Kind}}, indent=1))
    else:
        _print(result, counts, catalog.place)
    wrong = [kind for kind in Kind if counts[kind] and kind not in HARMLESS]
    if wrong:
        kinds = ", ".join(f"{counts[kind]} {kind}" for kind in wrong)
        raise JobError(Failure.INCONSISTENT, f"{location}: {kinds}")
    return 0


def _print(result: Reconciled, counts: Counter[Kind], catalog: str) -> None:
    print(f"{result.n_units} units, {result.n_stored} files on storage, {result.n_registered} in {catalog}")
    if result.n_elsewhere:
        print(f"{result.n_elsewhere} more are registered at other destinations of the job")
    for kind in Kind:
        if counts[kind]:
            print(f"{kind}: {counts[kind]}")
            lines = (f"  {one.name}: {one.detail}" for one in result.findings if one.kind is kind)
            print("\n".join(islice(lines, _LINES_PER_KIND)))
            if counts[kind] > _LINES_PER_KIND:
                print(f"  ... and {counts[kind] - _LINES_PER_KIND} more (--json has all)")
    if not set(counts) - HARMLESS:
        print("all agree")
