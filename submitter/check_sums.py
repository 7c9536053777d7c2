"""Visits summed up: plan, prediction, and how the work is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from submitter.check_report import CheckReport, Problem, error, warning
from submitter.jobs import Plan, Shape
from submitter.visit_look import Depth, VisitLook
from submitter.work import Cut, Slot, cut_visit
from transformation.model.failures import Failure
from transformation.predict import NOTHING, Prediction, Range, predict_job, total


class Sums:
    """Sums over visits."""

    def __init__(self, report: CheckReport) -> None:
        self._report = report
        self._shapes: dict[Shape, int] = {}
        self._visits: list[tuple[str, int]] = []
        self._costs: list[tuple[VisitLook, dict[str, Range]]] = []
        self._jobs: list[tuple[Range, Sequence[Prediction]]] = []
        self._seen: dict[str, int] = {}

    def add(self, look: VisitLook) -> None:
        """Take one visit; its predictions are summed up and dropped."""
        report = self._report
        report.looks.append(look)
        self._tell(look)
        if look.visit and look.visit in self._seen:
            detail = f"visits {self._seen[look.visit] + 1} and {look.index + 1} are both obshistid {look.visit}"
            report.problems.append(error(Failure.SPEC_INVALID, f"'visits': {detail}; give each image its own"))
        self._seen.setdefault(look.visit, look.index)
        if look.shape is None:
            return
        self._visits.append((look.visit, self._shapes.setdefault(look.shape, len(self._shapes))))
        report.n_files += look.n_files
        report.output_bytes += look.output_bytes
        if look.predictions:
            self._costs.append((look, look.sensor_cpu_s()))
            self._jobs.append((look.set_up_cpu_s, list(look.predictions.values())))
            look.predictions = {}

    def finish(self) -> None:
        """Plan, prediction and cuts."""
        report = self._report
        report.plan = Plan(shapes=tuple(self._shapes), visits=tuple(self._visits))
        if self._jobs:
            self._predict()
        if report.question.slot is not None and self._visits and self._costs and report.question.hands:
            report.cuts = list(self._cuts(report.question.slot))
            self._check_lengths(report.question.slot)

    def _tell(self, look: VisitLook) -> None:
        problems = self._report.problems
        for failed in look.failures:
            # What only the next worker could cure is told, but keeps nobody from submitting.
            problems.append(error(failed.failure, failed.detail) if _refuses(look, failed.failure) else warning(failed))
        problems += [Problem(level="warning", name=name, message=line) for name, line in look.warnings]
        if look.empty_sensors:
            names = ", ".join(look.empty_sensors[:9]) + (" ..." if len(look.empty_sensors) > 9 else "")
            message = f"visit {look.visit}: too few objects on {len(look.empty_sensors)} sensors: {names}"
            problems.append(Problem(level="warning", name="EMPTY_SENSOR", message=message))

    def _predict(self) -> None:
        report = self._report
        question = report.question
        hands = max(1, question.hands)
        job = predict_job(self._jobs, hands, question.camera.needs)
        factor = len(self._visits) / len(self._jobs)
        report.cpu_s = _times(job.cpu_s, factor)
        report.wall_s = _times(job.wall_s, factor)
        report.memory_bytes, report.scratch_bytes = job.memory_bytes, job.scratch_bytes
        report.basis = self._basis()

    def _basis(self) -> str:
        looks = [look for look, _ in self._costs]
        sampled = sum(any(one.path is None for one in look.catalogs) and look.depth < Depth.WHOLE for look in looks)
        words = "the first bytes of the catalogs" if sampled == len(looks) else "the whole catalogs"
        words = "partly the first bytes of catalogs, partly whole ones" if 0 < sampled < len(looks) else words
        some = f" of {len(looks)} of {len(self._visits):,} visits" if len(looks) < len(self._visits) else ""
        return words + some

    def _cuts(self, slot: Slot) -> Iterator[Cut]:
        """A visit that was not looked at is cut as the mean of those that were."""
        looked = {look.visit: (look.set_up_cpu_s, costs) for look, costs in self._costs}
        of_shape: dict[int, Cut] = {}
        longest = max((visit for visit, _ in self._visits), key=len)
        for visit, shape in self._visits:
            if visit in looked:
                yield cut_visit(visit, looked[visit][1], looked[visit][0], slot)
                continue
            if shape not in of_shape:
                sensors = self._report.plan.shapes[shape].sensors
                set_up_s = _times(total(look.set_up_cpu_s for look, _ in self._costs), 1 / len(self._costs))
                of_shape[shape] = cut_visit(longest, self._mean_costs(sensors), set_up_s, slot)
            yield of_shape[shape]

    def _mean_costs(self, sensors: Sequence[str]) -> dict[str, Range]:
        found = {sensor: [costs[sensor] for _, costs in self._costs if sensor in costs] for sensor in sensors}
        every = [cost for costs in found.values() for cost in costs]
        usual = _times(total(every), 1 / len(every)) if every else NOTHING
        return {sensor: _times(total(costs), 1 / len(costs)) if costs else usual for sensor, costs in found.items()}

    def _check_lengths(self, slot: Slot) -> None:
        longest = max(wall[1] for cut in self._report.cuts for wall in cut.walls_s)
        if longest > slot.most_s:
            message = f"a single sensor takes {longest / 3600:,.1f} h by the prediction, more than the"
            message += f" {slot.most_s / 3600:g} h that a PanDA job should last"
            self._report.problems.append(Problem(level="warning", name="JOB_TOO_LONG", message=message))


def _refuses(look: VisitLook, failure: Failure) -> bool:
    """A visit of which nothing can be made is not submitted; spectra may be added to a release meanwhile."""
    return look.stopped and failure is not Failure.SED_MISSING


def _times(one: Range, factor: float) -> Range:
    return one[0] * factor, one[1] * factor, one[2] * factor
