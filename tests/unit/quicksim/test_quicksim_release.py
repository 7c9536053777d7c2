"""A release is complete, the same each time, and runs from anywhere without being written to."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from quicksim_runs import Release, catalog, star

from quicksim import release as builder
from quicksim.release import build_release

if TYPE_CHECKING:
    from pathlib import Path


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_manifest_names_every_file(tiny: Release) -> None:
    description = json.loads((tiny.root / "release.json").read_text())
    listed = {entry["path"]: entry for entry in description["files"]}
    found = contents(tiny.root)
    found.pop("release.json")
    assert list(listed) == sorted(found)
    for path, content in found.items():
        assert listed[path]["size"] == len(content)
        assert listed[path]["sha256"] == hashlib.sha256(content).hexdigest()
    assert listed["bin/raytrace"]["mode"] == "0755"


def test_the_description_says_what_the_release_is(tiny: Release, full: Release) -> None:
    small, large = (json.loads((one.root / "release.json").read_text()) for one in (tiny, full))
    assert (small["name"], small["simulator"]) == ("quicksim-tiny-1.0", "quicksim-tiny")
    assert (large["name"], large["simulator"], large["version"]) == ("quicksim-1.0", "quicksim", "1.0")
    assert (large["interpreter"], large["driver"], large["missing_sed"]) == (None, "phosim.py", "flat")
    assert small["memory_bytes"] < large["memory_bytes"]


def test_two_builds_are_the_same_bytes(tiny: Release, tmp_path: Path) -> None:
    again = build_release(tmp_path / "elsewhere" / "quicksim-tiny-1.0", tiny=True)
    assert contents(again) == contents(tiny.root)


def test_build_time_modules_stay_at_home(tiny: Release) -> None:
    modules = {path.name for path in (tiny.root / "lib" / "quicksim").glob("*.py")}
    assert "raytrace.py" in modules
    assert not modules & set(builder.BUILD_TIME_MODULES)


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(builder, "describe", fail)
    with pytest.raises(OSError, match="no space"):
        build_release(tmp_path / "quicksim-1.0", tiny=True)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_copy_elsewhere_works_and_stays_as_it_is(tiny: Release, tmp_path: Path) -> None:
    copy = tmp_path / "mount point" / "release"
    shutil.copytree(tiny.root, copy)
    before = contents(copy)
    for folder in [copy, *copy.rglob("*")]:
        folder.chmod(folder.stat().st_mode & 0o555)
    try:
        run = Release(copy).phosim(tmp_path / "run", catalog(star(1, 0, 0, 18), nsnap=1, vistime=15), "-s", "R22_S11")
    finally:
        for folder in [copy, *copy.rglob("*")]:
            folder.chmod(folder.stat().st_mode | 0o200)
    assert run.code == 0, run.stderr
    assert len(run.files()) == 17
    assert contents(copy) == before


def test_the_command_line_builds_both(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "quicksim.release", "build", "--into", str(tmp_path / "tiny"), "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{tmp_path / 'tiny'}\n"
    assert (tmp_path / "tiny" / "phosim.py").is_file()


def test_wrapped_stages_still_know_what_they_are(tiny: Release, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    shutil.copytree(tiny.root, copy)
    (copy / "bin" / "raytrace").rename(copy / "bin" / "raytrace.real")
    done = Release(copy).stage("raytrace.real", tmp_path, "chipid R22_S11\n")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1] == "Photon Raytrace"
    assert done.stderr == "Photon Raytrace: the input has no line 'instrdir'\n"
