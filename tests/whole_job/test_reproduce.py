"""A unit made again from what its job's report recorded."""

from __future__ import annotations

import json

import pytest

from tests.whole_job.aftermath import Outcome
from tests.whole_job.bench import Bench
from tests.whole_job.doctor_image import main as doctor
from tests.whole_job.sky import header, one_star, star

UNIT = "v4242-R22_S11-E001"


@pytest.fixture
def job(bench: Bench) -> Outcome:
    outcome = bench.run_job(bench.spec(exposures="all", amplifiers=True))
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def reproduce(bench: Bench, job: Outcome, *arguments: str) -> tuple[int, str]:
    before = {path: path.stat().st_mtime_ns for path in bench.store.rglob("*")}
    environment = {"IOD_RELEASES": str(bench.release.parent)}
    done = bench.command(["reproduce", str(job.workdir / "jobReport.json"), *arguments], environment=environment)
    assert {path: path.stat().st_mtime_ns for path in bench.store.rglob("*")} == before
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_unit_is_the_same_again(bench: Bench, job: Outcome) -> None:
    code, text = reproduce(bench, job, "--unit", UNIT)
    assert code == 0, text
    assert f"{UNIT}: 17 files, all the same" in text


@pytest.mark.long
def test_unit_of_one_visit_of_several(bench: Bench) -> None:
    bench.write("other.txt", one_star(obshistid=4243, seed=5))
    visits = [{"catalogs": ["sky.txt"]}, {"catalogs": ["other.txt"], "commands": [{"inline": "zenith_v 21\n"}]}]
    job = bench.run_job(bench.spec(catalogs=None, visits=visits, sensors="R22_S1."))
    code, text = reproduce(bench, job, "--unit", "v4243-R22_S11-E000")
    assert code == 0, text


def test_other_pixels_are_told(bench: Bench, job: Outcome) -> None:
    image = next(bench.store.rglob("lsst_a_*_C03_E001.fits.gz"))
    doctor(["zero", str(image)])
    code, text = reproduce(bench, job, "--unit", UNIT)
    assert code == 60, text
    assert f"{image.name}: pixels differ" in text
    assert "1 of 17 files" in text


def test_changed_catalog_is_refused_before_anything_is_simulated(bench: Bench, job: Outcome) -> None:
    bench.write("sky.txt", header() + star("R22_S11", 1, 17.0))
    bench.break_stage("raytrace", "real")
    code, text = reproduce(bench, job)
    assert code == 74, text
    assert "catalogs_sha256" in text
    assert bench.starts() == []


def test_report_that_cannot_help(bench: Bench, job: Outcome) -> None:
    assert reproduce(bench, job, "--unit", "v1-R22_S11-E000")[0] == 10
    assert reproduce(bench, job, "--workdir", "sky.txt")[0] == 40
    document = json.loads((job.workdir / "jobReport.json").read_text())
    for odd in ({"spec": {}}, {"spec": {**document["spec"], "catalogs": 5}}, {"visits": []}):
        (job.workdir / "jobReport.json").write_text(json.dumps({**document, **odd}))
        assert reproduce(bench, job)[0] == 11
    (job.workdir / "jobReport.json").unlink()
    assert reproduce(bench, job)[0] == 12
