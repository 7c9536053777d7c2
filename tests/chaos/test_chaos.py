"""Fifteen cases of the chaos campaign; `make chaos` runs as many as one likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.campaign import prepared
from tests.chaos.case import run_case
from tests.chaos.services import Services

SEEDS = (87, 91, 101, 104, 105, 108, 113, 116, 118, 128, 136, 158, 228, 264, 300)
"""Quick ones that meet most classes of faults, where everything can be had; none needs the Rucio server."""


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with prepared() as (release, truth), Services(release, truth) as one:
        yield one


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_under_faults_loses_nothing(services: Services, seed: int) -> None:
    result = run_case(seed, services)
    bad = result.findings
    assert (bad.lost, bad.wrong, bad.unbounded) == ([], [], []), result.faults
