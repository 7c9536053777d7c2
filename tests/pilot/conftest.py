"""Starts the pilots of all collected tests at once; each test waits for its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quicksim.release import build_release, release_name
from tests.pilot.real_pilot import NoPilot, Pilot, pilot_source, why_not
from tests.pilot.scenarios import SCENARIOS, Bed
from tests.servers.software import XROOTD, have_xrootd
from tests.servers.xrootd_server import XRootDServer


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Storage, a release and a published runtime; skips where no pilot can run."""
    if reason := why_not():
        pytest.skip(f"the real pilot runs in a PID namespace only: {reason}")
    if not have_xrootd():
        pytest.skip(f"no xrootd here, and it cannot be installed: as root `apt-get install {' '.join(XROOTD)}`")
    try:
        pilot_source()
    except NoPilot as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("pilots")
    release = build_release(folder / "releases" / release_name(tiny=True), tiny=True)
    server = XRootDServer().start()
    yield Bed(folder=folder, server=server, release=release)
    server.close()


@pytest.fixture(scope="session")
def fleet(bed: Bed, request: pytest.FixtureRequest) -> Iterator[dict[str, Pilot]]:
    """All pilots that some collected test asks for, under way."""
    wanted = {
        item.callspec.params["pilot"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "pilot" in item.callspec.params
    }
    pilots: dict[str, Pilot] = {}
    try:
        for name in SCENARIOS:
            if name in wanted:
                pilots[name] = SCENARIOS[name](bed, name).start()
        yield pilots
    finally:
        for pilot in pilots.values():
            pilot.end()


@pytest.fixture
def pilot(fleet: dict[str, Pilot], request: pytest.FixtureRequest) -> Pilot:
    """The pilot of the scenario that the test is parametrized with."""
    name: str = request.param
    return fleet[name]


@pytest.fixture(scope="session")
def hooks() -> Path:
    """The folder of our package."""
    return Path(__file__).parents[2] / "pilot_hooks"
