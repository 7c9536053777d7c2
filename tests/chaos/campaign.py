"""Many cases, side by side, and the table of what came of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from quicksim.release import build_release, release_name
from tests.chaos.case import Result, run_case
from tests.chaos.checks import Findings, summary
from tests.chaos.services import Services, pixels
from tests.chaos.world import sky
from tests.whole_job.bench import COMMAND

_SHARE = 50
"""Cases that share servers, which take longer to start than a case."""


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


def run_share(seeds: Sequence[int], release: Path, truth: dict[str, str], record: Path) -> None:
    """Cases one after the other, with servers of their own; each is written down when it is over."""
    try:
        with Services(release, truth) as services:
            for seed in seeds:
                result = run_case(seed, services)
                with record.open("a") as stream:
                    stream.write(f"{json.dumps(asdict(result))}\n")
                print(_in_words(result), flush=True)
    except KeyboardInterrupt:
        os._exit(1)  # the pool would only hand out the next share


def heed_signals() -> None:
    """Let TERM and INT end a campaign, its servers and disks in order, also one that runs in the background."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def run_campaign(n_cases: int, first_seed: int, n_processes: int, record: Path) -> list[Result]:
    """All cases, in the order of their seeds; those that `record` holds already are not run again."""
    wanted = range(first_seed, first_seed + n_cases)
    missing = [seed for seed in wanted if seed not in recorded(record)]
    shares = [missing[at : at + _SHARE] for at in range(0, len(missing), _SHARE)]
    if missing:
        with prepared() as (release, truth):
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(n_processes, mp_context=spawn, initializer=heed_signals) as pool:
                runs = [pool.submit(run_share, share, release, truth, record) for share in shares]
                try:
                    wait(runs)
                except KeyboardInterrupt:
                    for child in multiprocessing.active_children():
                        child.terminate()
                    raise
            for run in runs:
                run.result()
    results = recorded(record)
    return [results[seed] for seed in wanted]


def recorded(record: Path) -> dict[int, Result]:
    """What has been written down so far, by seed; a last line that was cut short does not count."""
    results = {}
    for line in record.read_text().splitlines(keepends=True) if record.exists() else []:
        if line.endswith("\n"):
            fields = json.loads(line)
            fields["findings"] = Findings(**fields["findings"])
            results[fields["seed"]] = Result(**fields)
    return results


def _in_words(result: Result) -> str:
    verdict = f"FAILED {summary(result.findings)}" if result.failed else "ok"
    return f"seed {result.seed}: {' + '.join(result.faults)}: {result.wall_s:.0f} s: {verdict}"


def table(results: Sequence[Result]) -> str:
    """Markdown: one row for each class of faults."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * 5)
    for one in results:
        bad = one.findings
        for kind in sorted(set(one.kinds)):
            counts[kind][0] += 1
            counts[kind][1] += not one.failed
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
