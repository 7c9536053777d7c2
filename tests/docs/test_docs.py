"""The documentation is true: what it shows parses and runs, what it links to is there, what is generated is current."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from cvmfs_publish.exits import Exit
from submitter.troubles import table as iod_table
from tests.whole_job.bench import Bench
from transformation.exit_codes import table
from transformation.model.spec import parse_spec

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FAILURE_NAME = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
KIT_EXITS = {one.name for one in Exit}
NOT_FAILURES = {
    "BEARER_TOKEN",
    "BEARER_TOKEN_FILE",
    "CVMFS_FILE_MBYTE_LIMIT",
    "CVMFS_FORCE_REMOUNT_WARNING",
    "DP_USER",
    "DT_RPATH",
    "DT_RUNPATH",
    "HARVESTER_PILOT_CONFIG",
    "IOD_HOME",
    "IOD_PROCESS",
    "IOD_RELEASES",
    "IOD_RUNTIME",
    "IOD_RUNTIMES",
    "IOD_SITE",
    "IOD_SLOT_END",
    "LD_LIBRARY_PATH",
    "LD_RUN_PATH",
    "MORE_RESOURCES",
    "NO_COLOR",
    "O_EXCL",
    "PANDA_AUTH",
    "PANDA_AUTH_VO",
    "PANDA_BEHIND_REAL_LB",
    "PANDA_URL_SSL",
    "PILOT_RESOURCE_NAME",
    "PR_SET_CHILD_SUBREAPER",
    "PR_SET_PDEATHSIG",
    "REQUESTS_CA_BUNDLE",
    "SLURM_JOB_END_TIME",
    "SOURCE_DATE_EPOCH",
    "XDG_RUNTIME_DIR",
}


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [found["text"] for found in BLOCK.finditer(page.read_text()) if found["language"] == language]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return BLOCK.sub("", page.read_text())


def page_name(page: Path) -> str:
    """For the names of tests."""
    return str(page.relative_to(ROOT))


def test_the_job_of_the_readme_runs(bench: Bench) -> None:
    (text,) = blocks(ROOT / "README.md", "json")
    (bench.folder / "examples").symlink_to(ROOT / "examples")
    spec = bench.write("my-job.json", text.replace("quicksim-1.0", bench.release.name))
    done = bench.command(["run", "--job", str(spec), "--workdir", "my-work"])
    assert done.returncode == 0, done.stderr
    image = re.search(r"`(my-work/\S+\.fits\.gz)`", (ROOT / "README.md").read_text())
    assert image is not None
    assert (bench.folder / image[1]).is_file()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_job_specs_are_valid(page: Path) -> None:
    for text in blocks(page, "json"):
        assert parse_spec(text.encode()).catalogs


@pytest.mark.parametrize("name", ["job.json", "inline.toml"])
def test_example_jobs_are_valid(name: str) -> None:
    assert parse_spec((ROOT / "examples/virgo" / name).read_bytes()).release == "quicksim-1.0"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = [unquote(found["target"]) for found in LINK.finditer(prose(page))]
    for target in targets:
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        goal = page.parent / path if path else page
        assert goal.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in headings(goal), f"{target} names no heading"


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub forms them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_failures_that_are_named_exist(page: Path) -> None:
    known = {str(row["name"]) for row in (*table(), *iod_table())} | KIT_EXITS | NOT_FAILURES
    named = {name for name in FAILURE_NAME.findall(prose(page)) if not name.startswith("PIPELINE_")}
    assert named <= known


def test_generated_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_files_do_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    test_generated_files_are_current()


def test_the_hooks_have_the_table() -> None:
    assert json.loads((ROOT / "pilot_hooks/exit_codes.json").read_bytes()) == table()


def test_the_schema_describes_the_readme_example() -> None:
    schema = json.loads((ROOT / "docs/reference/job-spec.schema.json").read_bytes())
    (text,) = blocks(ROOT / "README.md", "json")
    keys = schema["$defs"]["JobSpec"]["properties"]
    assert set(msgspec.json.decode(text)) <= set(keys)


def test_the_journal_page_lists_every_event() -> None:
    folders = (ROOT / "transformation", ROOT / "pilot_hooks")
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    written = set(
        re.findall(r"(?:ournal\.write|\bnote|(?<![.\w])tell)\((?:workdir, story\.run, )?\s*\"(\w+)\"", sources)
    )
    written |= {f"unit_{event}" for event in re.findall(r"self\._(?:tell|change)\(\w+, \"(\w+)\"", sources)}
    listed = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference/journal.md").read_text(), re.MULTILINE))
    assert listed == written


def test_the_picture_of_the_readme_is_small() -> None:
    assert (ROOT / "docs/images/virgo.png").stat().st_size < 300_000
