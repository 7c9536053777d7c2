"""What a request means, costs and lacks, before anything is submitted: the confirm page of 2014.

Everything that is wrong is found in one go. Nothing is written, neither at the destination nor at PanDA.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from submitter.catalogs import CatalogReader, Opened
from submitter.check_report import LEVELS, CheckReport, Problem, error
from submitter.check_sums import Sums
from submitter.credentials import credential_for, uses_tokens
from submitter.folders import Folders
from submitter.prepare import Question
from submitter.settings import Settings
from submitter.troubles import Trouble
from submitter.visit_look import Depth, Wanted
from submitter.visit_reader import HEADER_BYTES, SAMPLE_BYTES
from submitter.visits import VisitInspector
from transformation.inputs import sizes_for
from transformation.locations import Kind, kind_of
from transformation.model.failures import Failure, JobError
from transformation.model.spec import VisitItem, catalog_item
from transformation.wiring import source_for

_OPENED_AT_ONCE = 16
_SHORTEST_S = 300.0
_VISITS_A_BATCH = 64
MOST_VISITS_LOOKED_AT = 24
"""Of more visits, so many are looked at closely, spread over the request; the prediction is scaled up from them."""


def check(question: Question, settings: Settings, folders: Folders) -> CheckReport:
    """Look at everything. Raises `JobError` only for what leaves nothing to look at."""
    report = CheckReport(question=question)
    _check_place(report)
    _check_credential(report, settings, folders)
    with tempfile.TemporaryDirectory(prefix="iod-check-") as folder:
        reader = CatalogReader(lambda: source_for(question.site))
        try:
            _look_at_visits(report, reader, Path(folder))
        finally:
            reader.close()
    report.problems.sort(key=lambda problem: LEVELS.index(problem.level))
    return report


def _check_place(report: CheckReport) -> None:
    """Site, queue and release."""
    question = report.question
    if question.camera.root is None:
        report.problems.append(
            Problem(
                level="note",
                name="RELEASE_NOT_SEEN",
                message=f"release {question.camera.name} cannot be seen from here: sensors are LSST's, costs those of"
                " its kind, and spectra were not looked for",
            )
        )
    if question.queue is not None and question.queue.status == "offline":
        message = f"queue {question.queue.name} of site {question.site.name} is offline"
        report.problems.append(error(Trouble.SITE_CLOSED, message))
    if question.backend != "local" and question.queue is None:
        message = f"site {question.site.name} has no PanDA queue"
        report.problems.append(error(Trouble.SITE_CLOSED, message))
    if question.backend != "local" and kind_of(question.base) is Kind.FILE:
        message = f"images go to {question.base}: workers have to see that folder under the same name"
        report.problems.append(Problem(level="warning", name="OUTPUT_IS_A_FOLDER", message=message))
    if question.hands < 1:
        needed, given = question.camera.needs.memory_bytes / 1e6, question.share.memory_mb
        message = f"one unit of {question.camera.name} needs {needed:,.0f} MB, a job would have {given:,} MB"
        report.problems.append(error(Failure.MEMORY_SHORT, message))
    seds = question.draft.spec.options.seds
    if seds is not None and question.backend != "local":
        message = "'options.seds' is a folder of this machine, which workers do not reach"
        report.problems.append(error(Failure.SPEC_INVALID, message))
    elif seds is not None and not Path(seds).is_dir():
        report.problems.append(error(Failure.SPEC_INVALID, f"'options.seds': {seds} is not a folder"))


def _check_credential(report: CheckReport, settings: Settings, folders: Folders) -> None:
    """A token that its owner cannot renew, or a proxy, has to last until the request is handed over."""
    if report.question.backend == "local":
        return
    credential = report.credential = credential_for(settings.panda, folders)
    if credential is None:
        kind = "token" if uses_tokens(settings.panda) else "grid proxy"
        report.problems.append(error(Trouble.CREDENTIAL_MISSING, f"there is no {kind} for the PanDA server"))
    elif credential.ends_s is not None and credential.ends_s < time.time() + _SHORTEST_S and not credential.renewable:
        message = f"the {credential.kind} {credential.path} ends too early, or has ended"
        report.problems.append(error(Trouble.CREDENTIAL_MISSING, message))


# ---------------------------------------------------------------- visits
def _look_at_visits(report: CheckReport, reader: CatalogReader, folder: Path) -> None:
    question = report.question
    spec, site = question.draft.spec, question.site
    wanted = Wanted(
        spec=spec,
        camera=question.camera,
        most_hours=spec.limits.max_unit_hours or site.worker.max_unit_hours,
        core_speed=site.worker.core_speed,
        folder=folder,
        sizes=sizes_for(spec, site),
    )
    inspector = VisitInspector(wanted, reader)
    visits = question.draft.visits
    depths = _depths(len(visits), deep=question.deep)
    gathered = Sums(report)
    for index, opened in enumerate(_all_opened(reader, visits, depths)):
        gathered.add(inspector.look(visits[index], index, depths[index], opened))
    gathered.finish()


def _depths(n_visits: int, *, deep: bool) -> list[Depth]:
    if deep:
        return [Depth.WHOLE] * n_visits
    if n_visits <= MOST_VISITS_LOOKED_AT:
        return [Depth.SAMPLE] * n_visits
    close = {round(at * (n_visits - 1) / (MOST_VISITS_LOOKED_AT - 1)) for at in range(MOST_VISITS_LOOKED_AT)}
    return [Depth.SAMPLE if at in close else Depth.HEADER for at in range(n_visits)]


def _all_opened(
    reader: CatalogReader, visits: Sequence[VisitItem], depths: Sequence[Depth]
) -> Iterator[list[Opened] | JobError]:
    """All catalogs in order, several asked for at once, never many in memory."""

    def open_visit(item: VisitItem, depth: Depth) -> list[Opened] | JobError:
        n_bytes = HEADER_BYTES if depth is Depth.HEADER else SAMPLE_BYTES
        try:
            return [reader.open(catalog_item(entry), n_bytes) for entry in item.catalogs]
        except JobError as error:
            return error

    pairs = iter(zip(visits, depths, strict=True))
    with ThreadPoolExecutor(_OPENED_AT_ONCE, thread_name_prefix="catalogs") as pool:
        while batch := list(islice(pairs, _VISITS_A_BATCH)):
            yield from pool.map(lambda pair: open_visit(*pair), batch)
