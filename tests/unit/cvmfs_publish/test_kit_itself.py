"""The kit as a thing to copy: any Python from 3.9 on, nothing but the standard library, one row a subcommand."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cvmfs_publish
from cvmfs_publish import catalogs, cli
from cvmfs_publish.catalogs import plan_catalogs
from cvmfs_publish.trees import walk
from tests.unit.cvmfs_publish.kit import iod_publish, make_release, write_tree

KIT = Path(cvmfs_publish.__file__).parent
SOURCES = sorted(KIT.rglob("*.py"))
OPTIONAL = {"tomli", "pip", "cryptography"}
"""Used if they are there."""

pytestmark = pytest.mark.allow_processes


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(KIT)))
def test_python_39_can_read_it(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_only_the_standard_library() -> None:
    imported = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names - OPTIONAL == {"cvmfs_publish"}


def test_only_one_module_starts_programs() -> None:
    users = [path.name for path in SOURCES if "subprocess" in path.read_text().replace('"subprocess', "")]
    assert users == ["processes.py"]
    assert not [path for path in SOURCES if "shell=True" in path.read_text() or "os.system" in path.read_text()]


def _old_python() -> str | None:
    for name in ("python3.9", "python3.10"):
        for folder in [
            *os.environ["PATH"].split(os.pathsep),
            *map(str, (Path.home() / ".pyenv/versions").glob("3.9*/bin")),
        ]:
            program = Path(folder) / name
            if program.is_file() and not subprocess.run([program, "-c", ""], capture_output=True).returncode:
                return str(program)
    return None


@pytest.mark.parametrize("call", [("-m", "cvmfs_publish"), ("cvmfs_publish",)], ids=["module", "folder"])
def test_a_plain_copy_runs(call: tuple[str, ...], tmp_path: Path) -> None:
    """With the oldest Python that is here, and nothing else on its path."""
    shutil.copytree(KIT, tmp_path / "cvmfs_publish", ignore=shutil.ignore_patterns("__pycache__"))
    tree = make_release(tmp_path)
    command = [_old_python() or sys.executable, "-I" if call[0] == "cvmfs_publish" else "-s", *call]
    root = str(tmp_path / "root")
    for words in (["check", str(tree)], ["publish", str(tree), "--root", root], ["list", "--root", root]):
        done = subprocess.run(
            [*command, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("toy-1.0 ")


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((KIT.parent / "pyproject.toml").read_text())["project"]
    assert project["version"] == cvmfs_publish.VERSION
    assert iod_publish("--version").out.strip() == f"iod-publish {cvmfs_publish.VERSION}"


def test_every_subcommand_has_help() -> None:
    for name, parser in cli.all_parsers():
        assert iod_publish(name, "--help").code == 0
        assert len(parser.format_help()) > 100


def test_only_the_called_subcommand_is_loaded() -> None:
    code = (
        "import sys; from cvmfs_publish.cli import main; main(['exit-codes'])\n"
        "print(sorted(name for name in sys.modules if name.startswith('cvmfs_publish.commands.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=KIT.parent)
    loaded = done.stdout.splitlines()[-1]
    assert loaded == "['cvmfs_publish.commands.exit_codes', 'cvmfs_publish.commands.results']"


def test_verifying_loads_little(tmp_path: Path) -> None:
    """A small repository is verified faster than these are loaded."""
    key = tmp_path / "key"
    key.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    code = (
        "import sys; from cvmfs_publish.cli import main\n"
        "main(['verify', '--http', 'http://127.0.0.1:9/x', '--repository', 'x.org', '--public-key', sys.argv[1]])\n"
        "heavy = {'cvmfs_publish.config', 'cvmfs_publish.mounted', 'dataclasses', 'email', 'json', 'ssl'}\n"
        "print('heavy:', sorted(heavy & sys.modules.keys()))"
    )
    words = [sys.executable, "-S", "-c", code, str(key)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=KIT.parent)
    assert "UNREACHABLE" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_a_bug_has_a_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvmfs_publish.commands import check

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(check, "check", broken)
    ended = iod_publish("check", tmp_path)
    assert ended.code == 99
    assert "ZeroDivisionError: a bug" in ended.err
    assert "report it" in ended.err


# ---------------------------------------------------------------- the plan of catalogs
def test_every_entry_is_in_one_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "WORTH_ENTRIES", 5)
    monkeypatch.setattr(catalogs, "SPLIT_ENTRIES", 12)
    files = {f"data/SEDs/{kind}/{number}.txt": "x" for kind in ("star", "galaxy") for number in range(10)}
    files |= {f"data/lsst/{number}.txt": "x" for number in range(5)}
    files |= {f"many/{number % 3}/{number}.txt": "x" for number in range(45)}
    files["data/images/one.fits"] = "x"
    entries = walk(write_tree(tmp_path / "tree", files))
    plan = {one.folder: one.entries for one in plan_catalogs(entries)}
    assert sum(plan.values()) == len(entries)
    # many/0..2 hold 15 each; data/SEDs is bulk; data/images is too small; data is small once SEDs is cut off.
    assert set(plan) == {"", "data/SEDs", "many/0", "many/1", "many/2"}
    assert plan["data/SEDs"] == 22
    assert plan["many/1"] == 15


def test_a_folder_that_cannot_be_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvmfs_publish.checks import sizes

    monkeypatch.setattr(sizes, "REFUSED_ENTRIES", 6)
    monkeypatch.setattr(sizes, "HEAVY_ENTRIES", 3)
    said = iod_publish("check", make_release(tmp_path), "--json").document
    assert [finding["rule"] for finding in said["findings"]] == ["catalog-large"]
    monkeypatch.setattr(sizes, "REFUSED_ENTRIES", 100)
    said = iod_publish("check", tmp_path / "toy-1.0", "--json").document
    assert [(finding["rule"], finding["severity"]) for finding in said["findings"]] == [("catalog-heavy", "warning")]
