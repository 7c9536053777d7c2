"""The job report and the pilot's error report: whole and true at every stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.samples import file_size_limit, plan
from transformation.journal import Journal
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure
from transformation.model.report import AttemptReport, JobReport
from transformation.model.spec import JobSpec
from transformation.model.work import Role, StoredFile
from transformation.reporting import LONGEST_DIAGNOSIS, Reporter, diagnosis
from transformation.resources import Share
from transformation.workdir import WorkDir

UNITS = plan("R22_S1[012]", exposures=(0,))
SPEC = JobSpec(schema_version=1, name="run-00019", user="tonyj", sensors="R22_S11", task="stars", comment="a look")
SHARE = Share(cores=4, memory_bytes=8_000_000_000, cores_from="", memory_from="")
FULL = Failed(failure=Failure.DISK_FULL, detail="the disk is full")


class Desk:
    """A reporter, and what a reader finds."""

    def __init__(self, folder: Path) -> None:
        self.workdir = WorkDir(root=folder, scratch=folder / "scratch")
        self.ledger = Ledger(Journal(self.workdir.journal, "r1"), lambda _event, _unit: None)
        self.reporter = Reporter(self.workdir, self.ledger, "r1")

    def report(self) -> dict[str, object]:
        """As a program reads it; the whole of it is also a valid `JobReport`."""
        content = self.workdir.report.read_bytes()
        msgspec.json.decode(content, type=JobReport)
        found = json.loads(content)
        assert isinstance(found, dict)
        return found

    def error(self) -> dict[str, object] | None:
        """The pilot's file, if it is there."""
        path = self.workdir.error_report
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_from_the_first_second_both_files_tell_of_a_kill(desk: Desk) -> None:
    desk.reporter.begin()
    report = desk.report()
    assert (report["exitCode"], report["exitAcronym"], report["state"]) == (44, "TERMINATED", "running")
    assert report["units"] == []
    assert desk.error() == {"error_code": 44, "error_diag": report["exitMsg"]}


@pytest.mark.parametrize(
    "step",
    [
        lambda desk: desk.reporter.begin(),
        lambda desk: desk.reporter.asked(SPEC, "local", SHARE, 3),
        lambda desk: desk.reporter.end(None),
        lambda desk: desk.reporter.end(FULL),
    ],
)
def test_the_fixed_keys_are_always_there(desk: Desk, step: Callable[[Desk], None]) -> None:
    desk.ledger.plan(UNITS)
    step(desk)
    report = desk.report()
    assert {"exitCode", "exitAcronym", "exitMsg", "name", "units", "resource", "schema_version"} <= set(report)
    units = report["units"]
    assert isinstance(units, list)
    assert {"id", "state", "attempts", "wall_s", "cpu_s", "max_rss_bytes", "files"} <= set(units[0])


def test_what_was_asked_is_in_the_report(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANDAID", "777")
    monkeypatch.setenv("PanDA_TaskID", "88")
    desk.reporter.asked(SPEC, "SLAC", SHARE, 3)
    report = desk.report()
    asked = {key: report[key] for key in ("name", "user", "task", "comment", "site", "attempt", "run")}
    assert asked == {
        "name": "run-00019", "user": "tonyj", "task": "stars", "comment": "a look", "site": "SLAC", "attempt": 3,
        "run": "r1",
    }  # fmt: skip
    assert report["panda"] == {"PANDAID": "777", "PanDA_TaskID": "88"}
    assert {"cores": 4, "memory_bytes": 8_000_000_000}.items() <= report["resource"].items()  # type: ignore[attr-defined]


def test_room_for_the_last_report_is_kept_from_the_beginning(desk: Desk) -> None:
    desk.reporter.begin()
    assert desk.workdir.room.stat().st_blocks * 512 >= 200_000
    with file_size_limit(0):
        desk.reporter.end(FULL)
    assert not desk.reporter.is_written
    desk.reporter.end(FULL)
    assert desk.reporter.is_written
    assert not desk.workdir.room.exists()


def test_room_is_taken_in_no_other_file(desk: Desk) -> None:
    other = desk.workdir.root / "other"
    other.write_text("precious")
    desk.workdir.room.symlink_to(other)
    desk.reporter.begin()
    assert other.read_text() == "precious"
    assert not desk.workdir.room.is_symlink()


def test_a_good_end(desk: Desk) -> None:
    desk.reporter.begin()
    desk.reporter.end(None)
    report = desk.report()
    assert (report["exitCode"], report["exitAcronym"], report["exitMsg"], report["state"]) == (0, "OK", "OK", "done")
    assert report["ended"]
    assert desk.error() is None, "the pilot takes the file for a failure"


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (Failure.DISK_FULL, "failed"),
        (Failure.TERMINATED, "terminated"),
        (Failure.DEADLINE, "terminated"),
        (Failure.PARTIAL, "partial"),
        (Failure.PARTIAL_MORE_RESOURCES, "partial"),
        (Failure.PARTIAL_FINAL, "partial"),
        (Failure.INTERNAL_ERROR, "failed"),
    ],
)
def test_a_bad_end(desk: Desk, row: Failure, state: str) -> None:
    desk.reporter.begin()
    desk.reporter.end(Failed(failure=row, detail="why"))
    report = desk.report()
    assert (report["exitCode"], report["exitAcronym"], report["state"]) == (row.code, row.name, state)
    assert desk.error() == {"error_code": row.code, "error_diag": f"{row.name}: why; {row.action}"}
    assert report["exitMsg"] == f"{row.name}: why; {row.action}"


