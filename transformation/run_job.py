"""The story of a job on one screen: stage in, plan, resume, run the units, register, report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from site_configs.load import expand
from site_configs.schema import Site
from transformation.destination import Destination
from transformation.forecast import Forecast, VisitInputs, job_report, make_forecast, needs_of, unit_report
from transformation.journal import Journal
from transformation.layout import JobPlace
from transformation.ledger import Ledger
from transformation.model.failures import Failure, JobError
from transformation.model.spec import JobSpec
from transformation.model.work import Unit
from transformation.narrator import Narrator
from transformation.planning import Selection, plan_visit
from transformation.ports import Retry
from transformation.preflight import check_exposures, decide_hands
from transformation.process import Processes
from transformation.reporting import Reporter
from transformation.request import Request
from transformation.resources import Share, free_bytes
from transformation.run_units import UnitLoop, VisitWork
from transformation.set_up import SimulatorBench
from transformation.simulator.choose import has_grid_mode
from transformation.simulator.release import Release, find_release
from transformation.stage_in import StagedVisit, local_path, stage_in
from transformation.watch import Watch
from transformation.wiring import catalog_for, gather_s, release_roots, sidecars, storage_for
from transformation.workdir import WorkDir

_TICK_S = 0.05
_DEADLINE_MARGIN_S = 20.0
"""To end in order before the batch system ends us."""
_CATALOG_PATIENCE_S = 120.0
"""How long a job whose images are all safe waits for a catalog that does nothing."""
_LAST_REGISTRATION_S = 0.5
"""The same for a job that has to go."""


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

    @property
    def most_hours(self) -> float:
        """Wall limit of a simulator process; no unit is begun that will surely take longer."""
        return self.spec.limits.max_unit_hours or self.site.worker.max_unit_hours


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
    with closing(destination), _registered_at_last(destination):
        reporter.placed(destination)
        remaining = destination.resume(plan.units)
        narrator.expect(len(plan.units), len(plan.units) - len(remaining))
        if remaining:
            hands = decide_hands_of(job, plan.release, len(remaining))
            lengths_s = _look_ahead(job, plan, remaining, hands, destination, ledger, reporter, narrator)
            promising = [unit for unit in remaining if unit.id in lengths_s]
            _run_units(job, plan, promising, lengths_s, hands, destination, ledger, journal, reporter)
        unregistered = destination.finish_registration(_CATALOG_PATIENCE_S)
        if (failure := ledger.verdict()) is not None:
            return failure
        return unregistered.failure if unregistered else None


@contextmanager
def _registered_at_last(destination: Destination) -> Iterator[None]:
    """When the job is stopped, register what is done if that is a matter of a moment."""
    try:
        yield
    except BaseException:
        destination.finish_registration(_LAST_REGISTRATION_S)
        raise


def make_plan(job: Job, *, write_inputs: bool) -> Plan:
    """Read and check all inputs and decide the units. Raises `JobError`."""
    spec = job.spec
    name = spec.release or job.site.releases.default
    if name is None:
        raise JobError(Failure.SPEC_INVALID, f"'release' is missing and site {job.site.name} has no default")
    release = find_release(name, release_roots(job.site, os.environ), sidecars(job.site))
    folders = [job.workdir.visit(index) if write_inputs else None for index in range(len(spec.visit_items()))]
    if spec.options.checkpoints and not (has_grid_mode(release) and release.facts.options.checkpoint):
        detail = f"'options.checkpoints': release {release.name} cannot make checkpoints; leave the option out"
        raise JobError(Failure.SPEC_INVALID, detail)
    visits = stage_in(spec, job.request.folder, release, folders, job.workdir.inputs)
    selection = Selection(
        sensors=spec.sensors,
        exposures="all" if spec.exposures == "all" else tuple(spec.exposures),
        amplifiers=spec.amplifiers,
        instrument=release.facts.instrument,
        only=job.only,
    )
    units = tuple(unit for staged in visits for unit in _plan_visit(staged, selection, release))
    if not units:
        raise JobError(Failure.NO_SENSOR_MATCHES, "--select leaves nothing of the request")
    return Plan(release=release, visits=tuple(visits), units=units)


def _plan_visit(staged: StagedVisit, selection: Selection, release: Release) -> tuple[Unit, ...]:
    units = plan_visit(staged.facts, selection, release.sensors)
    check_exposures(staged.facts, units, staged.catalog.telconfig)
    return units


def open_destination(job: Job, plan: Plan, ledger: Ledger, journal: Journal) -> Destination:
    """The job's place on storage and in the catalog. Raises `JobError`."""
    ledger.plan(plan.units)
    base = output_base(job)
    place = JobPlace(base=base, user=job.spec.user, job=job.spec.name)
    return Destination(
        storage_for(base, job.workdir.logs, partial(_note_retry, journal)),
        catalog_for(job.site, place, job.workdir.root),
        place,
        ledger,
        journal,
        visits=plan.visits,
        metadata={"release": plan.release.name, **panda_ids()},
        gather_s=gather_s(job.site),
    )


