"""The story of a job on one screen: stage in, plan, resume, run the units, register, report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from site_configs.load import expand
from site_configs.schema import Site
from transformation.destination import Destination
from transformation.fetching import Note, keep_silent
from transformation.forecast import Forecast, VisitInputs, job_report, make_forecast, needs_of, unit_report
from transformation.job import Job, read_clocks, scratch_share
from transformation.journal import Journal
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure, JobError
from transformation.model.work import Unit
from transformation.narrator import Narrator
from transformation.opening import check_may_write, open_destination
from transformation.planning import Selection, plan_visit, selected_in_vain
from transformation.preflight import check_exposures, decide_hands
from transformation.reporting import Reporter
from transformation.resources import free_bytes
from transformation.run_units import UnitLoop, VisitWork
from transformation.set_up import SimulatorBench
from transformation.shift import Shift
from transformation.simulator.choose import has_grid_mode
from transformation.simulator.release import Release, find_release
from transformation.stage_in import StagedVisit, stage_in
from transformation.watch import Watch
from transformation.wiring import inputs_for, release_roots, sidecars
from transformation.workdir import WorkDir

_CATALOG_PATIENCE_S = 120.0
"""How long a job whose images are all safe waits for a catalog that does nothing."""
_LAST_REGISTRATION_S = 5.0
"""The same for a job that ends early,"""
_IN_HASTE_S = 0.5
"""and for one that has to go."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be made, from inputs that were all found good."""

    release: Release
    visits: tuple[StagedVisit, ...]
    units: tuple[Unit, ...]


def run_job(job: Job, journal: Journal, ledger: Ledger, reporter: Reporter, narrator: Narrator) -> Failed | None:
    """Make what the request asks for and is not there yet; the failure that speaks for the job, None if all is done.

    Raises `JobError` for what stops the whole job, before anything was started.
    """
    bases = check_may_write(job)
    plan = make_plan(job, write_inputs=True, note=journal.write)
    reporter.planned(plan.release, plan.visits, plan.units)
    ledger.plan(plan.units)
    destination = open_destination(job, bases, plan.visits, plan.release.name, ledger, journal)
    with closing(destination), _registered_at_last(destination):
        reporter.placed(destination)
        remaining = destination.resume(plan.units)
        narrator.expect(len(plan.units), len(plan.units) - len(remaining))
        if remaining:
            hands = decide_hands_of(job, plan.release, len(remaining))
            lengths_s = _look_ahead(job, plan, remaining, hands, destination, ledger, reporter, narrator)
            promising = [unit for unit in remaining if unit.id in lengths_s]
            _run_units(job, plan, promising, lengths_s, hands, destination, ledger, journal, reporter)
        destination.tell_destinations()
        unregistered = destination.finish_registration(_CATALOG_PATIENCE_S)
        if (failure := ledger.verdict()) is not None:
            return Failed(failure=failure, detail=ledger.summary())
        return unregistered and replace(unregistered, detail=f"{ledger.summary()}; {unregistered.detail}")


@contextmanager
def _registered_at_last(destination: Destination) -> Iterator[None]:
    """When the job is stopped, register what is done if that is a matter of a moment."""
    try:
        yield
    except BaseException as error:
        destination.finish_registration(_LAST_REGISTRATION_S if isinstance(error, JobError) else _IN_HASTE_S)
        raise


def make_plan(job: Job, *, write_inputs: bool, note: Note = keep_silent) -> Plan:
    """Fetch, read and check all inputs and decide the units; `note` gets the events of fetching. Raises `JobError`."""
    spec = job.spec
    name = spec.release or job.site.releases.default
    if name is None:
        raise JobError(Failure.SPEC_INVALID, f"'release' is missing and site {job.site.name} has no default")
    release = find_release(name, release_roots(job.site, os.environ), sidecars(job.site))
    folders = [job.workdir.visit(index) if write_inputs else None for index in range(len(spec.visit_items()))]
    if spec.options.checkpoints and not (has_grid_mode(release) and release.facts.options.checkpoint):
        detail = f"'options.checkpoints': release {release.name} cannot make checkpoints; leave the option out"
        raise JobError(Failure.SPEC_INVALID, detail)
    inputs = inputs_for(job.request, job.site, job.workdir, note)
    visits = stage_in(spec, release, inputs, folders, job.workdir.inputs)
    selection = Selection(
        sensors=spec.sensors,
        exposures="all" if spec.exposures == "all" else tuple(spec.exposures),
        amplifiers=spec.amplifiers,
        instrument=release.facts.instrument,
        only=job.only,
    )
    units = tuple(unit for staged in visits for unit in _plan_visit(staged, selection, release))
    if absent := selected_in_vain(job.only, units):
        raise JobError(Failure.NO_SENSOR_MATCHES, f"--select: {', '.join(absent)} is not in the request")
    if not units:
        detail = "no exposure is as long as one frame of the sensors that 'sensors' names"
        raise JobError(Failure.NO_SENSOR_MATCHES, detail)
    return Plan(release=release, visits=tuple(visits), units=units)


