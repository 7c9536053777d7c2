"""What a job finds out before it starts its first process, and what it makes of that."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.whole_job.bench import Bench
from tests.whole_job.faulty_release import copy_release
from tests.whole_job.sky import header, one_star, star

TWO_SENSORS = "R22_S1[12]"


def state_of_release(bench: Bench, **changes: object) -> None:
    """From now on use a copy of the release whose `release.json` says something else."""
    bench.release = copy_release(bench.release, bench.folder / "releases" / bench.release.name)
    path = bench.release / "release.json"
    document = json.loads(path.read_text()) | changes
    path.unlink()  # a hard link to the shared release
    path.write_text(json.dumps(document))


def plan(bench: Bench, **spec: object) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """What `plan --json` says of a job, and how it ended."""
    bench.write("job.json", json.dumps(bench.spec(**spec)))
    done = bench.command(["plan", "--job", "job.json", "--json"])
    return json.loads(done.stdout), done


def test_missing_sed_stops_its_sensor_and_no_other(bench: Bench) -> None:
    state_of_release(bench, missing_sed="error")
    strange = star("R22_S11", 2).replace("../sky/sed_flat.txt", "galaxySED/strange.gz")
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]) + strange)
    outcome = bench.run_job(bench.spec(sensors=TWO_SENSORS))
    assert outcome.exit_code == 92
    assert outcome.states == {"R22_S11-E000": "failed", "R22_S12-E000": "committed"}
    assert outcome.units["R22_S11-E000"]["failure"] == "SED_MISSING"
    assert outcome.units["R22_S11-E000"]["attempts"] == []
    line = "visit 4242: quicksim-tiny-1.0 lacks 1 SED of 1 object: galaxySED/strange.gz (1 object, first at"
    assert f"problem  SED_MISSING: {line} sky.txt:26)" in outcome.stdout
    assert any(line in warning for warning in outcome.report["warnings"])
    # Word of it stands beside the images: another attempt does not look again.
    again = bench.run_job(bench.spec(sensors=TWO_SENSORS), workdir="again")
    assert (again.exit_code, again.processes_started) == (92, 0)


def test_sed_is_found_plain_or_gzipped_and_outside_of_seds(bench: Bench) -> None:
    state_of_release(bench, missing_sed="error")
    (bench.release / "data/SEDs/star").mkdir()
    (bench.release / "data/SEDs/star/k1.txt.gz").touch()
    (bench.release / "data/SEDs/star/k2.txt").touch()
    names = ("star/k1.txt", "star/k1.txt.gz", "star/k2.txt", "star/k2.txt.gz", "../sky/sed_flat.txt")
    stars = (star("R22_S11", number).replace("../sky/sed_flat.txt", name) for number, name in enumerate(names, start=1))
    bench.write("sky.txt", header() + "".join(stars))
    found, done = plan(bench)
    assert (done.returncode, found["problems"], found["warnings"]) == (0, [], [])


def test_missing_sed_is_a_warning_where_a_flat_spectrum_stands_in(bench: Bench) -> None:
    bench.write("sky.txt", header() + star("R22_S11").replace("../sky/sed_flat.txt", "none.txt"))
    outcome = bench.run_job()
    assert outcome.exit_code == 0
    (warning,) = (line for line in outcome.report["warnings"] if "SED" in line)
    assert warning.endswith("none.txt (1 object, first at sky.txt:24); a flat spectrum stands in")


def test_job_without_a_unit_that_can_succeed_has_the_failures_code(bench: Bench) -> None:
    state_of_release(bench, missing_sed="error")
    bench.write("sky.txt", header() + star("R22_S11").replace("../sky/sed_flat.txt", "none.txt"))
    outcome = bench.run_job()
    assert (outcome.exit_code, outcome.processes_started) == (58, 0)
    assert outcome.report["resource"]["simulator_processes"] == 0
    found, done = plan(bench)
    assert done.returncode == 58
    assert done.stderr.startswith("ERROR: SED_MISSING: visit 4242: quicksim-tiny-1.0 lacks 1 SED")
    assert found["units"][0]["failure"] == "SED_MISSING"


def test_too_many_objects_stop_their_sensor_alone(bench: Bench) -> None:
    state_of_release(bench, max_objects=2)
    stars = [star("R22_S11", number) for number in range(3)] + [star("R22_S12", number) for number in range(3, 5)]
    bench.write("sky.txt", header() + "".join(stars))
    outcome = bench.run_job(bench.spec(sensors=TWO_SENSORS))
    assert outcome.exit_code == 92
    assert outcome.units["R22_S11-E000"]["failure"] == "TOO_MANY_OBJECTS"
    assert outcome.states["R22_S12-E000"] == "committed"
    assert "R22_S11 has 3 objects, quicksim-tiny-1.0 holds 2" in outcome.stdout


def test_bright_star_is_named_with_its_cost(bench: Bench) -> None:
    state_of_release(bench, cost_model="phosim-3")
    bench.write("sky.txt", header() + star("R22_S11", 17, magnitude=9.0) + star("R22_S12", 18))
    found, done = plan(bench, sensors=TWO_SENSORS)
    assert done.returncode == 0
    (warning,) = found["warnings"]
    # 4.9e9 photons in 15 s at 0.65 million a second.
    assert "object 17 of magnitude 9 (sky.txt:24) dominates R22_S11: 5.5 h of CPU an exposure" in warning
    costs = {unit["sensor"]: unit["predicted"]["cpu_s"][1] for unit in found["units"]}
    assert costs["R22_S11"] > costs["R22_S12"] + 4 * 3600


def test_unit_that_is_surely_too_long_is_not_begun(bench: Bench) -> None:
    state_of_release(bench, cost_model="phosim-3")
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]) + "".join(star("R22_S11", n, 9.0) for n in range(3, 9)))
    spec = bench.spec(sensors=TWO_SENSORS, limits={"max_unit_hours": 1})
    outcome = bench.run_job(spec)
    assert outcome.exit_code == 92
    assert outcome.units["R22_S11-E000"]["failure"] == "UNIT_TOO_LONG"
    assert outcome.states["R22_S12-E000"] == "committed"
    # Nothing is remembered: a higher limit lets it run.
    again = bench.run_job(bench.spec(sensors=TWO_SENSORS, limits={"max_unit_hours": 20}), workdir="again")
    assert again.exit_code == 0
    assert any("max_unit_hours is 20: it may be stopped there" in line for line in again.report["warnings"])


def test_visit_without_exposure_time_is_refused(bench: Bench) -> None:
    bench.write("sky.txt", one_star(vistime=3))
    outcome = bench.run_job()
    assert outcome.exit_code == 20
    assert "visit 4242: vistime 3 s leaves 0 s for each of nsnap 2" in outcome.stderr


def test_plan_has_a_prediction_for_every_unit_and_the_job(bench: Bench) -> None:
    found, done = plan(bench, sensors=TWO_SENSORS, exposures="all")
    assert done.returncode == 0, done.stderr
    for unit in found["units"]:
        predicted = unit["predicted"]
        assert {"cpu_s", "memory_bytes", "scratch_bytes", "output_bytes"} <= predicted.keys()
        low_s, mid_s, high_s = predicted["cpu_s"]
        if unit["sensor"] == "R22_S11":
            assert 0 < low_s < mid_s < high_s
            assert unit["objects"] == 1
        else:
            assert (mid_s, predicted["output_bytes"], unit["objects"]) == (0, 0, 0)
    job = found["predicted"]
    units_cpu_s = sum(unit["predicted"]["cpu_s"][1] for unit in found["units"])
    assert job["cpu_s"][1] == pytest.approx(units_cpu_s + job["set_up_cpu_s"][1], abs=0.01)
    assert job["wall_s"][1] <= job["cpu_s"][1]
    assert job["model"] == "quicksim"


@pytest.mark.long
def test_report_has_the_prediction_beside_the_truth(bench: Bench) -> None:
    outcome = bench.run_job(bench.spec(exposures="all"))
    assert outcome.report["predicted"]["cpu_s"][0] > 0
    for unit in outcome.units.values():
        assert unit["predicted"]["terms"]["images"] == 1.0
        # On a machine of any speed.
        assert 0.1 < unit["predicted"]["cpu_s"][1] / unit["cpu_s"] < 10


def test_census_counts_what_trim_counts(bench: Bench) -> None:
    stars = [star("R22_S11", number, magnitude=8.0 + number / 2) for number in range(40)]
    # From 35 pixels beside the sensor on, ever farther and fainter.
    places = [f" {(235 + 5 * number) / 17992:.6f} 0.0 " for number in range(40)]
    near = [line.replace(" 0.0 0.0 ", place, 1) for line, place in zip(stars, places, strict=True)]
    bench.write("sky.txt", header() + "".join(near))
    outcome = bench.run_job(bench.spec(sensors="R22_S1[12]"))
    found, _ = plan(bench, sensors="R22_S1[12]")
    counted = {unit["sensor"]: unit["objects"] for unit in found["units"]}
    trimmed = {}
    for log in outcome.workdir.rglob("trim*.out"):
        for words in map(str.split, log.read_text().splitlines()):
            if words[:1] == ["Found"]:
                trimmed[words[-1].rstrip(".")] = int(words[1])
    assert {name: count for name, count in counted.items() if count} == {
        name: count for name, count in trimmed.items() if name in counted
    }
    assert 0 < counted["R22_S11"] < 40


def test_the_longest_unit_goes_first(bench: Bench) -> None:
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]) + "".join(star("R22_S12", n, 14.0) for n in range(3, 60)))
    outcome = bench.run_job(bench.spec(sensors=TWO_SENSORS), "--cores", "1")
    assert outcome.exit_code == 0
    started = [event["unit"] for event in outcome.journal if event["event"] == "unit_started"]
    assert [unit.split("-")[1] for unit in started] == ["R22_S12", "R22_S11"]
