"""A report is there in every case, and says no less than the journal knows."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pilot_hooks.core.report import ensure_report
from tests.unit.pilot_hooks.stories import (
    CUT_OFF,
    FIRST,
    LEFT,
    SECOND,
    THIRD,
    event,
    read,
    write_journal,
    write_report,
)
from transformation.journal import read_journal
from transformation.model.report import JobReport, PayloadErrorReport


def units_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {unit["id"]: unit for unit in report["units"]}


def check_documents(folder: Path) -> JobReport:
    """Both files are what their schemas say."""
    report = msgspec.json.decode((folder / "jobReport.json").read_bytes(), type=JobReport)
    error = folder / "payload_error_report.json"
    assert error.exists() == (report.exit_code != 0)
    if error.exists():
        word = msgspec.json.decode(error.read_bytes(), type=PayloadErrorReport)
        assert (word.error_code, word.error_diag) == (report.exit_code, report.exit_msg)
        assert len(word.error_diag) <= 256
    return report


def test_a_killed_job_has_the_state_of_every_unit(tmp_path: Path) -> None:
    (tmp_path / "payload_error_report.json").write_text('{"error_code": 44, "error_diag": "it runs"}')
    write_journal(tmp_path, *CUT_OFF)
    write_report(tmp_path)
    units = units_of(ensure_report(tmp_path))
    assert {unit: units[unit]["state"] for unit in units} == {FIRST: "committed", SECOND: "failed", THIRD: "planned"}
    assert (units[FIRST]["registered"], units[FIRST]["made_in_this_run"]) == (True, True)
    assert units[SECOND]["failure"] == "TERMINATED"
    assert [attempt["outcome"] for attempt in units[SECOND]["attempts"]] == ["SIMULATOR_CRASHED"]
    report = check_documents(tmp_path)
    assert (report.exit_code, report.state, report.reconstructed) == (44, "terminated", True)
    assert report.missing == [SECOND, THIRD]
    assert "1 of 3 units are done" in report.exit_msg
    assert report.ended == CUT_OFF[-1]["t"]
    assert (report.resource.cores, report.progress) == (2, None)


def test_without_any_report_the_journal_is_enough(tmp_path: Path) -> None:
    write_journal(tmp_path, *CUT_OFF, rest='{"t":"2026-11-22T10:00:08.000Z","run":"01')
    ensure_report(tmp_path)
    report = check_documents(tmp_path)
    assert [(unit.id, unit.visit, unit.sensor, unit.exposure) for unit in report.units] == [
        (FIRST, "4242", "R22_S10", 0),
        (SECOND, "4242", "R22_S11", 0),
    ]
    assert (report.name, report.user) == ("run-00019", "tonyj")


def test_the_journal_says_that_the_report_was_rebuilt(tmp_path: Path) -> None:
    write_journal(tmp_path, *CUT_OFF, rest='{"half')
    ensure_report(tmp_path)
    events = list(read_journal(tmp_path / "journal.jsonl"))
    assert len(events) == len(CUT_OFF) + 1
    assert (events[-1]["event"], events[-1]["run"]) == ("report_rebuilt", CUT_OFF[0]["run"])


def test_a_job_that_ended_but_could_not_write_keeps_its_own_verdict(tmp_path: Path) -> None:
    end = event("job_end", 9, exitCode=42, exitAcronym="DISK_FULL", exitMsg="DISK_FULL: no space; try elsewhere")
    write_journal(tmp_path, *CUT_OFF[:4], end)
    write_report(tmp_path)
    ensure_report(tmp_path)
    report = check_documents(tmp_path)
    assert (report.exit_code, report.exit_acronym, report.state) == (42, "DISK_FULL", "failed")


def test_a_job_that_was_good_needs_no_error_report(tmp_path: Path) -> None:
    (tmp_path / "payload_error_report.json").write_text('{"error_code": 44, "error_diag": "it runs"}')
    write_journal(tmp_path, *CUT_OFF[:4], event("job_end", 9, exitCode=0, exitAcronym="OK", exitMsg="OK"))
    ensure_report(tmp_path)
    assert check_documents(tmp_path).state == "done"


def test_nothing_at_all_is_a_report_too(tmp_path: Path) -> None:
    ensure_report(tmp_path)
    report = check_documents(tmp_path)
    assert (report.exit_code, report.units) == (44, [])
    assert "no word of the job was left" in report.exit_msg


@pytest.mark.parametrize("text", ["", "{", "[]", '{"exitCode": "x"}', '{"units": 7}'])
def test_a_report_that_is_none_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "jobReport.json").write_text(text)
    write_journal(tmp_path, *CUT_OFF)
    ensure_report(tmp_path)
    assert check_documents(tmp_path).reconstructed


def test_a_final_report_is_left_alone(tmp_path: Path) -> None:
    write_report(tmp_path, state="partial", exitCode=90, exitAcronym="PARTIAL")
    write_journal(tmp_path, *CUT_OFF)
    before = (tmp_path / "jobReport.json").read_bytes()
    assert ensure_report(tmp_path)["exitCode"] == 90
    assert (tmp_path / "jobReport.json").read_bytes() == before


@pytest.mark.parametrize("code", [0, 90])
def test_a_job_that_was_cut_off_between_its_two_reports(tmp_path: Path, code: int) -> None:
    write_report(tmp_path, state="done" if code == 0 else "partial", exitCode=code, exitMsg="PARTIAL: 1 of 3 units")
    (tmp_path / "payload_error_report.json").write_text('{"error_code": 44, "error_diag": "it runs"}')
    ensure_report(tmp_path)
    assert check_documents(tmp_path).exit_code == code


def test_a_job_at_work_is_left_alone(tmp_path: Path) -> None:
    write_report(tmp_path)
    lock = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert ensure_report(tmp_path) == LEFT
        assert read(tmp_path, "jobReport.json") == LEFT
    finally:
        os.close(lock)


def test_an_earlier_run_in_the_same_folder_does_not_speak_for_this_one(tmp_path: Path) -> None:
    earlier = [{**one, "run": "ffff"} for one in CUT_OFF]
    write_journal(tmp_path, *earlier, *CUT_OFF[:1])
    write_report(tmp_path, run="ffff")
    ensure_report(tmp_path)
    assert check_documents(tmp_path).units == []


@pytest.mark.parametrize("length", range(len(CUT_OFF) + 1))
def test_every_beginning_of_a_journal_makes_a_report(tmp_path: Path, length: int) -> None:
    write_journal(tmp_path, *CUT_OFF[:length], rest='{"cut')
    write_report(tmp_path)
    ensure_report(tmp_path)
    assert len(check_documents(tmp_path).units) == 3