def _plan_visit(staged: StagedVisit, selection: Selection, release: Release) -> tuple[Unit, ...]:
    units = plan_visit(staged.facts, selection, release.sensors)
    check_exposures(staged.facts, units, staged.catalog.telconfig)
    return units


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
        limits=job.limits(plan.release),
        memory_limit_bytes=min(plan.release.facts.memory_bytes, job.share.memory_bytes // hands),
        checkpoints=job.spec.options.checkpoints,
    )
    job.processes.prepare(job.budget(plan.release, hands), job.workdir.logs / "guardian.err")
    reporter.running(hands, job.processes)
    watch = Watch(job.workdir, ledger, journal, job.processes, hands=hands, lengths_s=lengths_s)
    loop = UnitLoop(
        bench, destination, ledger, journal, hands=hands, keep_folders=job.spec.debug, lengths_s=lengths_s, watch=watch,
        may_begin=lambda wall_s: job.slot is None or job.slot.fits(wall_s, read_clocks().boot_s),
    )  # fmt: skip
    shift = Shift(
        loop=loop, watch=watch, reporter=reporter, journal=journal, processes=job.processes, slot=job.slot,
        clocks=read_clocks,
    )  # fmt: skip
    shift.work(_work(plan, remaining))


def decide_hands_of(job: Job, release: Release, n_units: int) -> int:
    """How many simulator processes run at once on this worker. Raises `JobError` if not even one fits."""
    folder, needs, share = job.workdir.scratch, needs_of(release), scratch_share(job.site)
    needed = needs.visit_scratch_bytes + needs.unit_scratch_bytes
    if share is not None and share < needed:
        detail = f"a visit and a unit of {release.name} need {needed / 1e6:,.0f} MB of scratch"
        raise JobError(Failure.SCRATCH_SHORT, f"{detail}, this job may use {share / 1e6:,.0f} MB")
    free = free_bytes(folder)
    room = free if share is None else min(free, share)
    return decide_hands(release.name, needs, job.share, room, str(folder), n_units)


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
    output_bytes = [one.output_bytes for unit_id, one in forecast.units.items() if unit_id not in forecast.failed]
    full, room = destination.check_room(needed_bytes=sum(output_bytes), largest_bytes=max(output_bytes, default=0))
    reporter.predicted(job_report(forecast, hands), [*forecast.problems, *forecast.warnings, *room])
    ledger.predicted({unit_id: unit_report(one) for unit_id, one in forecast.units.items()})
    for line in forecast.problems:
        narrator.say(f"problem  {line}")
    lengths_s: dict[str, float] = {}
    for unit in units:
        mid_s = forecast.units[unit.id].cpu_s[1]
        failed = forecast.failed.get(unit.id) or full or destination.too_late(unit, mid_s)
        if failed is None:
            lengths_s[unit.id] = mid_s
            continue
        ledger.failed(unit, failed)
        if failed.failure.lies_in_the_request:
            destination.remember_failure(unit, failed)
    return lengths_s


def _work(plan: Plan, remaining: Sequence[Unit]) -> list[VisitWork]:
    by_visit = {staged.visit: [unit for unit in remaining if unit.visit == staged.visit] for staged in plan.visits}
    return [
        VisitWork(staged=staged, units=tuple(by_visit[staged.visit]))
        for staged in plan.visits
        if by_visit[staged.visit]
    ]


def default_scratch(site: Site) -> Path | None:
    """The site's scratch folder; None = inside the work folder, also where a variable in its name is not set."""
    folder = expand(site.worker.scratch or "")
    return Path(folder) if folder and "$" not in folder else None
