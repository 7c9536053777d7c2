"""What is done already, asked of all destinations of a job at once: where each unit stands, and which may be made.

Rules of this file
1. A destination that does not answer never means "missing". A unit that may stand there waits: it fails with that
   destination's failure, which sends the job elsewhere. It may stand there if a claim at one that answers says so, if
   its manifest was listed there before the answers stopped, or if the catalog knows it there.
2. A unit of which none of them knows anything can be made: whoever committed it at the silent one would have left a
   claim at those that answer, unless those were silent to it.
3. A unit that stands twice, for the same request, is done: it counts where the catalog knows it, else at the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

from transformation.claims import read_claim
from transformation.layout import UNITS_FOLDER, claim_name, is_manifest, manifest_name, unit_of
from transformation.model.failures import Failed, Failure, JobError
from transformation.model.work import Unit
from transformation.ports import CatalogError, Storage, StorageError, Survey
from transformation.resume import Conflict, Done, KnownFailure, Lost, Receipts, Verdict, judge_receipts, list_receipts
from transformation.standing import sweep_elsewhere
from transformation.targets import Target, Targets, worst

_CLAIMS_AT_ONCE = 16


class At(msgspec.Struct, frozen=True, kw_only=True):
    """A unit that is done, and where."""

    target: Target
    verdict: Done


class Whereabouts(msgspec.Struct, kw_only=True):
    """Of all units of a job; each is in one of these, by its id, or it is to be made and was never heard of."""

    done: dict[str, At] = msgspec.field(default_factory=dict)
    failed: dict[str, Failed] = msgspec.field(default_factory=dict)
    """For good, or because they may stand where nobody answers."""
    lost: dict[str, str] = msgspec.field(default_factory=dict)
    """Why; to be made again."""
    bound: dict[str, Target] = msgspec.field(default_factory=dict)
    """To be made, and committed at this destination only."""
    twice: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Of those that are done: the other addresses at which the same stands."""
    unheard: dict[str, list[tuple[Unit, str]]] = msgspec.field(default_factory=dict)
    """By address: units that are done elsewhere, of which that destination holds no claim."""
    surveys: dict[str, Survey] = msgspec.field(default_factory=dict)
    """By address, of those that answer."""


class _Answer(msgspec.Struct, kw_only=True):
    """Of one destination."""

    target: Target
    receipts: Receipts = msgspec.field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = msgspec.field(default_factory=dict)
    claims: dict[str, str] = msgspec.field(default_factory=dict)
    """Addresses by unit id."""
    survey: Survey | None = None
    failed: Failed | None = None

    def names(self, unit: Unit) -> Sequence[str]:
        """What was listed of it."""
        return self.receipts.get(unit.visit, {}).get(unit.id, ())


def find_units(
    targets: Targets,
    units: Sequence[Unit],
    digest_by_visit: Mapping[str, str],
    explain: Callable[[Target, Failed], Failed] = lambda _, failed: failed,
) -> Whereabouts:
    """Where the units stand; `explain` puts a destination's failure in the words of the job.

    Raises `StorageError` if no destination answers, `JobError` STORAGE_NOT_EXCLUSIVE."""
    answers = _ask_all(targets, units, digest_by_visit, targets.storage_of, explain)
    silent = [answer for answer in answers if answer.failed]
    if len(silent) == len(answers):
        # Nobody is left to go to: now is the time for patience.
        if len(answers) > 1:
            answers = _ask_all(targets, units, digest_by_visit, lambda target: target.storage, explain)
            silent = [answer for answer in answers if answer.failed]
        if len(silent) == len(answers):
            failed = worst([answer.failed for answer in silent if answer.failed])
            raise StorageError(failed.failure, failed.detail, transient=False)
    _read_claims(answers, units)
    for answer in answers:
        if answer.failed is not None:
            targets.leave(answer.target, answer.failed)
    return _decide(targets, answers, units)


def _ask_all(
    targets: Targets,
    units: Sequence[Unit],
    digest_by_visit: Mapping[str, str],
    storage_of: Callable[[Target], Storage],
    explain: Callable[[Target, Failed], Failed],
) -> list[_Answer]:
    def ask(target: Target) -> _Answer:
        answer, storage = _Answer(target=target), storage_of(target)
        targets.report(target).tried = True
        try:
            answer.survey = storage.survey(target.place.folder)
            _check_exclusive(target, answer.survey)
            answer.receipts = list_receipts(storage, target.place, units)
            answer.verdicts = judge_receipts(storage, target.place, units, digest_by_visit, answer.receipts)
        except StorageError as error:
            answer.failed = explain(target, Failed(failure=error.failure, detail=error.detail))
        return answer

    with ThreadPoolExecutor(len(targets.all), thread_name_prefix="destination") as pool:
        return list(pool.map(ask, targets.all))


def _check_exclusive(target: Target, survey: Survey) -> None:
    if not survey.exclusive and not target.trusted:
        detail = f"{target.address} does not create files exclusively, or is a redirector that does not see all of them"
        raise JobError(Failure.STORAGE_NOT_EXCLUSIVE, detail)


def _read_claims(answers: Sequence[_Answer], units: Sequence[Unit]) -> None:
    """Those of units that are not known to be done; whoever cannot tell its claims is silent."""
    done = {name for answer in answers for name, verdict in answer.verdicts.items() if isinstance(verdict, Done)}
    with ThreadPoolExecutor(_CLAIMS_AT_ONCE, thread_name_prefix="claims") as pool:
        for answer in answers:
            open_units = [unit for unit in units if unit.id not in done and claim_name(unit.id) in answer.names(unit)]
            if answer.failed is not None:
                continue
            try:
                found = list(pool.map(lambda unit, target=answer.target: read_claim(target, unit), open_units))
            except StorageError as error:
                answer.failed = Failed(failure=error.failure, detail=error.detail)
                continue
            answer.claims = {unit.id: claim for unit, claim in zip(open_units, found, strict=True) if claim}