def test_units_and_totals(desk: Desk) -> None:
    desk.ledger.plan(UNITS)
    stored = StoredFile(name="a", url="/store/a", role=Role.ELECTRON_IMAGE, size_bytes=10, adler32="00000001")
    for unit, cpu_s, rss in zip(UNITS, (1.0, 2.5, 4.0), (5, 9, 7), strict=True):
        desk.ledger.started(unit, 1)
        desk.ledger.attempted(unit, AttemptReport(number=1, outcome="good", cpu_s=cpu_s, max_rss_bytes=rss))
    desk.ledger.committed(UNITS[0], [stored, stored], made_in_this_run=True)
    desk.ledger.committed(UNITS[1], [stored], made_in_this_run=False)
    report = desk.reporter.end(FULL)
    assert report.missing == [UNITS[2].id]
    totals = report.resource
    assert (totals.cpu_s, totals.max_rss_bytes, totals.output_bytes) == (7.5, 9, 20)
    assert totals.wrapper_max_rss_bytes > 1_000_000
    assert [unit["state"] for unit in desk.report()["units"]] == ["committed", "committed", "running"]  # type: ignore[attr-defined]


def test_the_report_is_renewed_but_not_at_every_tick(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.reporter.begin()
    desk.ledger.plan(UNITS)
    desk.reporter.tick()
    assert desk.report()["units"] == []
    monkeypatch.setattr("transformation.reporting._RENEW_S", 0.0)
    desk.reporter.tick()
    assert desk.report()["missing"] == [unit.id for unit in UNITS]


def test_a_full_disk_ends_neither_the_job_nor_the_old_report(desk: Desk) -> None:
    desk.reporter.begin()
    desk.ledger.plan(UNITS)
    with file_size_limit(100):
        desk.reporter.asked(SPEC, "local", SHARE, None)
    assert desk.report()["name"] == ""
    desk.reporter.end(None)
    assert desk.report()["name"] == "run-00019"


def test_names_that_are_not_utf8_are_reported(desk: Desk) -> None:
    desk.reporter.begin()
    desk.reporter.end(Failed(failure=Failure.SPEC_MISSING, detail="/x\udcff does not exist"))
    assert r"/x\udcff does not exist" in str(desk.report()["exitMsg"])
    error = desk.error()
    assert error is not None
    assert error["error_code"] == Failure.SPEC_MISSING.code


@given(st.sampled_from(list(Failure)), st.text(max_size=600))
def test_a_diagnosis_is_one_short_line_with_the_remedy(row: Failure, detail: str) -> None:
    text = diagnosis(Failed(failure=row, detail=detail))
    assert len(text) <= LONGEST_DIAGNOSIS
    assert len(text.splitlines()) <= 1
    assert text.startswith(f"{row.name}: ")
    assert text.endswith(f"; {row.action}")


def test_a_short_detail_is_kept_whole_and_a_long_one_is_cut_visibly() -> None:
    assert diagnosis(FULL) == "DISK_FULL: the disk\x20is full; try a worker with more disk"
    long = diagnosis(Failed(failure=Failure.DISK_FULL, detail="x" * 300))
    assert len(long) == LONGEST_DIAGNOSIS
    assert "xxx...; " in long
