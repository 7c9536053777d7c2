"""Every test gets a state folder of its own; many get a stand-in repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cvmfs import stand_in as stand_ins
from tests.cvmfs.stand_in import StandIn


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left in, or taken from, the home of who runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.delenv("IOD_PUBLISH_CONFIG", raising=False)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A Stratum 0, as far as the stand-in goes; its `cvmfs_server` is first on PATH."""
    made = stand_ins.create(tmp_path / "server")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made
