"""Starts the pilots of all collected tests, one soon after the other; each test waits for its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from quicksim.release import build_release, release_name
from tests.pilot.real_pilot import Pilot
from tests.pilot.scenarios import SCENARIOS, Bed
from tests.pilot.source import NoPilot, pilot_source, why_not
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
    pilots = {name: SCENARIOS[name](bed, name) for name in SCENARIOS if name in wanted}
    over = threading.Event()
    starter = threading.Thread(target=_start_in_turn, args=(list(pilots.values()), over))
    starter.start()
    try:
        yield pilots
    finally:
        over.set()
        starter.join()
        for pilot in pilots.values():
            pilot.end()


def _start_in_turn(pilots: Sequence[Pilot], over: threading.Event) -> None:
    """To start takes a pilot seconds of CPU time: all at once would be slow to obey, as no pilot on the grid is."""
    for pilot in pilots:
        if over.is_set():
            return
        pilot.start()
        pilot.let_others_start(over)


@pytest.fixture
def pilot(fleet: dict[str, Pilot], request: pytest.FixtureRequest) -> Pilot:
    """The pilot of the scenario that the test is parametrized with."""
    name: str = request.param
    return fleet[name]
