"""Releases to test with."""

from __future__ import annotations

import pytest
from quicksim_runs import Release

from quicksim.release import build_release


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(build_release(tmp_path_factory.mktemp("releases") / "quicksim-tiny-1.0", tiny=True))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(build_release(tmp_path_factory.mktemp("releases") / "quicksim-1.0", tiny=False))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for PATH with a condor_submit_dag that notes what it was called with."""
    folder = tmp_path_factory.mktemp("shim")
    script = folder / "condor_submit_dag"
    script.write_text('#!/bin/sh\necho "$@" >> submitted\n')
    script.chmod(0o755)
    return str(folder)
