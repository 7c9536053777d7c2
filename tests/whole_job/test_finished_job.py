"""A job that went well: what it reports, stores and registers, and what may be asked of it afterwards."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.whole_job.aftermath import check_store, registered
from tests.whole_job.bench import Bench
from tests.whole_job.conftest import FinishedJob
from transformation.journal import read_journal

UNITS = ["R22_S11-E000", "R22_S11-E001", "R22_S12-E000", "R22_S12-E001"]
AMPLIFIERS = [f"C{half}{number}" for half in range(2) for number in range(8)]


def images_of(exposure: str) -> list[str]:
    amplifiers = [f"lsst_a_4242_f2_R22_S11_{amplifier}_{exposure}.fits.gz" for amplifier in AMPLIFIERS]
    return [f"lsst_e_4242_f2_R22_S11_{exposure}.fits.gz", *amplifiers]


def test_units_end_committed_or_empty(finished_job: FinishedJob) -> None:
    outcome = finished_job.outcome
    assert outcome.exit_code == 0
    assert outcome.states == dict(zip(UNITS, ["committed", "committed", "empty", "empty"], strict=True))
    assert outcome.report["missing"] == []
    assert all(unit["made_in_this_run"] for unit in outcome.report["units"])
    assert [unit["registered"] for unit in outcome.units.values()] == [True] * 4


def test_store_holds_all_images_and_a_receipt_for_each_unit(finished_job: FinishedJob) -> None:
    outcome = finished_job.outcome
    assert outcome.images == sorted(images_of("E000") + images_of("E001"))
    assert sorted(outcome.manifests) == [f"v4242-{unit}" for unit in UNITS]
    assert (outcome.store / "tonyj/run-00019/v4242/.units/v4242-R22_S12-E000.json").is_file()


def test_report_measures_every_attempt(finished_job: FinishedJob) -> None:
    outcome = finished_job.outcome
    for name in UNITS[:2]:
        unit = outcome.units[name]
        (attempt,) = unit["attempts"]
        assert attempt["outcome"] == "good"
        assert 0 < attempt["cpu_s"] < 60
        assert attempt["wall_s"] > 0
        assert attempt["max_rss_bytes"] > 10_000_000
        assert (outcome.workdir / attempt["log"] / "raytrace.out").stat().st_size > 0
    resource = outcome.report["resource"]
    assert resource["cpu_s"] == pytest.approx(sum(unit["cpu_s"] for unit in outcome.report["units"]), abs=0.01)
    assert resource["output_bytes"] == sum(path.stat().st_size for path in outcome.store.rglob("*.fits.gz"))


def test_report_names_request_release_and_panda_job(finished_job: FinishedJob) -> None:
    report = finished_job.outcome.report
    assert (report["name"], report["user"], report["task"]) == ("run-00019", "tonyj", "stars")
    assert report["comment"] == "for a look"
    assert report["panda"] == {"PANDAID": "777", "PanDA_TaskID": "88"}
    assert report["release"]["name"] == "quicksim-tiny-1.0"
    (visit,) = report["visits"]
    assert (visit["visit"], visit["dataset"]) == ("4242", "run-00019/v4242")
    manifest = finished_job.outcome.manifests["v4242-R22_S11-E000"]
    assert manifest["digest"] == visit["digest"]
    assert manifest["request"] == visit["request"]
    assert manifest["metadata"]["panda_id"] == "777"


def test_catalog_knows_images_and_receipts(finished_job: FinishedJob) -> None:
    records = registered(finished_job.outcome.store)
    names = images_of("E000") + images_of("E001") + [f".units/v4242-{unit}.json" for unit in UNITS]
    assert sorted(records) == sorted(f"run-00019/v4242/{name}" for name in names)


def test_image_shows_the_star_where_the_catalog_has_it(finished_job: FinishedJob) -> None:
    content = gzip.decompress(next(finished_job.outcome.store.rglob("lsst_e_*_E000.fits.gz")).read_bytes())
    length = content.index(b"END" + b" " * 77) // 2880 * 2880 + 2880
    pixels = np.frombuffer(content, dtype=">f4", offset=length, count=400 * 408).reshape(408, 400)
    y, x = np.unravel_index(np.argmax(pixels), pixels.shape)
    assert abs(x - 200) < 10
    assert abs(y - 204) < 10
    assert pixels[y, x] > 20 * np.median(pixels)


def test_journal_tells_each_unit_from_start_to_registration(finished_job: FinishedJob) -> None:
    events = [event["event"] for event in finished_job.outcome.journal if event.get("unit") == "v4242-R22_S11-E001"]
    assert events == ["unit_started", "unit_attempted", "unit_committed", "unit_registered"]
    kinds = [event["event"] for event in finished_job.outcome.journal]
    assert kinds[0] == "job_start"
    assert kinds.count("transfer") == 34


def test_stdout_stays_short_and_says_where_everything_is(finished_job: FinishedJob) -> None:
    outcome = finished_job.outcome
    assert len(outcome.stdout.splitlines()) < 25
    assert str(outcome.store / "tonyj/run-00019/v4242") in outcome.stdout
    assert str(outcome.workdir / "jobReport.json") in outcome.stdout
    assert outcome.stderr == ""


def test_plan_foretells_what_is_made(finished_job: FinishedJob) -> None:
    done = finished_job.bench.command(["plan", "--job", "work.json", "--json"])
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    made = finished_job.outcome.units
    assert [unit["id"] for unit in plan["units"]] == [unit["id"] for unit in made.values()]
    assert plan["visits"][0]["digest"] == finished_job.outcome.report["visits"][0]["digest"]
    for planned in plan["units"]:
        unit = made[planned["id"].partition("-")[2]]
        if unit["state"] == "committed":
            assert planned["files"] == [file["name"] for file in unit["files"]]
        assert len(planned["files"]) == 17
    assert plan["n_files"] == 68


def test_plan_for_a_person_names_units_and_sum(finished_job: FinishedJob) -> None:
    done = finished_job.bench.command(["plan", "--job", "work.json"])
    assert done.returncode == 0
    assert "v4242-R22_S12-E001" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("4 units, 68 files, about ")
    assert not (finished_job.bench.folder / "jobReport.json").exists()


def test_running_it_again_elsewhere_starts_no_simulator(bench: Bench, finished_job: FinishedJob) -> None:
    shutil.copytree(finished_job.outcome.store, bench.store)
    (bench.store / "catalog.sqlite").unlink()
    shutil.copy(finished_job.bench.folder / "sky.txt", bench.folder)
    bench.break_stage("atmosphere", "exit 1")
    outcome = bench.run_job({**finished_job.spec, "output": {"base": str(bench.store)}})
    assert outcome.exit_code == 0
    assert bench.starts("atmosphere") == []
    assert outcome.processes_started == 0
    assert not any(unit["made_in_this_run"] for unit in outcome.report["units"])
    assert outcome.states == finished_job.outcome.states
    # The catalog that was lost is restored on the way.
    assert len(registered(bench.store)) == 38


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 1.0))
def test_any_prefix_of_the_journal_resumes_to_the_same_end(finished_job: FinishedJob, share: float) -> None:
    journal = finished_job.outcome.workdir / "journal.jsonl"
    left = journal.read_bytes()[: int(share * journal.stat().st_size)]
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        (workdir / "journal.jsonl").write_bytes(left)
        done = finished_job.bench.command(["run", "--job", "work.json", "--workdir", folder])
        assert done.returncode == 0, done.stderr
        report = json.loads((workdir / "jobReport.json").read_text())
        assert report["resource"]["simulator_processes"] == 0
        assert {unit["id"].partition("-")[2]: unit["state"] for unit in report["units"]} == finished_job.outcome.states
        assert (workdir / "journal.jsonl").read_bytes().startswith(left)
        assert [event["event"] for event in read_journal(workdir / "journal.jsonl")][-1] == "job_end"


def test_register_restores_a_lost_catalog(bench: Bench, finished_job: FinishedJob) -> None:
    shutil.copytree(finished_job.outcome.store, bench.store)
    (bench.store / "catalog.sqlite").unlink()
    for _ in range(2):
        done = bench.command(["register", str(bench.store / "tonyj/run-00019")])
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("4 units, 34 files are registered in ")
        check_store(bench.store)
        assert len(registered(bench.store)) == 38


@pytest.mark.parametrize(
    ("place", "code", "name"),
    [("tonyj/run-00019/v4242", 0, ""), ("tonyj", 10, "USAGE"), ("tonyj/nobody", 10, "USAGE")],
)
def test_register_wants_the_folder_of_a_job_or_visit(
    bench: Bench, finished_job: FinishedJob, place: str, code: int, name: str
) -> None:
    shutil.copytree(finished_job.outcome.store, bench.store)
    (bench.store / "catalog.sqlite").unlink()
    done = bench.command(["register", str(bench.store / place)])
    assert done.returncode == code
    assert name in done.stderr
    assert len(registered(bench.store)) == (0 if code else 38)


def test_exit_codes_are_a_table_for_people_and_programs(bench: Bench) -> None:
    rows = json.loads(bench.command(["exit-codes", "--json"]).stdout)
    text = bench.command(["exit-codes"]).stdout.splitlines()
    assert [int(line.split()[0]) for line in text] == [row["code"] for row in rows]
    assert rows[0]["name"] == "OK"
    assert {"code", "name", "remedy", "meaning", "action"} == rows[1].keys()
