"""The paragraph for a person: what failed, what was tried, what is safe, what to do."""

from __future__ import annotations

import pytest

from transformation.dossier import LONGEST, write_dossier
from transformation.model.failures import Failed, Failure, Remedy, effective_remedy
from transformation.model.report import (
    AttemptReport,
    DestinationReport,
    FileReport,
    JobReport,
    ResourceReport,
    UnitReport,
    VisitReport,
)
from transformation.reporting import diagnosis


def unit(number: int, state: str, failure: Failure | None = None, **facts: object) -> UnitReport:
    detail = f"v1-R22_S{number:02d}-E000: it broke" if failure else ""
    return UnitReport(
        id=f"v1-R22_S{number:02d}-E000", visit="1", sensor=f"R22_S{number:02d}", exposure=0, state=state,  # type: ignore[arg-type]
        failure=failure.name if failure else None,
        detail=str(Failed(failure=failure, detail=detail)) if failure else "", **facts,  # type: ignore[arg-type]
    )  # fmt: skip


def stored(number: int, *, registered: bool = True) -> UnitReport:
    files = [FileReport(name=f"f{at}", role="r", size=500_000, adler32="0", url="u") for at in range(2)]
    return unit(number, "committed", files=files, registered=registered, attempts=attempts("good"))


def attempts(*outcomes: str, corrections: tuple[str, ...] = ()) -> list[AttemptReport]:
    words = (*corrections, *[""] * len(outcomes))
    return [AttemptReport(number=at + 1, outcome=outcome, correction=words[at]) for at, outcome in enumerate(outcomes)]


def report(failure: Failure | None, *units: UnitReport, detail: str = "the detail") -> JobReport:
    row = ("OK", 0) if failure is None else (failure.name, failure.code)
    return JobReport(
        exit_code=row[1], exit_acronym=row[0],
        exit_msg="OK" if failure is None else diagnosis(Failed(failure=failure, detail=detail)),
        name="run-00019", user="tonyj", site="SLAC", host="wn12", catalog="catalog.sqlite",
        visits=[VisitReport(visit="1", dataset="d", place="/store/tonyj/run-00019/v1", digest="x")], units=list(units),
        missing=[one.id for one in units if one.state not in {"committed", "empty"}],
        resource=ResourceReport(cpu_s=7200.0),
    )  # fmt: skip


def test_a_job_that_did_all() -> None:
    assert write_dossier(report(None, stored(1), unit(2, "empty"))) == (
        "Job run-00019 of tonyj at SLAC did all it was asked for: 1 stored, 1 without any source. 1 attempt took 2.00"
        " CPU hours. 2 units with 2 files (1.0 MB) are safe in /store/tonyj/run-00019/v1. Nothing is left to do."
    )


def test_a_job_that_did_some() -> None:
    crashed = unit(3, "failed", Failure.SIMULATOR_CRASHED, attempts=attempts(
        *["SIMULATOR_CRASHED"] * 3, corrections=("", "again", "alone, from-checkpoint")
    ))  # fmt: skip
    text = write_dossier(report(Failure.PARTIAL, stored(1), stored(2, registered=False), crashed, unit(4, "planned")))
    assert text == (
        "Job run-00019 of tonyj at SLAC (worker wn12) ended with code 90, PARTIAL: some units are done, the rest can be"
        " tried again. Of 4 units, 2 stored, 1 failed, 1 not begun. 1 failed with SIMULATOR_CRASHED (a simulator"
        " process ended with an error); the first: v1-R22_S03-E000: it broke. 5 attempts took 2.00 CPU hours, of them 1"
        " again, 1 alone, 1 from-checkpoint. 2 units with 4 files (2.0 MB) are safe in /store/tonyj/run-00019/v1."
        " 1 of them is not yet in the catalog. Next: run again: only what is missing is made. PanDA does so by itself"
        " while tries are left; it makes only what is missing (2 units)."
    )


def test_another_destination_that_was_gone_to_is_named() -> None:
    one = report(None, stored(1))
    one.destinations = [
        DestinationReport(url="root://first//store", tried=True, failure="STORAGE_FULL", n_failures=1),
        DestinationReport(url="/store", tried=True, used=True, n_units=1),
    ]
    assert "CPU hours. root://first//store was left for the next destination (STORAGE_FULL). 1 unit" in (
        write_dossier(one)
    )


def test_a_job_that_did_not_get_to_any_unit() -> None:
    text = write_dossier(report(Failure.CATALOG_MISSING, detail="sky.txt: no such file"))
    row = Failure.CATALOG_MISSING
    assert f"(worker wn12) ended with code 22, CATALOG_MISSING: {row.meaning}." in text
    assert "sky.txt: no such file. No simulation was begun. Nothing of it is stored." in text
    assert text.endswith(f"Next: {row.action}; until then no further try can help.")


def test_the_most_frequent_causes_come_first() -> None:
    units = [unit(1, "failed", Failure.SED_MISSING), unit(2, "failed", Failure.OUTPUT_WRONG)]
    units += [unit(at, "failed", Failure.SIMULATOR_HUNG) for at in (3, 4)]
    units += [unit(5, "failed", Failure.TOO_MANY_OBJECTS)]
    text = write_dossier(report(Failure.SIMULATOR_HUNG, *units))
    assert text.index("2 failed with SIMULATOR_HUNG") < text.index("1 failed with SED_MISSING")
    assert "The report names 2 more causes." in text


@pytest.mark.parametrize("failure", Failure)
def test_every_row_ends_in_advice_that_fits_its_remedy(failure: Failure) -> None:
    text = write_dossier(report(failure, unit(1, "failed", failure)))
    assert failure.action in text
    assert text.count(failure.action) <= 2
    match effective_remedy(failure):
        case Remedy.NEVER:
            assert text.endswith("no further try can help.")
        case Remedy.MORE_RESOURCES:
            assert "and run the job again" in text
        case _:
            assert "PanDA does so by itself" in text


def test_it_stays_a_paragraph_whatever_the_report_holds() -> None:
    long = report(
        Failure.PARTIAL, *[unit(at, "failed", Failure.OUTPUT_WRONG) for at in range(300)], detail="x\n" * 5000
    )
    long.units[0].detail = "a\nb" * 10_000
    long.name, long.user, long.site, long.host = ("n" * 200, "u" * 200, "s" * 200, "h" * 200)
    long.visits[0].place = "/" + "p" * 5000
    long.units.append(stored(1))
    text = write_dossier(long)
    assert len(text) <= LONGEST
    assert "\n" not in text
