"""How far the whole job is, the stamp in its folder, and what a person sees of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.samples import plan
from transformation import watch as watch_module
from transformation.journal import Journal
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure
from transformation.model.report import AttemptReport, UnitReport
from transformation.narrator import _time_left
from transformation.process import Processes
from transformation.watch import Watch
from transformation.workdir import WorkDir

UNITS = plan("R22_S1.", exposures=(0,))
IDS = [unit.id for unit in UNITS]


@dataclass(slots=True)
class Fixed:
    """A meter that shows what it is told to."""

    shown: tuple[float, float | None] = (0.0, None)

    def progress(self, number: int) -> tuple[float, float | None]:
        return self.shown


@dataclass
class Desk:
    folder: Path
    events: list[tuple[str, float | None]] = field(default_factory=list)
    processes: Processes = field(default_factory=Processes)

    def __post_init__(self) -> None:
        self.journal = Journal(self.folder / "journal.jsonl", "run")
        self.ledger = Ledger(self.journal, self.note)
        self.ledger.plan(UNITS)
        lengths_s = dict(zip(IDS, (100.0, 200.0, 300.0), strict=True))
        workdir = WorkDir(root=self.folder, scratch=self.folder)
        self.watch = Watch(workdir, self.ledger, self.journal, self.processes, hands=2, lengths_s=lengths_s)

    def note(self, event: str, unit: UnitReport) -> None:
        self.events.append((event, unit.progress))

    def look(self, shown: Mapping[str, tuple[float, float | None]]) -> None:
        self.watch._meters = {unit: (Fixed(one), 0) for unit, one in shown.items()}  # type: ignore[misc]
        self.watch.tick()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(watch_module, "_TICK_S", 0.0)
    return Desk(folder=tmp_path)


def test_units_count_by_the_cpu_time_expected_of_them(desk: Desk) -> None:
    desk.ledger.started(UNITS[1], 1)
    desk.ledger.failed(UNITS[0], Failed(failure=Failure.SED_MISSING, detail="x"))
    desk.look({IDS[1]: (0.5, 90.0)})
    assert desk.ledger.whole.progress == pytest.approx((100 + 100) / 600, abs=1e-4)
    assert desk.ledger.whole.eta_s == 300.0, "the longest unit cannot be shared"


def test_what_units_took_corrects_what_is_expected_of_the_others(desk: Desk) -> None:
    desk.ledger.started(UNITS[0], 1)
    desk.ledger.attempted(UNITS[0], AttemptReport(number=1, outcome="good", wall_s=50.0))
    desk.ledger.empty(UNITS[0], made_in_this_run=True)
    desk.look({})
    assert desk.ledger.whole.eta_s == 150.0


def test_small_steps_are_not_told_and_each_change_renews_the_report(desk: Desk) -> None:
    desk.ledger.started(UNITS[0], 1)
    versions = [desk.ledger.version]
    for fraction in (0.0, 0.001, 0.5, 0.501):
        desk.look({IDS[0]: (fraction, None)})
        versions.append(desk.ledger.version)
    assert [after - before for before, after in pairwise(versions)] == [0, 0, 1, 0]
    assert desk.events[-1] == ("progress", 0.5)


def test_an_attempt_that_is_over_shows_no_progress(desk: Desk) -> None:
    desk.ledger.started(UNITS[0], 1)
    desk.look({IDS[0]: (0.5, 3.0)})
    desk.ledger.attempted(UNITS[0], AttemptReport(number=1, outcome="good"))
    assert (desk.ledger.units()[0].progress, desk.ledger.units()[0].eta_s) == (None, None)


def test_the_folder_is_stamped_when_and_only_when_something_moves(desk: Desk) -> None:
    stamp = desk.folder / "progress.json"
    desk.look({})
    assert not stamp.exists()
    desk.processes.supervisor.pulse += 1
    desk.look({})
    assert json.loads(stamp.read_text())["progress"] == 0.0
    stamp.unlink()
    desk.look({})
    assert not stamp.exists()


@pytest.mark.parametrize(
    ("left_s", "shown"),
    [(None, ""), (0.4, ""), (59.6, " (60 s)"), (600.0, " (10 min)"), (36_000.0, " (10.0 h)")],
)
def test_the_time_left_is_short(left_s: float | None, shown: str) -> None:
    assert _time_left(left_s) == shown
