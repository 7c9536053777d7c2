"""`lsst-trf plan`: what a job would make, for people and programs; runs nothing."""

from __future__ import annotations

import json
import os
import tempfile
from argparse import Namespace
from pathlib import Path

from transformation.planning import parse_select
from transformation.process import Processes
from transformation.request import load_request
from transformation.resources import affinity_cores, decide_share, read_cgroup
from transformation.run_job import Job, Plan, make_plan
from transformation.wiring import open_site
from transformation.workdir import WorkDir


def show_plan(parsed: Namespace) -> int:
    """Run the command; the exit code."""
    request = load_request(parsed.job, parsed.job_params)
    site = open_site(parsed.site)
    with tempfile.TemporaryDirectory(prefix="lsst-trf-plan-") as folder:
        workdir = WorkDir(root=Path(folder), scratch=Path(folder))
        workdir.inputs.mkdir(parents=True)
        job = Job(
            request=request,
            site=site,
            share=decide_share(
                asked_cores=None,
                asked_memory_mb=None,
                cgroup=read_cgroup(),
                site_cores=site.worker.cores,
                site_memory_mb=site.worker.memory_mb,
                affinity_cores=affinity_cores(),
            ),
            workdir=workdir,
            processes=Processes(),
            only=parse_select(parsed.select) if parsed.select else (),
        )
        plan = make_plan(job, write_inputs=False)
    print(json.dumps(_document(job, plan), indent=1) if parsed.json else os.linesep.join(_lines(job, plan)))
    return 0


def _document(job: Job, plan: Plan) -> dict[str, object]:
    return {
        "schema_version": 1,
        "name": job.spec.name,
        "user": job.spec.user,
        "release": plan.release.name,
        "visits": [
            {
                "visit": staged.visit,
                "digest": staged.digest,
                "objects": staged.catalog.n_objects,
                "warnings": list(staged.catalog.warnings),
            }
            for staged in plan.visits
        ],
        "units": [
            {
                "id": unit.id,
                "visit": unit.visit,
                "sensor": unit.sensor,
                "exposure": unit.exposure,
                "seed": unit.seed,
                "exposure_s": unit.exposure_s,
                "files": [file.name for file in unit.files],
                "estimated_bytes": unit.estimated_bytes,
            }
            for unit in plan.units
        ],
        "n_files": sum(len(unit.files) for unit in plan.units),
        "estimated_bytes": sum(unit.estimated_bytes for unit in plan.units),
    }


def _lines(job: Job, plan: Plan) -> list[str]:
    lines = [f"job {job.spec.name} of {job.spec.user}, release {plan.release.name}"]
    for staged in plan.visits:
        lines.append(f"visit {staged.visit}: {staged.catalog.n_objects:,} objects, {staged.catalog.size_bytes:,} bytes")
        lines += [f"  warning: {warning}" for warning in staged.catalog.warnings]
    lines += [f"{unit.id:<32} {len(unit.files):>3} files {unit.estimated_bytes / 1e6:>8.1f} MB" for unit in plan.units]
    total_bytes = sum(unit.estimated_bytes for unit in plan.units)
    n_files = sum(len(unit.files) for unit in plan.units)
    lines.append(f"{len(plan.units)} units, {n_files} files, about {total_bytes / 1e6:,.1f} MB")
    return lines
