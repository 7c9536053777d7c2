"""One job that many tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.panda_stub.server import PandaStub, running_stub
from tests.whole_job.aftermath import Outcome
from tests.whole_job.bench import Bench, Spec
from tests.whole_job.iod import Iod
from tests.whole_job.sky import one_star


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A job of two sensors, one of them without objects, in two exposures with amplifiers. Only to be looked at."""

    bench: Bench
    spec: Spec
    outcome: Outcome


@pytest.fixture(scope="session")
def finished_job(tmp_path_factory: pytest.TempPathFactory, tiny_release: Path) -> FinishedJob:
    """Run once a session."""
    bench = Bench(folder=tmp_path_factory.mktemp("finished"), release=tiny_release)
    bench.write("sky.txt", one_star(["R22_S11"]))
    spec = bench.spec(sensors="R22_S1[12]", exposures="all", amplifiers=True, comment="for a look", task="stars")
    environment = {"PANDAID": "777", "PanDA_TaskID": "88"}
    return FinishedJob(bench=bench, spec=spec, outcome=bench.run_job(spec, environment=environment))


@pytest.fixture
def iod(bench: Bench) -> Iterator[Iod]:
    """A user's `iod`, with a home of its own; nothing that it started outlives the test."""
    bench.may_leave_processes = True  # ends its own
    one = Iod(bench=bench, home=bench.folder / "home")
    yield one
    one.close()


@pytest.fixture
def panda() -> Iterator[PandaStub]:
    """A stand-in for a PanDA server."""
    with running_stub() as stub:
        yield stub
