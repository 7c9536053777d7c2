"""Our report in PanDA's fields."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilot_hooks.core.panda import cores, extracts, memory, metrics, verdict
from tests.unit.pilot_hooks.stories import CUT_OFF, FIRST, LEFT, SECOND, event, write_journal, write_report
from transformation.memory_monitor import MemoryMonitor

FAILED = {"id": SECOND, "state": "failed", "failure": "SIMULATOR_CRASHED", "detail": "raytrace: exit status 1"}


def test_code_and_sentence_come_from_the_error_report(tmp_path: Path) -> None:
    write_report(tmp_path, exitCode=90, exitMsg="PARTIAL: 1 of 2 units are done; run again", units=[FAILED])
    (tmp_path / "payload_error_report.json").write_text('{"error_code": 90, "error_diag": "PARTIAL: from here; go"}')
    found = verdict(tmp_path)
    assert (found.code, found.needs_memory, found.n_done) == (90, False, 0)
    assert found.text == f"PARTIAL: from here; go [{SECOND} SIMULATOR_CRASHED]"


def test_a_unit_that_is_named_already_is_not_named_again(tmp_path: Path) -> None:
    text = f"PARTIAL: 1 of 2 units are done; failed: {SECOND} SIMULATOR_CRASHED; run again"
    write_report(tmp_path, exitCode=90, exitMsg=text, units=[FAILED])
    assert verdict(tmp_path).text == text


def test_a_sentence_never_outgrows_what_panda_keeps(tmp_path: Path) -> None:
    write_report(tmp_path, exitCode=90, exitMsg="x" * 250, units=[FAILED])
    assert verdict(tmp_path).text == "x" * 250
    write_report(tmp_path, exitCode=90, exitMsg="x" * 300)
    assert verdict(tmp_path).text == "x" * 256


@pytest.mark.parametrize(("code", "needs"), [(43, True), (91, True), (90, False), (10, False), (77, False)])
def test_only_more_resources_asks_for_memory(tmp_path: Path, code: int, needs: bool) -> None:
    write_report(tmp_path, exitCode=code, exitMsg="x")
    assert verdict(tmp_path).needs_memory is needs


def test_no_report_and_a_good_report_are_no_error(tmp_path: Path) -> None:
    assert (verdict(tmp_path).code, verdict(tmp_path).text) == (0, "")
    write_report(tmp_path, exitCode=0, exitMsg="OK", units=[{"id": FIRST, "state": "committed"}])
    assert (verdict(tmp_path).code, verdict(tmp_path).n_done) == (0, 1)


def test_metrics_are_as_young_as_the_journal(tmp_path: Path) -> None:
    assert metrics(tmp_path) == ""
    write_report(tmp_path)
    write_journal(tmp_path, *CUT_OFF)
    (tmp_path / "progress.json").write_text('{"progress": 0.25, "eta_s": 90.5, "renewed": "2026-11-22T10:00:00Z"}')
    assert metrics(tmp_path) == "unitsDone=1 unitsTotal=3 progress=0.25 etaSeconds=90.5"
    write_journal(tmp_path, *CUT_OFF, event("job_end", 9, exitCode=90))
    assert metrics(tmp_path) == "unitsDone=1 unitsTotal=3"


def test_memory_as_the_pilot_sends_it(tmp_path: Path) -> None:
    monitor = MemoryMonitor()
    monitor.look()
    (tmp_path / "memory_monitor_summary.json").write_text(json.dumps(monitor.summary(5_000_000 * 1024)))
    found = memory(tmp_path)
    assert found["maxRSS"] == 5_000_000
    assert 0 < found["avgRSS"] < 5_000_000
    assert found["maxPSS"] > 0
    assert found["maxVMEM"] >= found["avgRSS"]
    assert set(found) == {
        *("maxRSS", "maxVMEM", "maxSWAP", "maxPSS", "avgRSS", "avgVMEM", "avgSWAP", "avgPSS"),
        *("totRCHAR", "totWCHAR", "totRBYTES", "totWBYTES", "rateRCHAR", "rateWCHAR", "rateRBYTES", "rateWBYTES"),
    }


@pytest.mark.parametrize("text", ["", "{}", '{"Max": 1}', '{"Max": {"rss": "a"}}'])
def test_a_summary_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory_monitor_summary.json").write_text(text)
    assert memory(tmp_path) == {}


def test_extracts_show_what_failed(tmp_path: Path) -> None:
    assert extracts(tmp_path) == ""
    write_report(tmp_path, exitMsg="PARTIAL: look below", units=[FAILED, {"id": FIRST, "state": "committed"}])
    assert extracts(tmp_path).splitlines()[1:] == [
        "PARTIAL: look below",
        f"{SECOND} SIMULATOR_CRASHED: raytrace: exit status 1",
    ]


def test_cores_are_those_of_the_report(tmp_path: Path) -> None:
    assert cores(tmp_path) is None
    write_report(tmp_path)
    assert cores(tmp_path) == LEFT["resource"]["cores"]
