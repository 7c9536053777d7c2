"""The runtime of one start is gone after it; no other folder can be named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_from(folder: Path, named: Path) -> None:
    command = [sys.executable, "-m", "transformation", "exit-codes"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "IOD_UNPACKED_RUNTIME": str(named)}
    done = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "SPEC_INVALID" in done.stdout


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "imsim-runtime-Ab12Cd"
    for package in ("transformation", "site_configs"):
        shutil.copytree(ROOT / package, folder / package)
    return folder


@pytest.mark.allow_processes
def test_it_is_gone_after_its_only_start(runtime: Path) -> None:
    run_from(runtime, named=runtime)
    assert not runtime.exists()


@pytest.mark.allow_processes
def test_no_other_folder_goes(runtime: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    run_from(runtime, named=precious)
    assert precious.exists()
    assert runtime.exists()
