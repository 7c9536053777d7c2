"""All the ways to ask for a job, and what each option changes in what is made."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from tests.whole_job.aftermath import Outcome, registered
from tests.whole_job.bench import Bench
from tests.whole_job.faulty_release import copy_release
from tests.whole_job.sky import header, one_star, star

UNIT = "R22_S11-E000"
E_IMAGE = "lsst_e_4242_f2_R22_S11_E000.fits.gz"


def header_of(image: Path) -> dict[str, str]:
    """Cards of an image, values as they are written."""
    text = gzip.decompress(image.read_bytes())[: 2880 * 40].decode("ascii", errors="replace")
    cards = (text[at : at + 80] for at in range(0, len(text), 80))
    return {card[:8].strip(): card[10:].strip(" '") for card in cards if card[8:10] == "= "}


def image_of(outcome: Outcome, name: str = E_IMAGE) -> Path:
    """The stored image of that name."""
    return next(outcome.store.rglob(name))


@pytest.mark.parametrize("form", ["stdin", "data", "TOML", pytest.param("JOB_SPEC", marks=pytest.mark.long), "keys"])
def test_every_form_of_a_request_makes_the_same(bench: Bench, form: str) -> None:
    spec = bench.spec(name="stars-7", task="stars")
    text = json.dumps(spec)
    stdin = b""
    match form:
        case "stdin":
            request, stdin = ["--job", "-"], text.encode()
        case "data":
            request = ["--job", f"data:;base64,{base64.b64encode(text.encode()).decode()}"]
        case "TOML":
            lines = [f"{key} = {json.dumps(value)}" for key, value in spec.items() if key != "output"]
            path = bench.write("job.toml", "\n".join([*lines, "[output]", f'base = "{bench.store}"']))
            request = ["--job", path.as_uri()]
        case "JOB_SPEC":
            path = bench.write("job.json", text)
            request = [f"--lsstJobParams=PIPELINE_TASK=stars|PIPELINE_EXECUTIONNUMBER=3|JOB_SPEC={path}"]
        case _:
            pairs = {
                "DP_USER": "tonyj",
                "PIPELINE_USER": "lsstsim",
                "PIPELINE_TASK": "stars",
                "PIPELINE_STREAM": "12",
                "PIPELINE_PROCESSINSTANCE": "7",
                "PIPELINE_EXECUTIONNUMBER": "3",
                "CATALOG_URL": "sky.txt",
                "SENSORS": "R22_S11|R99_S..",
                "EXPOSURES": "0",
                "AMPLIFIERS": "false",
                "RELEASE": "quicksim-tiny-1.0",
                "OUTPUT_BASE": str(bench.store).replace("/", "%2F"),
            }
            request = ["--lsstJobParams=" + "|".join(f"{key}={value}" for key, value in pairs.items())]
    outcome = bench.run_job(request=request, stdin=stdin)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == {UNIT: "committed"}
    assert image_of(outcome) == bench.store / "tonyj/stars-7/v4242" / E_IMAGE
    assert outcome.report["task"] == "stars"
    assert outcome.report["attempt"] == (3 if form in {"JOB_SPEC", "keys"} else None)


def test_several_visits_each_with_its_own_commands(bench: Bench) -> None:
    bench.write("other.txt", one_star(obshistid=4243, filter=3, nsnap=1, vistime=15))
    visits = [
        {"catalogs": ["sky.txt"]},
        {"catalogs": ["other.txt"], "commands": [{"inline": "zenith_v 1000.0\nraydensity 0.0\n"}]},
    ]
    outcome = bench.run_job(bench.spec(catalogs=None, visits=visits, commands=["$(PHOSIMDIR)/examples/nocosmics"]))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == {"v4242-R22_S11-E000": "committed", "v4243-R22_S11-E000": "committed"}
    folder = bench.store / "tonyj/run-00019"
    assert header_of(folder / "v4243/lsst_e_4243_f3_R22_S11_E000.fits.gz")["EXPTIME"].startswith("15")
    # Without sky most pixels are empty, and the file is small.
    with_sky, without_sky = (
        (folder / place).stat().st_size for place in (f"v4242/{E_IMAGE}", "v4243/lsst_e_4243_f3_R22_S11_E000.fits.gz")
    )
    assert without_sky < with_sky / 2
    assert [visit["dataset"] for visit in outcome.report["visits"]] == ["run-00019/v4242", "run-00019/v4243"]


def test_select_makes_a_part_and_a_later_job_the_rest(bench: Bench) -> None:
    bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]))
    spec = bench.spec(sensors="R22_S1[12]")
    part = bench.run_job(spec, "--select", "v4242:R22_S12")
    assert part.exit_code == 0, part.stderr
    assert part.states == {"R22_S12-E000": "committed"}
    whole = bench.run_job(spec, workdir="whole")
    assert whole.states == {"R22_S11-E000": "committed", "R22_S12-E000": "committed"}
    assert [unit["made_in_this_run"] for unit in whole.report["units"]] == [True, False]


@pytest.mark.long
def test_second_exposure_alone(bench: Bench) -> None:
    outcome = bench.run_job(bench.spec(exposures=[1]))
    assert outcome.images == ["lsst_e_4242_f2_R22_S11_E001.fits.gz"]
    cards = header_of(image_of(outcome, outcome.images[0]))
    assert (cards["PAIRID"].split()[0], cards["SEED"].split()[0]) == ("1", "1001")


def test_catalogs_are_appended_with_gzip_and_includes(bench: Bench) -> None:
    bench.write("sky.txt", header() + "includeobj more/one.txt.gz\n")
    (bench.folder / "more").mkdir()
    bench.write("more/one.txt.gz", gzip.compress(star("R22_S11").encode()))
    bench.write("second.txt.gz", gzip.compress(one_star(["R22_S12"]).encode()))
    outcome = bench.run_job(bench.spec(catalogs=["sky.txt", "second.txt.gz"], sensors="R22_S1."))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.states == {
        "R22_S10-E000": "empty",
        "R22_S11-E000": "committed",
        "R22_S12-E000": "committed",
    }


def test_catalog_of_the_old_names_with_defaults_warns_once(bench: Bench) -> None:
    bench.write(
        "sky.txt",
        "Opsim_obshistid 4242\nUnrefracted_RA_deg 0\nUnrefracted_Dec_deg 0\nOpsim_filter 2\nSIM_SEED 7\n"
        + star("R22_S11"),
    )
    outcome = bench.run_job()
    assert outcome.exit_code == 0, outcome.stderr
    assert header_of(image_of(outcome))["SEED"].split()[0] == "7"
    (warning,) = [one for one in outcome.report["warnings"] if "default" in one]
    assert "vistime 33" in warning
    assert outcome.report["visits"][0]["defaults_used"]["nsnap"] == "2"


@pytest.mark.parametrize(
    ("name", "vistime", "is_flagged"), [("bias", 0, True), pytest.param("dark", 300, False, marks=pytest.mark.long)]
)
def test_calibration_image_needs_no_light(bench: Bench, name: str, vistime: int, *, is_flagged: bool) -> None:
    bench.write("sky.txt", header(telconfig=1, vistime=vistime, nsnap=1, minsource=0))
    outcome = bench.run_job(bench.spec(amplifiers=True))
    assert outcome.exit_code == 0, outcome.stderr
    assert len(outcome.images) == 17
    assert bool(outcome.units[UNIT]["notes"]) == is_flagged, name


def test_wavefront_sensor_is_made_when_it_is_named(bench: Bench) -> None:
    bench.write("sky.txt", header(minsource=0))
    outcome = bench.run_job(bench.spec(sensors="R00_S22_C0", amplifiers=True))
    assert outcome.exit_code == 0, outcome.stderr
    amplifiers = [f"lsst_a_4242_f2_R00_S22_C0{number}_E000.fits.gz" for number in range(8)]
    assert outcome.images == [*amplifiers, "lsst_e_4242_f2_R00_S22_C0_E000.fits.gz"]


def test_store_and_catalog_stand_in_the_work_folder_where_no_base_is_given(bench: Bench) -> None:
    done = bench.command(["run", "--job", str(bench.write_spec(output=None)), "--workdir", "work"])
    assert done.returncode == 0, done.stderr
    assert (bench.folder / "work/tonyj/run-00019/v4242" / E_IMAGE).is_file()
    assert len(registered(bench.folder / "work")) == 2


def test_equal_requests_make_equal_pixels(bench: Bench) -> None:
    pixels = []
    for base in ("one", "two"):
        outcome = bench.run_job(bench.spec(output={"base": base}), workdir=f"work-{base}", store=bench.folder / base)
        assert outcome.exit_code == 0, outcome.stderr
        content = gzip.decompress((bench.folder / base / "tonyj/run-00019/v4242" / E_IMAGE).read_bytes())
        pixels.append(content[-408 * 400 * 4 :])
    assert pixels[0] == pixels[1]


def test_debug_keeps_the_work_folders(bench: Bench) -> None:
    done = bench.command(
        ["run", "--job", str(bench.write_spec(debug=True)), "--workdir", "work", "--cores", "1", "--memory-mb", "500"]
    )
    assert done.returncode == 0, done.stderr
    assert list((bench.folder / "work/scratch").rglob(E_IMAGE))
    report = json.loads((bench.folder / "work/jobReport.json").read_text())
    assert (report["resource"]["cores"], report["resource"]["memory_bytes"]) == (1, 500_000_000)


SECRET = "s3cr3t-do-not-tell"
NAMES = ["X509_USER_PROXY", "BEARER_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "PANDA_AUTH_ID_TOKEN"]


def test_secrets_of_the_environment_reach_neither_simulator_nor_any_file(bench: Bench) -> None:
    bench.break_stage("raytrace", "env > $notes/raytrace.env; env; env >&2; real")
    bench.break_stage("phosim.py", "env > $notes/phosim.env; env; real")
    outcome = bench.run_job(environment={**dict.fromkeys(NAMES, SECRET), "HARMLESS": "is passed on"})
    assert outcome.exit_code == 0, outcome.stderr
    for stage in ("raytrace", "phosim"):
        assert "HARMLESS=is passed on" in (bench.notes / f"{stage}.env").read_text()
    tellers = [path for path in bench.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert tellers == []
    assert SECRET not in outcome.stdout + outcome.stderr


def test_a_site_describes_an_installed_simulator_that_has_no_release_json(bench: Bench) -> None:
    tree = copy_release(bench.release, bench.folder / "installed")
    facts = json.loads((tree / "release.json").read_text())
    (tree / "release.json").unlink()
    lines = [f"{key} = {json.dumps(facts[key])}" for key in ("simulator", "version", "memory_bytes")]
    sidecar = "[releases.sidecars.'lab-2.0'"
    site = ['name = "lab"', f'{sidecar}]\ntree = "{tree}"', f"{sidecar}.facts]", *lines]
    bench.write("lab.toml", "\n".join(site))
    outcome = bench.run_job(bench.spec(release="lab-2.0"), "--site", str(bench.folder / "lab.toml"))
    assert outcome.exit_code == 0
    assert outcome.report["release"]["root"] == str(tree)
