"""Where every unit stands, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.samples import plan
from transformation.journal import Journal, read_journal
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure
from transformation.model.report import AttemptReport, UnitReport
from transformation.model.work import Role, StoredFile, UnitState

FIRST, SECOND, THIRD, *_ = UNITS = plan("R22_S1[012]", exposures=(0,))
CRASHED = Failed(failure=Failure.SIMULATOR_CRASHED, detail="exit status 3")
STOPPED = Failed(failure=Failure.TERMINATED, detail="got SIGTERM")


class Watched:
    """A ledger of three units with its journal, and what its listener heard."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self.heard: list[tuple[str, str, str]] = []
        self.ledger = Ledger(Journal(self.path, "r1"), self._hear)
        self.ledger.plan(UNITS)

    def _hear(self, event: str, unit: UnitReport) -> None:
        self.heard.append((event, unit.id, unit.state))

    def events(self) -> list[dict[str, object]]:
        return [{k: v for k, v in event.items() if k not in {"t", "run"}} for event in read_journal(self.path)]

    def record(self, at: int = 0) -> UnitReport:
        return self.ledger.units()[at]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def stored() -> StoredFile:
    return StoredFile(name="a", url="/store/a", role=Role.ELECTRON_IMAGE, size_bytes=10, adler32="00000001")


def test_planned_units_stand_in_the_order_of_the_plan(watched: Watched) -> None:
    records = watched.ledger.units()
    assert [record.id for record in records] == [unit.id for unit in UNITS]
    assert {record.state for record in records} == {"planned"}
    assert (records[0].visit, records[0].sensor, records[0].exposure) == ("87393588", "R22_S10", 0)
    assert watched.heard == []


def test_the_life_of_a_unit(watched: Watched) -> None:
    ledger = watched.ledger
    ledger.started(FIRST, 1)
    assert ledger.state(FIRST) is UnitState.RUNNING
    ledger.attempted(FIRST, AttemptReport(number=1, outcome="SIMULATOR_CRASHED", wall_s=2, cpu_s=1, max_rss_bytes=9))
    ledger.started(FIRST, 2)
    ledger.attempted(FIRST, AttemptReport(number=2, outcome="good", wall_s=3, cpu_s=2, max_rss_bytes=5))
    ledger.committed(FIRST, [stored()], made_in_this_run=True, notes=["all zero"])
    ledger.registered([FIRST.id])
    record = watched.record()
    assert (record.state, record.registered, record.made_in_this_run) == ("committed", True, True)
    assert (record.wall_s, record.cpu_s, record.max_rss_bytes) == (5, 3, 9)
    assert [attempt.number for attempt in record.attempts] == [1, 2]
    assert [(file.name, file.role, file.size, file.url) for file in record.files] == [
        ("a", "electron_image", 10, "/store/a")
    ]
    assert record.notes == ["all zero"]
    steps = ["started", "attempted", "started", "attempted", "committed", "registered"]
    states = ["running"] * 4 + ["committed"] * 2
    assert watched.heard == [(step, FIRST.id, state) for step, state in zip(steps, states, strict=True)]
    assert [event["event"] for event in watched.events()] == [f"unit_{step}" for step in steps]
    assert {event["unit"] for event in watched.events()} == {FIRST.id}
    assert watched.events()[1]["outcome"] == "SIMULATOR_CRASHED"


def test_an_empty_unit_is_done(watched: Watched) -> None:
    watched.ledger.empty(FIRST, made_in_this_run=True)
    assert watched.ledger.state(FIRST).done
    assert watched.record().made_in_this_run


def test_a_failed_unit_says_why_and_what_to_do(watched: Watched) -> None:
    watched.ledger.failed(FIRST, CRASHED)
    record = watched.record()
    assert (record.state, record.failure) == ("failed", "SIMULATOR_CRASHED")
    assert record.detail == "exit status 3 (read the log that the report names)"
    assert watched.events()[-1] == {
        "event": "unit_failed", "unit": FIRST.id, "state": "failed", "failure": "SIMULATOR_CRASHED",
        "detail": record.detail,
    }  # fmt: skip


def test_an_interruption_ends_what_runs_and_leaves_what_waits(watched: Watched) -> None:
    watched.ledger.started(FIRST, 1)
    watched.ledger.committed(SECOND, [], made_in_this_run=True)
    watched.ledger.interrupt(STOPPED)
    assert [record.state for record in watched.ledger.units()] == ["failed", "committed", "planned"]
    assert watched.record().failure == "TERMINATED"
    assert watched.heard[-1] == ("failed", FIRST.id, "failed")
    before = len(watched.events())
    watched.ledger.interrupt(STOPPED)
    assert len(watched.events()) == before


def test_unregistered_units_are_the_committed_ones(watched: Watched) -> None:
    watched.ledger.committed(FIRST, [], made_in_this_run=True)
    watched.ledger.committed(SECOND, [], made_in_this_run=False)
    watched.ledger.empty(THIRD, made_in_this_run=True)
    watched.ledger.registered([FIRST.id])
    assert watched.ledger.unregistered() == [SECOND.id]


def commit(ledger: Ledger) -> None:
    ledger.committed(FIRST, [], made_in_this_run=True)


@pytest.mark.parametrize(
    ("acts", "verdict"),
    [
        ([], None),
        ([commit], None),
        ([lambda ledger: ledger.failed(FIRST, CRASHED)], Failure.SIMULATOR_CRASHED),
        ([lambda ledger: ledger.failed(SECOND, CRASHED), commit], Failure.PARTIAL),
        ([lambda ledger: ledger.failed(SECOND, CRASHED), lambda ledger: ledger.empty(FIRST, made_in_this_run=False)],
         Failure.PARTIAL),
        ([lambda ledger: ledger.failed(SECOND, STOPPED), commit], Failure.TERMINATED),
    ],
)  # fmt: skip
def test_the_verdict(watched: Watched, acts: list[Callable[[Ledger], None]], verdict: Failure | None) -> None:
    for act in acts:
        act(watched.ledger)
    assert watched.ledger.verdict() is verdict


def test_a_copy_does_not_change_the_ledger(watched: Watched) -> None:
    copy = watched.record()
    copy.state = "failed"
    watched.ledger.started(FIRST, 1)
    assert watched.record().state == "running"
    assert copy.state == "failed"
