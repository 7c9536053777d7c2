"""Spectra that a job brings along."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole_job.bench import Bench
from tests.whole_job.imitation import change_facts, own_release, without_grid_mode
from tests.whole_job.sky import header, place
from tests.whole_job.test_driver_mode import data_of

NAME = "mine/steep.txt"


def star_of(sed: str) -> str:
    ra_deg, dec_deg = place("R22_S11")
    return f"object 1 {ra_deg} {dec_deg} 18 {sed} 0 0 0 0 0 0 star none none\n"


def write_sed(folder: Path, name: str = NAME) -> Path:
    """A spectrum that is nothing like flat: all its light is where a filter in r sees none."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{nm} {1.0 if nm < 540 else 1e-4}\n" for nm in range(300, 1200, 10)))
    return folder


@pytest.mark.parametrize("driven", [False, pytest.param(True, marks=pytest.mark.long)])
def test_own_spectrum_is_found_beside_those_of_the_release(bench: Bench, driven: bool) -> None:
    change_facts(own_release(bench), missing_sed="error")
    if driven:
        without_grid_mode(bench)
    write_sed(bench.folder / "seds")
    bench.write("sky.txt", header() + star_of(NAME) + star_of("../sky/sed_flat.txt"))
    without = bench.run_job(workdir="without")
    assert without.exit_code == 58
    outcome = bench.run_job(bench.spec(name="with", options={"seds": "seds"}), workdir="with")
    assert outcome.exit_code == 0, outcome.stderr
    with_steep = data_of(bench)
    bench.store.rename(bench.folder / "steep-store")
    bench.write("sky.txt", header() + star_of("../sky/sed_flat.txt") + star_of("../sky/sed_flat.txt"))
    assert bench.run_job(bench.spec(name="with"), workdir="flat").exit_code == 0
    assert data_of(bench) != with_steep, "the spectrum made no difference"


@pytest.mark.long
def test_other_bytes_are_another_request(bench: Bench) -> None:
    write_sed(bench.folder / "seds")
    spec = bench.spec(options={"seds": "seds"})
    assert bench.run_job(spec).exit_code == 0
    write_sed(bench.folder / "seds", "mine/another.txt")
    again = bench.run_job(spec, workdir="again")
    assert again.exit_code == 74


@pytest.mark.parametrize(
    ("name", "words"), [("README", "README is in the release's library"), (None, "is not a folder")]
)
def test_what_cannot_be_used_is_named(bench: Bench, name: str | None, words: str) -> None:
    if name:
        write_sed(bench.folder / "seds", name)
    outcome = bench.run_job(bench.spec(options={"seds": "seds"}))
    assert outcome.exit_code == 11
    assert words in outcome.stderr
