"""`lsst-trf plan`: what a job would make and what it would cost, for people and programs; runs nothing."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import msgspec

from transformation.forecast import Forecast, job_report, unit_report
from transformation.job import Job
from transformation.journal import to_json
from transformation.model.failures import Failure, JobError, job_failure
from transformation.model.report import JobPredictedReport
from transformation.model.work import Unit
from transformation.planning import parse_select
from transformation.predict import Range
from transformation.process import Processes
from transformation.request import load_request
from transformation.resources import affinity_cores, decide_share, read_cgroup
from transformation.run_job import Plan, decide_hands_of, forecast_of, make_plan
from transformation.wiring import open_site, source_for
from transformation.workdir import WorkDir


class _Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with its forecast."""

    job: Job
    plan: Plan
    forecast: Forecast
    predicted: JobPredictedReport
    problems: list[str]


def show_plan(parsed: Namespace) -> int:
    """Run the command; the exit code: that of the units' failure if none of them can succeed."""
    site = open_site(parsed.site)
    request = load_request(parsed.job, parsed.job_params, lambda: source_for(site))
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
        outlook = _look(job)
    print(json.dumps(_document(outlook), indent=1) if parsed.json else os.linesep.join(_lines(outlook)))
    return _exit_code(outlook)


def _look(job: Job) -> _Outlook:
    plan = make_plan(job, write_inputs=True)
    forecast = forecast_of(job, plan, plan.units)
    problems = list(forecast.problems)
    try:
        hands = decide_hands_of(job, plan.release, len(plan.units))
    except JobError as error:
        # The job may well run elsewhere: the plan says what a worker must have.
        problems.append(f"{error.failed.failure.name}: here, {error.failed.detail}")
        hands = 1
    return _Outlook(job=job, plan=plan, forecast=forecast, predicted=job_report(forecast, hands), problems=problems)


def _exit_code(outlook: _Outlook) -> int:
    failures = [failed.failure for failed in outlook.forecast.failed.values()]
    failure = job_failure(failures, n_done=len(outlook.plan.units) - len(failures))
    if failure is None or failure is Failure.PARTIAL_FINAL:
        return 0
    print(f"ERROR: {outlook.problems[0]}; {failure.action}", file=sys.stderr)
    return failure.code


def _document(outlook: _Outlook) -> dict[str, object]:
    plan, job = outlook.plan, outlook.job
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
        "units": [_unit(outlook, unit) for unit in plan.units],
        "n_files": sum(len(unit.files) for unit in plan.units),
        "estimated_bytes": sum(unit.estimated_bytes for unit in plan.units),
        "predicted": json.loads(to_json(outlook.predicted)),
        "problems": outlook.problems,
        "warnings": list(outlook.forecast.warnings),
    }


def _unit(outlook: _Outlook, unit: Unit) -> dict[str, object]:
    failed = outlook.forecast.failed.get(unit.id)
    return {
        "id": unit.id,
        "visit": unit.visit,
        "sensor": unit.sensor,
        "exposure": unit.exposure,
        "seed": unit.seed,
        "exposure_s": unit.exposure_s,
        "files": [file.name for file in unit.files],
        "estimated_bytes": unit.estimated_bytes,
        "objects": outlook.forecast.objects[unit.id],
        "predicted": json.loads(to_json(unit_report(outlook.forecast.units[unit.id]))),
        "failure": None if failed is None else failed.failure.name,
    }


def _lines(outlook: _Outlook) -> list[str]:
    plan, job = outlook.plan, outlook.job
    lines = [f"job {job.spec.name} of {job.spec.user}, release {plan.release.name}"]
    for staged in plan.visits:
        lines.append(f"visit {staged.visit}: {staged.catalog.n_objects:,} objects, {staged.catalog.size_bytes:,} bytes")
        lines += [f"  warning: {warning}" for warning in staged.catalog.warnings]
    lines += [f"problem: {problem}" for problem in outlook.problems]
    lines += [f"warning: {warning}" for warning in outlook.forecast.warnings]
    lines += [_unit_line(outlook, unit) for unit in plan.units]
    n_files = sum(len(unit.files) for unit in plan.units)
    predicted = outlook.predicted
    lines.append(
        f"CPU {_duration(predicted.cpu_s)} by cost model {predicted.model}; {predicted.units_at_once} at once here:"
        f" wall {_duration(predicted.wall_s)}, memory {predicted.memory_bytes / 1e6:,.0f} MB,"
        f" scratch {predicted.scratch_bytes / 1e6:,.0f} MB"
    )
    lines.append(f"{len(plan.units)} units, {n_files} files, about {predicted.output_bytes / 1e6:,.1f} MB")
    return lines


def _unit_line(outlook: _Outlook, unit: Unit) -> str:
    failed = outlook.forecast.failed.get(unit.id)
    predicted = outlook.forecast.units[unit.id]
    cost = f"{outlook.forecast.objects[unit.id]:>8,} objects, " + (
        failed.failure.name if failed else f"CPU {_duration(predicted.cpu_s)}" if predicted.terms else "empty"
    )
    return f"{unit.id:<32} {len(unit.files):>3} files {unit.estimated_bytes / 1e6:>8.1f} MB {cost}"


def _duration(seconds: Range) -> str:
    """`2.1 h (1.4 to 3.1)`."""
    unit, length_s = ("h", 3600.0) if seconds[1] >= 3600.0 else ("min", 60.0) if seconds[1] >= 60.0 else ("s", 1.0)
    low, mid, high = (f"{value / length_s:,.1f}" for value in seconds)
    return f"{mid} {unit} ({low} to {high})"
