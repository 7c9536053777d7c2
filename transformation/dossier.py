"""The dossier: one paragraph for the person who has to decide what to do with a job that is over. Pure.

It says what failed and why, what was tried, what is safe and where, and what to do next, in this order, from the facts
of the report alone; so it can be made again from any report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from transformation.model.failures import Failure, Remedy, effective_remedy
from transformation.model.report import JobReport, UnitReport

LONGEST = 1200
"""Characters: a paragraph, not a log."""
_LONGEST_DETAIL = 160
_NAMED = 2
"""Causes, and folders, that are named one by one."""
_DONE = frozenset({"committed", "empty"})
_OK = "OK"


def write_dossier(report: JobReport) -> str:
    """The paragraph, `LONGEST` characters at most."""
    sentences = (*_what_failed(report), *_what_was_tried(report), *_what_is_safe(report), _next(report))
    return _cut(" ".join(sentences), LONGEST)


# ---------------------------------------------------------------- what failed, and why
def _what_failed(report: JobReport) -> Iterator[str]:
    name = f"Job {report.name} of {report.user}" if report.name else "The job"
    where = f" at {report.site}" if report.site else ""
    if report.exit_acronym == _OK:
        yield f"{name}{where} did all it was asked for: {_of_units(report.units)}."
        return
    failure = Failure[report.exit_acronym]
    yield f"{name}{where} (worker {report.host}) ended with code {failure.code}, {failure.name}: {failure.meaning}."
    if report.units:
        yield f"Of {_count(len(report.units), 'unit')}, {_of_units(report.units)}."
    failed = [unit for unit in report.units if unit.state == "failed"]
    if failed:
        yield from _causes(failed, failure)
    else:
        yield f"{_sentence(_without_row(report.exit_msg, failure))}"


def _of_units(units: Sequence[UnitReport]) -> str:
    counts = Counter[str](unit.state for unit in units)
    words = {
        "committed": "stored", "empty": "without any source", "failed": "failed", "running": "under way",
        "planned": "not begun",
    }  # fmt: skip
    return ", ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])


def _causes(failed: Sequence[UnitReport], told: Failure) -> Iterator[str]:
    """The most frequent causes, each with its first unit; what one of them means was told already."""
    ranked = Counter(unit.failure for unit in failed if unit.failure).most_common()
    for name, number in ranked[:_NAMED]:
        first = next(unit for unit in failed if unit.failure == name)
        row = Failure[str(name)]
        meaning = "" if row is told else f" ({row.meaning})"
        detail = _cut(_without_row(first.detail, row), _LONGEST_DETAIL)
        yield f"{number} failed with {name}{meaning}; the first: {_sentence(detail)}"
    if len(ranked) > _NAMED:
        yield f"The report names {_count(len(ranked) - _NAMED, 'more cause')}."


# ---------------------------------------------------------------- what was tried
def _what_was_tried(report: JobReport) -> Iterator[str]:
    attempts = [attempt for unit in report.units for attempt in unit.attempts]
    if not attempts:
        yield "No simulation was begun." if report.exit_acronym != _OK else "Nothing was left to be simulated."
        return
    corrections = Counter(word for attempt in attempts for word in attempt.correction.split(", ") if word)
    how = ", ".join(f"{number} {word}" for word, number in sorted(corrections.items()))
    yield f"{_count(len(attempts), 'attempt')} took {report.resource.cpu_s / 3600:,.2f} CPU hours" + (
        f", of them {how}." if how else "."
    )
    for left in [one for one in report.destinations if one.failure][:_NAMED]:
        yield f"{_cut(left.url, _LONGEST_DETAIL)} was left for the next destination ({left.failure})."


# ---------------------------------------------------------------- what is safe, and where
def _what_is_safe(report: JobReport) -> Iterator[str]:
    done = [unit for unit in report.units if unit.state in _DONE]
    if not done:
        yield "Nothing of it is stored."
        return
    files = [file for unit in done for file in unit.files]
    size_mb = sum(file.size for file in files) / 1e6
    places = [visit.place for visit in report.visits]
    more = f" and {len(places) - _NAMED} more folders" if len(places) > _NAMED else ""
    where = ", ".join(_cut(place, _LONGEST_DETAIL) for place in places[:_NAMED]) + more
    yield f"{_count(len(done), 'unit')} with {_count(len(files), 'file')} ({size_mb:,.1f} MB) are safe in {where}."
    unregistered = sum(unit.state == "committed" and not unit.registered for unit in done)
    if report.catalog and unregistered:
        yield f"{unregistered} of them {'is' if unregistered == 1 else 'are'} not yet in the catalog."


# ---------------------------------------------------------------- what to do next
def _next(report: JobReport) -> str:
    if report.exit_acronym == _OK:
        return "Nothing is left to do."
    failure = Failure[report.exit_acronym]
    missing = len(report.missing)
    again = f"it makes only what is missing ({_count(missing, 'unit')})" if missing else "it makes only what is missing"
    match effective_remedy(failure):
        case Remedy.MORE_RESOURCES:
            return f"Next: {failure.action}, and run the job again; {again}."
        case Remedy.NEVER:
            return f"Next: {failure.action}; until then no further try can help."
        case _:
            return f"Next: {failure.action}. PanDA does so by itself while tries are left; {again}."


# ---------------------------------------------------------------- words
def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _without_row(text: str, failure: Failure) -> str:
    """A unit's detail and the job's message end with the row's advice, which comes last here; the latter begins with
    the row's name."""
    short = " ".join(text.split()).removeprefix(f"{failure.name}: ")
    return short.removesuffix(f" ({failure.action})").removesuffix(f"; {failure.action}")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "...")) else f"{text}."


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
