"""The story of a job on one screen: stage in, plan, resume, run the units, register, report."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from site_configs.load import expand
from site_configs.schema import Site
from transformation.destination import Destination
from transformation.journal import Journal
from transformation.layout import JobPlace
from transformation.ledger import Ledger
from transformation.model.failures import Failure, JobError
from transformation.model.spec import JobSpec
from transformation.model.work import Unit
from transformation.narrator import Narrator
from transformation.planning import Selection, plan_visit
from transformation.process import Processes
from transformation.reporting import Reporter
from transformation.request import Request
from transformation.resources import Share, free_bytes, units_at_once, units_on_disk
from transformation.run_units import UnitLoop, VisitWork
from transformation.set_up import SimulatorBench
from transformation.simulator.release import Release, find_release
from transformation.stage_in import StagedVisit, local_path, stage_in
from transformation.wiring import catalog_for, release_roots, storage_for
from transformation.workdir import WorkDir

_TICK_S = 0.05
_DEADLINE_MARGIN_S = 20.0
"""To end in order before the batch system ends us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything a run is given."""

    request: Request
    site: Site
    share: Share
    workdir: WorkDir
    processes: Processes
    deadline_s: float | None = None
    """Seconds since the epoch at which the slot ends."""
    only: tuple[tuple[str, str], ...] = ()
    """`--select`."""

    @property
    def spec(self) -> JobSpec:
        """The job spec."""
        return self.request.spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be made, from inputs that were all found good."""

    release: Release
    visits: tuple[StagedVisit, ...]
    units: tuple[Unit, ...]


def run_job(job: Job, journal: Journal, ledger: Ledger, reporter: Reporter, narrator: Narrator) -> Failure | None:
    """Make what the request asks for and is not there yet; the failure that speaks for the job, None if all is done.

    Raises `JobError` for what stops the whole job, before anything was started.
    """
    plan = make_plan(job, write_inputs=True)
    reporter.planned(plan.release, plan.visits, plan.units)
    destination = open_destination(job, plan, ledger, journal)
    reporter.placed(destination)
    remaining = destination.resume(plan.units)
    narrator.expect(len(plan.units), len(plan.units) - len(remaining))
    if remaining:
        _run_units(job, plan, remaining, destination, ledger, journal, reporter)
    destination.register_pending()
    if (failure := ledger.verdict()) is not None:
        return failure
    return destination.registration_failed.failure if destination.registration_failed else None


def make_plan(job: Job, *, write_inputs: bool) -> Plan:
    """Read and check all inputs and decide the units. Raises `JobError`."""
    spec = job.spec
    name = spec.release or job.site.releases.default
    if name is None:
        raise JobError(Failure.SPEC_INVALID, f"'release' is missing and site {job.site.name} has no default")
    release = find_release(name, release_roots(job.site, os.environ))
    folders = [job.workdir.visit(index) if write_inputs else None for index in range(len(spec.visit_items()))]
    visits = stage_in(spec, job.request.folder, release, folders, job.workdir.inputs)
    selection = Selection(
        sensors=spec.sensors,
        exposures="all" if spec.exposures == "all" else tuple(spec.exposures),
        amplifiers=spec.amplifiers,
        instrument=release.facts.instrument,
        only=job.only,
    )
    units = tuple(unit for staged in visits for unit in plan_visit(staged.facts, selection, release.sensors))
    if not units:
        raise JobError(Failure.NO_SENSOR_MATCHES, "--select leaves nothing of the request")
    return Plan(release=release, visits=tuple(visits), units=units)


def open_destination(job: Job, plan: Plan, ledger: Ledger, journal: Journal) -> Destination:
    """The job's place on storage and in the catalog. Raises `JobError`."""
    ledger.plan(plan.units)
    base = output_base(job)
    return Destination(
        storage_for(base),
        catalog_for(job.site, base),
        JobPlace(base=base, user=job.spec.user, job=job.spec.name),
        ledger,
        journal,
        visits=plan.visits,
        metadata={"release": plan.release.name, **panda_ids()},
    )


