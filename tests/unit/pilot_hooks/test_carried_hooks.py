"""The package where it is needed: in a pilot's source, in one file, and on an old Python."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pilot_hooks.core.carry import CannotCarry, install, pack
from tests.unit.pilot_hooks.stories import CUT_OFF, fake_trf, read, write_journal, write_report

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "pilot_hooks"
SOURCES = sorted(PACKAGE.rglob("*.py"))
IMPORTED_BY_THE_PILOT = {
    *("common", "setup", "container", "diagnose", "jobdata", "jobmetrics", "memory", "monitoring", "cpu", "proxy"),
    *("utilities", "copytool_definitions", "loopingjob_definitions"),
}
"""`pilot.user.<name>.<module>`, wherever pilot 3.7 and 3.11 import one."""


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Without an lsst-trf, which would really look at this machine.
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(cwd)}
    return subprocess.run([*words], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_every_module_that_a_pilot_imports_is_there() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"} == IMPORTED_BY_THE_PILOT


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_python_3_9_and_nothing_but_its_library(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    imported = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    imported |= {
        str(node.module).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }
    foreign = imported - set(sys.stdlib_module_names)
    assert foreign <= ({"pilot"} if path.parent == PACKAGE else set())


def test_a_pilot_gets_the_package_as_its_user(tmp_path: Path) -> None:
    (tmp_path / "pilot/user/generic").mkdir(parents=True)
    for _ in range(2):  # a second time replaces the first
        place = install(tmp_path)
    assert place == tmp_path / "pilot/user/imsim"
    for name in ("common.py", "core/report.py", "exit_codes.json", "retry_rules.json", "retry_rules.sql", "README.md"):
        assert (place / name).read_bytes() == (PACKAGE / name).read_bytes()


def test_no_pilot_no_package(tmp_path: Path) -> None:
    with pytest.raises(CannotCarry, match="no source folder of pilot 3"):
        install(tmp_path)


@pytest.mark.allow_processes
def test_one_file_does_both_commands(tmp_path: Path) -> None:
    archive = pack(tmp_path / "imsim-hooks.pyz")
    work = tmp_path / "work"
    work.mkdir()
    assert run(sys.executable, str(archive), "preprocess", cwd=work).returncode == 0
    done = run(sys.executable, str(archive), "postprocess", cwd=work)
    assert (done.returncode, done.stderr) == (0, "")
    assert (work / "jobReport.json").is_file()
    fake_trf(work, "exit 37")
    assert run(sys.executable, str(archive), "preprocess", cwd=work).returncode == 37


def pythons() -> list[str]:
    """Interpreters of this machine that a pilot may have, the oldest that will do first."""
    places = [Path.home() / ".pyenv/versions", Path("/opt/python"), Path("/usr")]
    found = {
        minor: str(path)
        for minor in (9, 10, 12, 13)
        for place in places
        for path in [*place.glob(f"3.{minor}.*/bin/python3"), *place.glob(f"bin/python3.{minor}")]
    }
    return [found[minor] for minor in sorted(found)]


@pytest.mark.allow_processes
def test_other_pythons_run_it(tmp_path: Path) -> None:
    interpreters = pythons()
    if not interpreters:
        pytest.skip("no Python here but the one that runs the tests")
    for number, python in enumerate(interpreters):
        work = tmp_path / str(number)
        work.mkdir()
        write_journal(work, *CUT_OFF)
        write_report(work)
        for command in ("preprocess", "postprocess"):
            done = run(python, str(PACKAGE), command, cwd=work)
            assert (done.returncode, done.stderr) == (0, ""), python
        assert read(work, "jobReport.json")["reconstructed"] is True


@pytest.mark.parametrize(("command", "code"), [("preprocess", 0), ("postprocess", 0), ("install", 1)])
def test_a_python_that_is_too_old_stops_no_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    # Older ones, 3.6 and 3.8, were tried by hand: they read `__main__.py` and nothing else.
    monkeypatch.setattr(sys, "version_info", (3, 6, 8))
    monkeypatch.setattr(sys, "argv", ["pilot_hooks", command])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PACKAGE), run_name="__main__")
    assert ended.value.code == code
    assert capsys.readouterr().out == f"{sys.executable} is older than Python 3.9: nothing is done\n"


@pytest.mark.allow_processes
def test_the_folder_is_a_program_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "pilot/user/generic").mkdir(parents=True)
    place = install(tmp_path)
    done = run(sys.executable, str(place), "postprocess", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.allow_processes
@pytest.mark.parametrize("words", [(), ("nonsense",), ("postprocess", "more"), ("install",)], ids=len)
def test_wrong_usage_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(sys.executable, str(PACKAGE), *words, cwd=tmp_path)
    assert done.returncode == 64
    assert done.stderr.startswith("usage:")