def _note_retry(journal: Journal, retry: Retry) -> None:
    journal.write(
        "storage_retry",
        operation=retry.operation,
        url=retry.url,
        tried=retry.tried,
        wait_s=retry.wait_s,
        problem=retry.problem,
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
    job: Job, plan: Plan, remaining: Sequence[Unit], lengths_s: Mapping[str, float], hands: int,
    destination: Destination, ledger: Ledger, journal: Journal, reporter: Reporter,
) -> None:  # fmt: skip
    bench = SimulatorBench(
        release=plan.release,
        workdir=job.workdir,
        processes=job.processes,
        amplifiers=job.spec.amplifiers,
        attempts=job.spec.attempts,
        wall_limit_s=3600.0 * job.most_hours,
        memory_limit_bytes=min(plan.release.facts.memory_bytes, job.share.memory_bytes // hands),
        checkpoints=job.spec.options.checkpoints,
        idle_limit_s=3600.0 * job.site.worker.max_idle_hours,
    )
    reporter.running(hands, job.processes)
    watch = Watch(job.workdir, ledger, journal, job.processes, hands=hands, lengths_s=lengths_s)
    loop = UnitLoop(
        bench, destination, ledger, journal, hands=hands, keep_folders=job.spec.debug, lengths_s=lengths_s, watch=watch
    )
    patience_s = 60.0
    try:
        loop.begin(_work(plan, remaining))
        while not loop.idle:
            time.sleep(_TICK_S)
            watch.tick()
            reporter.tick()
            if job.deadline_s is not None and time.time() > job.deadline_s - _DEADLINE_MARGIN_S:
                raise JobError(Failure.DEADLINE, "the slot ends now; what is committed stays")
    except BaseException:
        loop.stop()
        patience_s = 1.0
        raise
    finally:
        loop.end(patience_s)


def decide_hands_of(job: Job, release: Release, n_units: int) -> int:
    """How many simulator processes run at once on this worker. Raises `JobError` if not even one fits."""
    folder = job.workdir.scratch
    return decide_hands(release.name, needs_of(release), job.share, free_bytes(folder), str(folder), n_units)


def forecast_of(job: Job, plan: Plan, units: Sequence[Unit]) -> Forecast:
    """What these units will cost, and which of them cannot succeed. Needs the inputs that `make_plan` wrote."""
    return make_forecast(
        plan.release,
        [_inputs(staged, job.workdir) for staged in plan.visits],
        units,
        most_hours=job.most_hours,
        core_speed=job.site.worker.core_speed,
    )


def _inputs(staged: StagedVisit, workdir: WorkDir) -> VisitInputs:
    return VisitInputs(
        visit=staged.visit,
        catalog=staged.catalog,
        commands=staged.commands,
        objects=workdir.visit(staged.index).objects,
        sed_library=staged.sed_library,
    )


def _look_ahead(
    job: Job, plan: Plan, units: Sequence[Unit], hands: int, destination: Destination, ledger: Ledger,
    reporter: Reporter, narrator: Narrator,
) -> dict[str, float]:  # fmt: skip
    """CPU-seconds expected of each unit; those that cannot succeed are given up here, before any CPU is spent."""
    forecast = forecast_of(job, plan, units)
    reporter.predicted(job_report(forecast, hands), [*forecast.problems, *forecast.warnings])
    ledger.predicted({unit_id: unit_report(one) for unit_id, one in forecast.units.items()})
    for line in forecast.problems:
        narrator.say(f"problem  {line}")
    for unit in units:
        failed = forecast.failed.get(unit.id)
        if failed is not None:
            ledger.failed(unit, failed)
            if failed.failure.lies_in_the_request:
                destination.remember_failure(unit, failed)
    return {unit_id: one.cpu_s[1] for unit_id, one in forecast.units.items() if unit_id not in forecast.failed}


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