def output_base(job: Job) -> str:
    """Where images go: the spec's base, the site's, or the work folder."""
    base = job.spec.output.base
    first = base if isinstance(base, str) else base[0] if base else None
    if first is not None:
        if "://" in first and not first.startswith("file:"):
            return first
        return str(local_path(first, job.request.folder, "output.base").resolve())
    return expand(job.site.storage.bases[0]) if job.site.storage.bases else str(job.workdir.root)


def panda_ids() -> dict[str, str | int]:
    """PanDA's ids, which the pilot exports (pilot 3, `PANDAID` and `PanDA_TaskID`)."""
    names = {"panda_id": "PANDAID", "panda_task_id": "PanDA_TaskID"}
    return {key: os.environ[name] for key, name in names.items() if name in os.environ}


def _run_units(
    job: Job, plan: Plan, remaining: Sequence[Unit], destination: Destination, ledger: Ledger, journal: Journal,
    reporter: Reporter,
) -> None:  # fmt: skip
    hands = _hands(job, plan.release, len(remaining))
    bench = SimulatorBench(
        release=plan.release,
        workdir=job.workdir,
        processes=job.processes,
        amplifiers=job.spec.amplifiers,
        attempts=job.spec.attempts,
        wall_limit_s=3600.0 * (job.spec.limits.max_unit_hours or job.site.worker.max_unit_hours),
    )
    reporter.running(hands)
    loop = UnitLoop(bench, destination, ledger, journal, hands=hands, keep_folders=job.spec.debug)
    patience_s = 60.0
    try:
        loop.begin(_work(plan, remaining))
        while not loop.idle:
            time.sleep(_TICK_S)
            reporter.tick()
            if job.deadline_s is not None and time.time() > job.deadline_s - _DEADLINE_MARGIN_S:
                raise JobError(Failure.DEADLINE, "the slot ends now; what is committed stays")
    except BaseException:
        loop.stop()
        patience_s = 1.0
        raise
    finally:
        loop.end(patience_s)


def _hands(job: Job, release: Release, n_units: int) -> int:
    """How many simulator processes run at once. Raises `JobError` MEMORY_SHORT or DISK_FULL if not even one fits."""
    facts = release.facts
    in_memory = units_at_once(job.share, unit_memory_bytes=facts.memory_bytes)
    if in_memory < 1:
        raise JobError(
            Failure.MEMORY_SHORT,
            f"one process of {release.name} needs {facts.memory_bytes / 1e6:.0f} MB,"
            f" this job has {job.share.memory_bytes / 1e6:.0f} MB (from {job.share.memory_from})",
        )
    free = free_bytes(job.workdir.scratch)
    on_disk = units_on_disk(
        free, visit_scratch_bytes=facts.visit_scratch_bytes, unit_scratch_bytes=facts.unit_scratch_bytes
    )
    if on_disk < 1:
        needed = facts.visit_scratch_bytes + facts.unit_scratch_bytes
        raise JobError(
            Failure.DISK_FULL,
            f"{job.workdir.scratch} has {free / 1e6:,.0f} MB free, a unit of {release.name} needs {needed / 1e6:,.0f}",
        )
    return min(in_memory, on_disk, n_units)


def _work(plan: Plan, remaining: Sequence[Unit]) -> list[VisitWork]:
    by_visit = {staged.visit: [unit for unit in remaining if unit.visit == staged.visit] for staged in plan.visits}
    return [
        VisitWork(staged=staged, units=tuple(by_visit[staged.visit]))
        for staged in plan.visits
        if by_visit[staged.visit]
    ]


def default_scratch(site: Site) -> Path | None:
    """The site's scratch folder; None = inside the work folder."""
    return Path(expand(site.worker.scratch)) if site.worker.scratch else None