def _decide(targets: Targets, answers: Sequence[_Answer], units: Sequence[Unit]) -> Whereabouts:
    where = Whereabouts(surveys={answer.target.address: answer.survey for answer in answers if answer.survey})
    for unit in units:
        done = [answer for answer in answers if isinstance(answer.verdicts.get(unit.id), Done)]
        if done:
            _note_done(where, unit, done, answers)
        elif failed := _waits(answers, unit) or _given_up(answers, unit):
            where.failed[unit.id] = failed
        else:
            _bind(where, targets, answers, unit)
    _ask_catalogs(where, answers, units)
    _sweep(where, answers, units)
    return where


def _sweep(where: Whereabouts, answers: Sequence[_Answer], units: Sequence[Unit]) -> None:
    """Of units that are done, what attempts left at the other destinations."""
    done = [unit for unit in units if unit.id in where.done]
    for answer in answers:
        others = [unit for unit in done if not isinstance(answer.verdicts.get(unit.id), Done)]
        if answer.failed is not None or not others:
            continue
        receipts = {unit.id: answer.names(unit) for unit in others}
        with suppress(StorageError):  # the next attempt may do it
            sweep_elsewhere(answer.target.hasty, answer.target.place, others, receipts)


def _note_done(where: Whereabouts, unit: Unit, done: Sequence[_Answer], answers: Sequence[_Answer]) -> None:
    chosen = _registered(unit, done) if len(done) > 1 else done[0]
    verdict = chosen.verdicts[unit.id]
    assert isinstance(verdict, Done)
    where.done[unit.id] = At(target=chosen.target, verdict=verdict)
    if others := tuple(answer.target.address for answer in done if answer is not chosen):
        where.twice[unit.id] = others
    for answer in answers:
        if answer.failed is None and answer not in done and claim_name(unit.id) not in answer.names(unit):
            where.unheard.setdefault(answer.target.address, []).append((unit, chosen.target.address))


def _registered(unit: Unit, done: Sequence[_Answer]) -> _Answer:
    """The one of several that a catalog knows, else the first."""
    for answer in done:
        known = _known_manifests(answer.target, unit.visit)
        if any(answer.target.place.holds(url) for unit_id, url in known if unit_id == unit.id):
            return answer
    return done[0]


def _waits(answers: Sequence[_Answer], unit: Unit) -> Failed | None:
    """Why the unit may stand where nobody tells."""
    silent = {answer.target.address: answer for answer in answers if answer.failed}
    places = [answer for answer in silent.values() if manifest_name(unit.id) in answer.names(unit)]
    claims = (answer.claims.get(unit.id) for answer in answers)
    places += [silent[claim] for claim in claims if claim in silent]
    unread = [answer for answer in silent.values() if claim_name(unit.id) in answer.names(unit)]
    for answer in (*places, *unread):
        return _may_stand(unit, answer)
    return None


def _may_stand(unit: Unit, answer: _Answer) -> Failed:
    assert answer.failed is not None
    detail = f"{unit.id} may stand at {answer.target.address} already: {answer.failed.detail}"
    return Failed(failure=answer.failed.failure, detail=detail)


def _given_up(answers: Sequence[_Answer], unit: Unit) -> Failed | None:
    verdicts = [answer.verdicts.get(unit.id) for answer in answers]
    failures = (
        verdict.failed for kind in (Conflict, KnownFailure) for verdict in verdicts if isinstance(verdict, kind)
    )
    return next(failures, None)


def _bind(where: Whereabouts, targets: Targets, answers: Sequence[_Answer], unit: Unit) -> None:
    """Where the unit has to go, if that is settled: its manifest lost a file there, or it is claimed for it."""
    for answer in answers:
        verdict = answer.verdicts.get(unit.id)
        if isinstance(verdict, Lost):
            where.lost[unit.id] = verdict.reason
            where.bound[unit.id] = answer.target
            return
    claimed = (targets.at(answer.claims.get(unit.id, "")) for answer in answers)
    target = next(filter(None, claimed), None)
    if target is not None:
        where.bound[unit.id] = target


def _ask_catalogs(where: Whereabouts, answers: Sequence[_Answer], units: Sequence[Unit]) -> None:
    """Units that a catalog knows at a silent destination wait too; a catalog that is silent as well tells nothing."""
    silent = [answer for answer in answers if answer.failed]
    unknown = {
        unit.id: unit for unit in units if not any(unit.id in one for one in (where.done, where.failed, where.bound))
    }
    if not silent or not unknown:
        return
    for answer in answers:
        for visit in sorted({unit.visit for unit in unknown.values()}) if answer.failed is None else ():
            for unit_id, url in _known_manifests(answer.target, visit):
                for place in silent:
                    if unit_id in unknown and place.target.place.holds(url):
                        where.failed[unit_id] = _may_stand(unknown[unit_id], place)


def _known_manifests(target: Target, visit: str) -> list[tuple[str, str]]:
    """Unit and location of each manifest of the visit that the catalog of that destination knows."""
    if target.catalog is None:
        return []
    try:
        records = target.catalog.known(target.place.dataset(visit))
    except CatalogError:
        return []
    start = target.place.record_name(visit, f"{UNITS_FOLDER}/")
    found = [
        record for record in records if record.name.startswith(start) and is_manifest(record.name.removeprefix(start))
    ]
    return [(unit_of(record.name.removeprefix(start)), record.url) for record in found]
