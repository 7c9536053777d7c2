"""The job under the real pilot: what PanDA is told, what is on storage, what goes into the log."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import msgspec
import pytest

from tests.pilot.real_pilot import Pilot
from tests.pilot.scenarios import SILENT_S, SOME_UNITS, Bed
from transformation.model.failures import Failure
from transformation.model.report import JobReport

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

LARGEST_LOG_BYTES = 2_000_000
ON_STORAGE = [f"lsst_e_4242_f2_R22_S1{y}_E000.fits.gz" for y in (1, 2)]


def scenario(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("pilot", names, indirect=True)


def name_of(pilot: Pilot) -> str:
    return pilot.site.stem


def report_of(told: dict[str, Any]) -> JobReport:
    """The job report in the last message to the server: whole, and as its schema says."""
    return msgspec.json.decode(told["metaData"].encode(), type=JobReport)


def packed(pilot: Pilot) -> dict[str, int]:
    """Names and sizes in the log tarball, below its one folder."""
    with tarfile.open(pilot.log_tarball()) as tar:
        return {name.partition("/")[2]: tar.getmember(name).size for name in tar.getnames()}


def check_good(pilot: Pilot, bed: Bed, told: dict[str, Any], images: list[str]) -> JobReport:
    assert (told["state"], told["pilotErrorCode"], told["transExitCode"]) == ("finished", 0, 0), pilot.said()[-3000:]
    assert told["exeErrorCode"] == 0
    report = report_of(told)
    assert (report.exit_code, report.state, report.missing) == (0, "done", [])
    assert report.panda["PANDAID"] == told["jobId"]
    assert bed.images(name_of(pilot)) == images
    assert sorted(file.name for unit in report.units for file in unit.files) == images
    return report


# ---------------------------------------------------------------- a job that goes well
@scenario("generic-good")
def test_generic_reaches_finished_with_images_on_storage(pilot: Pilot, bed: Bed) -> None:
    told = pilot.outcome()
    check_good(pilot, bed, told, ON_STORAGE)
    assert json.loads(told["xml"])["imsim.log.tgz"]["fsize"] == pilot.log_tarball().stat().st_size


@scenario("plugin-good")
def test_plugin_tells_panda_more(pilot: Pilot, bed: Bed) -> None:
    told = pilot.outcome()
    report = check_good(pilot, bed, told, ON_STORAGE[:1])
    assert "[2 cores (--cores)" in pilot.file("payload.stdout") or "2 cores (--cores)" in pilot.file("payload.stdout")
    assert told["jobMetrics"] == "unitsDone=1 unitsTotal=1"
    assert told["nEvents"] == 1
    assert told["maxRSS"] * 1024 >= report.units[0].max_rss_bytes > 0
    assert told["maxPSS"] > 0
    assert told["totWBYTES"] >= 0
    assert "doctor: go after" in pilot.file("preprocess_stdout.txt")
    assert pilot.file("postprocess_stdout.txt") == "report: OK"


@scenario("multistep-good")
def test_generic_s_steps_run_around_the_payload(pilot: Pilot, bed: Bed) -> None:
    check_good(pilot, bed, pilot.outcome(), ON_STORAGE[:1])
    assert "doctor: go after" in pilot.file("preprocess_stdout.txt")
    assert pilot.file("postprocess_stdout.txt") == "report: OK"


@scenario("plugin-raft")
def test_the_log_of_18_units_is_small(pilot: Pilot, bed: Bed) -> None:
    told = pilot.outcome()
    check_good(pilot, bed, told, bed.images(name_of(pilot)))
    assert len(bed.images(name_of(pilot))) == 18
    check_log(pilot)


def check_log(pilot: Pilot) -> None:
    assert pilot.log_tarball().stat().st_size < LARGEST_LOG_BYTES
    names = packed(pilot)
    assert {"jobReport.json", "journal.jsonl", "payload.stdout", "pilotlog.txt"} <= set(names)
    assert not [name for name in names if name.startswith("scratch") or "screens" in name]


# ---------------------------------------------------------------- a job that fails
def check_failed(pilot: Pilot, told: dict[str, Any], failure: Failure) -> JobReport:
    assert (told["state"], told["transExitCode"]) == ("failed", failure.code), pilot.said()[-3000:]
    assert f"{failure.name}: " in told["pilotErrorDiag"]
    assert failure.action[:30] in told["pilotErrorDiag"]
    report = report_of(told)
    assert (report.exit_code, report.exit_acronym) == (failure.code, failure.name)
    assert json.loads(pilot.file("payload_error_report.json")) == {
        "error_code": failure.code,
        "error_diag": report.exit_msg,
    }
    return report


@scenario("generic-failing")
def test_generic_shows_our_code_and_sentence(pilot: Pilot) -> None:
    told = pilot.outcome()
    check_failed(pilot, told, Failure.NO_SENSOR_MATCHES)
    assert told["pilotErrorCode"] == 1305


@scenario("plugin-failing")
def test_plugin_puts_them_where_they_belong(pilot: Pilot) -> None:
    told = pilot.outcome()
    report = check_failed(pilot, told, Failure.NO_SENSOR_MATCHES)
    assert told["pilotErrorCode"] == 1305
    assert (told["exeErrorCode"], told["exeErrorDiag"]) == (Failure.NO_SENSOR_MATCHES.code, report.exit_msg)
    assert told["pilotErrorDiag"] == report.exit_msg
    assert len(told["exeErrorDiag"]) <= 256
    assert report.exit_msg in told["pilotLog"]


@scenario("multistep-sick-worker")
def test_a_sick_worker_is_given_back_before_the_payload(pilot: Pilot, bed: Bed) -> None:
    told = pilot.outcome()
    assert (told["state"], told["pilotErrorCode"]) == ("failed", 1356)
    assert told["transExitCode"] == Failure.RUNTIME_MISSING.code
    assert report_of(told).exit_acronym == "RUNTIME_MISSING"
    assert pilot.file("payload.stdout") == ""
    assert bed.images(name_of(pilot)) == []


# ---------------------------------------------------------------- a job that is killed
def check_cut_off(told: dict[str, Any], n_units: int) -> JobReport:
    """The report knows of every unit, and of those that are safe."""
    report = report_of(told)
    assert (report.exit_acronym, report.state, len(report.units)) == ("TERMINATED", "terminated", n_units)
    states = [unit.state for unit in report.units]
    assert "running" not in states
    assert states.count("committed") == n_units - len(report.missing) >= SOME_UNITS
    assert len(report.missing) >= 1
    return report


@scenario("plugin-payload-killed", "multistep-payload-killed")
def test_a_killed_payload_leaves_a_whole_report(pilot: Pilot, bed: Bed) -> None:
    told = pilot.outcome()
    assert told["state"] == "failed"
    report = check_cut_off(told, 18)
    assert report.reconstructed
    done = {unit.id for unit in report.units if unit.state == "committed"}
    assert {event["unit"] for event in pilot.events() if event["event"] == "unit_committed"} == done
    assert all(unit.registered for unit in report.units if unit.state == "committed")
    assert len(bed.images(name_of(pilot))) >= len(done)
    if pilot.user == "imsim":  # for other users, the pilot may pack the log before the postprocess is over
        check_log(pilot)
        assert (told["exeErrorCode"], told["exeErrorDiag"]) == (Failure.TERMINATED.code, report.exit_msg)
        assert told["nEvents"] == len(done)


@scenario("plugin-pilot-stopped")
def test_a_stopped_pilot_leaves_a_whole_report(pilot: Pilot) -> None:
    told = pilot.outcome()
    assert (told["state"], told["pilotErrorCode"]) == ("failed", 1201)
    left = json.loads(pilot.file("jobReport.json"))
    report = check_cut_off({"metaData": json.dumps(left)}, 18)
    assert report.reconstructed or "SIGTERM" in report.exit_msg or "did not end in time" in report.exit_msg
    assert json.loads(pilot.file("payload_error_report.json"))["error_code"] == Failure.TERMINATED.code


# ---------------------------------------------------------------- a simulator that says nothing
@scenario("generic-silent", "plugin-silent")
def test_a_silent_simulator_at_work_is_left_alone(pilot: Pilot, bed: Bed) -> None:
    told = pilot.outcome()
    report = check_good(pilot, bed, told, ON_STORAGE[:1])
    assert report.units[0].wall_s > SILENT_S
    assert pilot.said().count("checking for looping job") >= 5


@scenario("generic-stuck", "plugin-stuck")
def test_a_stuck_simulator_is_killed(pilot: Pilot) -> None:
    told = pilot.outcome()
    assert (told["state"], told["pilotErrorCode"]) == ("failed", 1150)
    assert report_of(told).exit_acronym == "TERMINATED"
