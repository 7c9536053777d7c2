"""A request that cannot be met: one clear line, its own code, nothing started."""

from __future__ import annotations

import gzip
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.whole_job.bench import COMMAND, Bench
from tests.whole_job.sky import header, one_star, star


@dataclass(frozen=True, kw_only=True)
class Bad:
    """What is wrong, and what the user is told."""

    code: int
    says: tuple[str, ...]
    spec: dict[str, object] = field(default_factory=dict)
    files: dict[str, str | bytes] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


BAD = {
    "unknown key": Bad(code=11, spec={"sensor": "R22_S11"}, says=("'sensor'", "did you mean 'sensors'?")),
    "unknown key below": Bad(code=11, spec={"output": {"bass": "x"}}, says=("'bass'", "did you mean 'base'?")),
    "wrong type": Bad(code=11, spec={"amplifiers": "yes"}, says=("'amplifiers'", "bool")),
    "missing key": Bad(code=11, spec={"user": None}, says=("'user' is missing",)),
    "unresolved name": Bad(code=11, spec={"name": "%u-%t-%n"}, says=("'name'", "resolved by the submitter")),
    "name that climbs": Bad(code=11, spec={"name": "../other"}, says=("'name'",)),
    "catalogs and visits": Bad(code=11, spec={"visits": [{"catalogs": ["sky.txt"]}]}, says=("catalogs", "visits")),
    "exposure beyond": Bad(code=11, spec={"exposures": [2]}, says=("'exposures'", "has 2")),
    "same visit twice": Bad(
        code=11,
        spec={"catalogs": None, "visits": [{"catalogs": ["sky.txt"]}, {"catalogs": ["sky.txt"]}]},
        says=("obshistid 4242",),
    ),
    "pattern does not compile": Bad(code=14, spec={"sensors": "R22_S(11"}, says=("'sensors'", "does not compile")),
    "pattern matches nothing": Bad(code=15, spec={"sensors": "R22_S33"}, says=("'sensors'", "matches none of the 205")),
    "select leaves nothing": Bad(code=15, arguments=("--select", "v1:R22"), says=("--select: v1:R22 is not",)),
    "select names one that is not there": Bad(
        code=15, arguments=("--select", "v4242:R22_S11,v4242:R21,v4242:R22"), says=("--select: v4242:R21 is not",)
    ),
    "no time for a frame": Bad(
        code=15,
        spec={"sensors": "R00_S21", "exposures": "all"},
        files={"sky.txt": one_star(["R00_S21"], vistime=0.05, nsnap=1)},
        says=("no exposure is as long as one frame",),
    ),
    "command file missing": Bad(code=16, spec={"commands": ["none.txt"]}, says=("'commands'", "none.txt")),
    "command owned by the job": Bad(code=16, spec={"commands": [{"inline": "seed 5"}]}, says=("seed", "not allowed")),
    "unknown example": Bad(
        code=16, spec={"commands": ["$(PHOSIMDIR)/examples/nothing"]}, says=("no example 'nothing'", "quickbackground")
    ),
    "catalog missing": Bad(code=22, spec={"catalogs": ["none.txt"]}, says=("none.txt", "does not exist")),
    "catalog is a folder": Bad(code=22, spec={"catalogs": ["."]}, says=("not a file",)),
    "catalog malformed": Bad(
        code=20,
        files={"sky.txt": one_star() + "object 2 0.0\n" + star("R22_S11", 3).replace("18.0", "bright")},
        says=("sky.txt:25:", "sky.txt:26:"),
    ),
    "catalog is no catalog": Bad(code=20, files={"sky.txt": "once upon a time\n"}, says=("sky.txt",)),
    "catalog cut short": Bad(code=20, files={"sky.txt": gzip.compress(one_star().encode())[:-20]}, says=("sky.txt",)),
    "catalog id with zeros": Bad(code=20, files={"sky.txt": one_star(obshistid="0042")}, says=("obshistid", "0042")),
    "catalogs disagree": Bad(
        code=21,
        spec={"catalogs": ["sky.txt", "other.txt"]},
        files={"other.txt": one_star(filter=4)},
        says=("filter is 4, but 2",),
    ),
    "catalog changed": Bad(
        code=24, spec={"catalogs": [{"url": "sky.txt", "adler32": "00000001"}]}, says=("sky.txt", "00000001")
    ),
    "include that climbs": Bad(
        code=25, files={"sky.txt": header() + "includeobj ../secret.txt\n"}, says=("../secret.txt",)
    ),
    "unknown site": Bad(code=30, arguments=("--site", "nowhere"), says=("unknown site 'nowhere'", "local")),
    "unknown release": Bad(code=31, spec={"release": "phosim-9.9"}, says=("'phosim-9.9'", "there: quicksim-tiny-1.0")),
    "not enough memory": Bad(code=43, arguments=("--memory-mb", "50"), says=("quicksim-tiny-1.0 needs", "has 50 MB")),
    "bad option": Bad(code=10, arguments=("--colour", "blue"), says=("--colour",)),
    "bad number": Bad(code=10, arguments=("--cores", "many"), says=("--cores", "'many'")),
    "bad selection": Bad(code=10, arguments=("--select", "R22"), says=("--select",)),
    "two requests": Bad(code=10, arguments=("--lsstJobParams=NAME=x",), says=("exactly one",)),
    "store of an unknown kind": Bad(
        code=75, spec={"output": {"base": "s3://bucket/x"}}, says=("s3://bucket/x", "known: bare paths")
    ),
    "catalog of an unknown kind": Bad(code=75, spec={"catalogs": ["ftp://host/x"]}, says=("ftp://host/x",)),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_request_is_refused_before_anything_starts(bench: Bench, bad: Bad) -> None:
    spec = bench.spec(**bad.spec)
    for name, content in bad.files.items():
        bench.write(name, content)
    outcome = bench.run_job(spec, *bad.arguments)
    assert outcome.exit_code == bad.code, outcome.stderr
    for words in bad.says:
        assert words in outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("ERROR: ")
    assert not bench.store.exists()
    assert outcome.processes_started == 0
    assert not list(outcome.workdir.rglob("*.out"))


@pytest.mark.parametrize("bad", ["unknown key", "pattern matches nothing", "catalog malformed", "unknown release"])
def test_plan_refuses_with_the_same_words(bench: Bench, bad: str) -> None:
    case = BAD[bad]
    path = bench.write_spec(**case.spec)
    for name, content in case.files.items():
        bench.write(name, content)
    before = sorted(bench.folder.rglob("*"))
    done = bench.command(["plan", "--job", str(path)])
    assert done.returncode == case.code
    for words in case.says:
        assert words in done.stderr
    assert sorted(bench.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (["--job", "none.json"], 12, "none.json does not exist"),
        (["--job", "ftp://host/job.json"], 11, "no adapter for ftp://host/job.json"),
        (["--job", "data:;base64,!!!"], 11, "not base64"),
        (["--job", "data:;base64,eyJh"], 11, "not valid JSON"),
        (["--lsstJobParams=NAME=x|CATALOG_URI=y"], 10, "did you mean 'CATALOG_URL'?"),
        (["--lsstJobParams=DP_USER=x|SENSORS=R22_S11"], 11, "'name' is missing"),
        ([], 10, "exactly one of --job and --lsstJobParams"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_request_that_cannot_be_read(bench: Bench, request_: list[str], code: int, says: str) -> None:
    outcome = bench.run_job(request=request_)
    assert outcome.exit_code == code
    assert says in outcome.stderr
    assert not bench.store.exists()


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["run", "--job"], ["run", "--workdir=elsewhere", "--jop", "x"], ["plan", "--cores", "1"]]
)
def test_wrong_usage_is_never_code_2(bench: Bench, words: list[str]) -> None:
    done = bench.command(words)
    assert done.returncode == 10
    assert done.stderr.splitlines()[-1].startswith("ERROR: USAGE: ")
    assert not bench.store.exists()


@pytest.mark.parametrize("form", [["--workdir", "there"], ["--workdir=there"]], ids=["two words", "one word"])
def test_wrong_usage_leaves_its_reports_in_the_work_folder(bench: Bench, form: list[str]) -> None:
    done = bench.command(["run", "--jop", "x", *form])
    assert done.returncode == 10
    report = json.loads((bench.folder / "there/jobReport.json").read_text())
    assert report["exitCode"] == 10
    assert json.loads((bench.folder / "there/payload_error_report.json").read_text())["error_code"] == 10
    end = json.loads((bench.folder / "there/journal.jsonl").read_text().splitlines()[-1])
    assert (end["event"], end["exitMsg"]) == ("job_end", report["exitMsg"])
    assert not (bench.folder / "jobReport.json").exists()


def test_streams_that_are_closed(bench: Bench) -> None:
    words = [COMMAND, "run", "--job", "nowhere.json", "--workdir", "work"]
    for streams in ("<&-", ">&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["/bin/sh", "-c", f'"$@" {streams}', "sh", *words],
            cwd=bench.folder,
            env=bench.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 12, done.stderr
        assert "Traceback" not in done.stderr


def test_work_folder_that_another_job_uses_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    bench.break_stage("raytrace", "while test ! -e $notes/go; do sleep 0.05; done; real")
    first = bench.start_job()
    first.wait_for("unit_started")
    report = (first.workdir / "jobReport.json").read_text()
    second = bench.command(["run", "--job", "work.json", "--workdir", "work"])
    assert second.returncode == 41
    assert "work is in use by another lsst-trf" in second.stderr
    assert json.loads(report)["run"] == json.loads((first.workdir / "jobReport.json").read_text())["run"]
    (bench.notes / "go").touch()
    assert first.end().exit_code == 0


def test_work_folder_that_cannot_be_made(bench: Bench) -> None:
    bench.write("file", "in the way")
    done = bench.command(["run", "--job", str(bench.write_spec()), "--workdir", "file/work"])
    assert done.returncode == 40
    assert done.stderr.startswith("ERROR: WORKDIR_UNUSABLE: file/work: ")
