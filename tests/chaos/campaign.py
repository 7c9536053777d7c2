"""Many cases, side by side, and the table of what came of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from quicksim.release import build_release, release_name
from tests.chaos.case import Result, run_case
from tests.chaos.services import Services, pixels
from tests.chaos.world import sky
from tests.whole_job.bench import COMMAND

_CHUNK = 20
"""Cases that share servers."""


@contextmanager
def prepared() -> Iterator[tuple[Path, dict[str, str]]]:
    """A release, and the pixels of every image of a job without faults."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-truth-"))
    try:
        release = build_release(folder / "releases" / release_name(tiny=True), tiny=True)
        yield release, _truth(folder, release)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _truth(folder: Path, release: Path) -> dict[str, str]:
    (folder / "sky.txt").write_text(sky())
    spec = {
        "schema_version": 1, "name": "truth", "user": "chaos", "catalogs": ["sky.txt"], "sensors": "R22_S1.",
        "release": release.name, "output": {"base": str(folder / "store")},
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(spec))
    words = ["run", "--job", str(folder / "job.json"), "--workdir", str(folder / "work")]
    environment = {**os.environ, "IOD_RELEASES": str(release.parent)}
    subprocess.run([COMMAND, *words], env=environment, check=True, capture_output=True)
    return {path.name: pixels(path) for path in (folder / "store").rglob("*.fits.gz")}


def run_chunk(seeds: Sequence[int], release: Path, truth: dict[str, str]) -> list[Result]:
    """Cases one after the other, with servers of their own."""
    with Services(release, truth) as services:
        return [run_case(seed, services) for seed in seeds]


def run_campaign(n_cases: int, first_seed: int, n_processes: int, tell: Callable[[Result], None]) -> list[Result]:
    """All cases, in the order of their seeds."""
    seeds = range(first_seed, first_seed + n_cases)
    # Neighbouring seeds have different faults: each chunk takes some of every kind.
    chunks = [seeds[at : at + _CHUNK] for at in range(0, n_cases, _CHUNK)]
    results = []
    with prepared() as (release, truth):
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(n_processes, mp_context=spawn) as pool:
            for future in [pool.submit(run_chunk, chunk, release, truth) for chunk in chunks]:
                for result in future.result():
                    tell(result)
                    results.append(result)
    return results


def table(results: Sequence[Result]) -> str:
    """Markdown: one row for each class of faults."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * 5)
    for one in results:
        bad = one.findings
        for kind in sorted(set(one.kinds)):
            counts[kind][0] += 1
            counts[kind][1] += not (bad.lost or bad.wrong or bad.unbounded)
            for column, found in enumerate((bad.lost, bad.wrong, bad.unbounded), start=2):
                counts[kind][column] += bool(found)
    head = "| fault | injected | survived | lost | wrong code | unbounded |\n| --- | --- | --- | --- | --- | --- |\n"
    return head + "".join(f"| {kind} | {' | '.join(map(str, numbers))} |\n" for kind, numbers in sorted(counts.items()))


def last_line(results: Sequence[Result]) -> str:
    """The verdict."""
    lost, wrong, unbounded = (
        sum(bool(getattr(one.findings, name)) for one in results) for name in ("lost", "wrong", "unbounded")
    )
    return f"chaos: {len(results)} cases, {lost} lost, {wrong} wrong, {unbounded} unbounded"
