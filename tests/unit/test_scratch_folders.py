"""Scratch folders of jobs that live, were killed, or are to be kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from transformation.scratch_folders import keep_folder, make_folder, remove_folder, sweep

pytestmark = pytest.mark.allow_processes

JOB = """
import sys, time
from pathlib import Path
from transformation.scratch_folders import make_folder
folder = make_folder(Path(sys.argv[1]))
(folder / "visit-0/units").mkdir(parents=True)
(folder / "visit-0/units/file").write_text("x")
(folder / "visit-0/link").symlink_to("/etc")
print(folder, flush=True)
time.sleep(60)
"""


def killed_job(scratch: Path) -> Path:
    job = subprocess.Popen([sys.executable, "-c", JOB, str(scratch)], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    folder = Path(job.stdout.readline().strip())
    job.kill()
    job.communicate()
    assert (folder / "visit-0/units/file").exists()
    return folder


def test_the_folder_of_a_killed_job_is_swept_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    dead, ours = killed_job(tmp_path), make_folder(tmp_path)
    assert sweep(tmp_path, patience_s=10.0) == [dead]
    assert sorted(tmp_path.iterdir()) == sorted([ours, ours.with_name(f"{ours.name}.lock")])
    assert ours.stat().st_mode & 0o777 == 0o700
    assert Path("/etc/passwd").exists()


def test_a_folder_is_removed_with_its_lock(tmp_path: Path) -> None:
    remove_folder(make_folder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_was_kept_is_swept_after_a_week(tmp_path: Path) -> None:
    dead = killed_job(tmp_path)
    keep_folder(dead)
    assert sweep(tmp_path, patience_s=10.0) == []
    week_ago = time.time() - 8 * 86_400
    os.utime(dead / ".kept", (week_ago, week_ago))
    assert sweep(tmp_path, patience_s=10.0) == [dead]


def test_a_lock_whose_folder_somebody_else_removed_goes_after_a_day(tmp_path: Path) -> None:
    locks = [tmp_path / f"lsst-trf-{os.getuid()}-{letter * 12}.lock" for letter in "abc"]
    for lock in locks:
        lock.touch()
    locks[2].with_suffix("").mkdir()
    keep_folder(locks[2].with_suffix(""))
    day_ago = time.time() - 90_000
    for lock in locks[1:]:
        os.utime(lock, (day_ago, day_ago))
    sweep(tmp_path, patience_s=10.0)
    assert [lock.exists() for lock in locks] == [True, False, True]


def test_names_of_others_are_left_alone(tmp_path: Path) -> None:
    others = [f"lsst-trf-{os.getuid() + 1}-{'a' * 12}", f"lsst-trf-{os.getuid()}-notes", "data"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / f"lsst-trf-{os.getuid()}-{'b' * 12}").symlink_to(tmp_path / "data")
    before = sorted(tmp_path.iterdir())
    assert sweep(tmp_path, patience_s=10.0) == []
    assert sorted(tmp_path.iterdir()) == before


def test_no_more_time_than_allowed(tmp_path: Path) -> None:
    dead = killed_job(tmp_path)
    assert sweep(tmp_path, patience_s=-1.0) == []
    assert dead.exists()
    assert sweep(tmp_path / "missing", patience_s=1.0) == []
