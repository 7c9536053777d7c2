"""`build runtime`: starts from any folder, with nothing around it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cvmfs_publish.building import runtime
from cvmfs_publish.building.packages import Package, closure, installed
from cvmfs_publish.checks.check import Verdict, check
from cvmfs_publish.checks.findings import Severity
from cvmfs_publish.checks.tree import Demands
from cvmfs_publish.exits import KitError
from cvmfs_publish.manifest import read_release
from tests.unit.cvmfs_publish.kit import iod_publish

pytestmark = pytest.mark.allow_processes

WANTED = (runtime.PROJECT,)
"""Without the extras and what is large: the whole takes a minute and a quarter of a gigabyte."""
LARGE = ("astropy", "numpy", "pyerfa", "astropy-iers-data", "pyyaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small runtime, as it is built."""
    folder = tmp_path_factory.mktemp("runtime")
    patch = pytest.MonkeyPatch()
    real = runtime.installed
    patch.setattr(runtime, "installed", lambda program: {k: v for k, v in real(program).items() if k not in LARGE})
    patch.setattr(runtime, "closure", lambda _, there: _closure(there))
    built = iod_publish("build", "runtime", "--no-compile", "--root", folder / "root", "--workshop", folder / "shop")
    patch.undo()
    assert built.code == 0, built.err
    place = Path(built.out.strip())
    version = read_release(place).version
    assert place == folder / f"root/imsim-runtime/{version}/imsim-runtime-{version}"
    return place


@pytest.fixture(scope="module")
def verdict(built: Path) -> Verdict:
    """What the check says of it."""
    return check(built, Demands(workers=("debian13",), machine=os.uname().machine))


@pytest.fixture(scope="module")
def moved(built: Path, verdict: Verdict) -> Path:
    """The runtime in another folder, with a blank in its name, after it was checked where it was built."""
    assert verdict.passed
    target = built.parents[3] / "mount point" / built.name
    target.parent.mkdir()
    built.rename(target)
    for inside, _, files in os.walk(target):  # as CVMFS is
        for name in files:
            if not Path(inside, name).is_symlink():
                Path(inside, name).chmod(Path(inside, name).stat().st_mode & 0o555)
    return target


def _closure(there: dict[str, Package]) -> list[Package]:
    """The project with what is installed of its plain requirements."""
    project = there[runtime.PROJECT]
    needed = tuple(one for one in project.requires if not one.lower().startswith(LARGE))
    slim = Package(**{**{key: getattr(project, key) for key in Package.__dataclass_fields__}, "requires": needed})
    return closure(WANTED, {**there, runtime.PROJECT: slim})


def _run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)


def test_it_starts_with_nothing_around_it(moved: Path) -> None:
    done = _run(moved / "bin/lsst-trf", "exit-codes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert not list(moved.rglob("__pycache__")), "a runtime is never written to"


def test_its_python_is_its_own(moved: Path) -> None:
    code = "import sys, ssl, sqlite3, ctypes, msgspec, transformation; print(sys.prefix, transformation.__file__)"
    done = _run(moved / "bin/python3", "-B", "-c", code)
    assert done.returncode == 0, done.stderr
    prefix, _, module = done.stdout.strip().partition(f" {moved}")
    assert prefix == str(moved)
    assert module.startswith("/lib/python3.")
    maps = "import ssl; print(open('/proc/self/maps').read())"
    mapped = _run(moved / "bin/python3", "-B", "-c", maps).stdout
    libraries = {line.split(maxsplit=5)[5] for line in mapped.splitlines() if ".so" in line}
    foreign = {path for path in libraries if not path.startswith(str(moved))}
    assert {Path(path).name.split(".")[0].split("-")[0] for path in foreign} <= {"libc", "libm", "libz", "ld"}


def test_what_a_job_inherits_does_not_reach_in(moved: Path, tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('the wrong module')\n")
    done = subprocess.run(
        [str(moved / "bin/lsst-trf"), "exit-codes"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr


def test_it_starts_through_links_and_path(moved: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(moved)
    assert _run(tmp_path / "current/bin/lsst-trf", "exit-codes").returncode == 0
    assert _run("/bin/sh", "-c", "lsst-trf exit-codes", PATH=f"{moved}/bin:/usr/bin:/bin").returncode == 0


def test_the_bootstrap_finds_it(moved: Path, tmp_path: Path) -> None:
    assert (moved / "lsst-trf.sh").is_file()
    done = subprocess.run(
        ["/bin/sh", str(moved / "lsst-trf.sh"), f"--runtime={moved}", "exit-codes"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr


def test_it_passes_the_check(verdict: Verdict) -> None:
    assert [finding for finding in verdict.findings if finding.severity is Severity.ERROR] == []


def test_what_it_says_of_itself(moved: Path) -> None:
    facts = read_release(moved).document
    assert facts["kind"] == "runtime"
    assert facts["platform"]["tag"] == f"{os.uname().machine}-glibc{facts['platform']['glibc']}"
    assert "msgspec" in [one["name"] for one in facts["packages"]]
    assert not [line for line in json.dumps(facts).split('"') if line.startswith(("/root", "/home", "/tmp"))]


def test_an_old_python_cannot_carry_it(tmp_path: Path) -> None:
    old = tmp_path / "python"
    answer = json.dumps({"program": "/usr/bin/python3.9", "version": [3, 9, 2], "library": "/usr/lib/python3.9"})
    old.write_text(f"#!/bin/sh\necho '{answer}'\n")
    old.chmod(0o755)
    refused = iod_publish("build", "runtime", "--python", old, "--workshop", tmp_path / "shop")
    assert refused.code == 20
    assert "3.11" in refused.err


def _package(name: str, *requires: str) -> Package:
    return Package(name, "1", requires, (), Path("/"), "", {}, None)


THERE = {
    one.name: one
    for one in (
        _package("project", "plain>=1", 'extra-one ; extra == "one"', 'later; python_version < "3"', "deep[more]"),
        _package("plain"),
        _package("extra-one", "below (>=2)"),
        _package("below"),
        _package("deep", 'inner; extra == "more"', 'other; extra == "less"'),
        _package("inner", "project"),
        _package("other"),
    )
}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["project"], "deep inner plain project"),
        (["project[one]"], "below deep extra-one inner plain project"),
        (["project", "Extra.One"], "below deep extra-one inner plain project"),
        (["deep"], "deep"),
        (["deep", "deep[less]"], "deep other"),
    ],
)
def test_what_is_needed(wanted: list[str], found: str) -> None:
    assert " ".join(package.name for package in closure(wanted, THERE)) == found


def test_what_is_missing_is_named() -> None:
    with pytest.raises(KitError, match="no absent"):
        closure(["absent"], THERE)
    without = {name: package for name, package in THERE.items() if name != "plain"}
    with pytest.raises(KitError, match="no plain>=1"):
        closure(["project"], without)


def test_this_environment_can_be_read() -> None:
    there = installed(shutil.which("python3", path=str(Path(os.sys.executable).parent)) or "python3")  # type: ignore[attr-defined]
    assert there[runtime.PROJECT].scripts["lsst-trf"]
