"""`make bench`: measure, print a table, write bench-output/bench.json.

    python -m benchmarks [NAME ...]

Ratios are taken side by side in one run, so that they hold on a machine of any speed; run it while nothing else does.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    accuracy,
    catalog_validation,
    prediction,
    publishing,
    stage_by_stage,
    start_and_rerun,
    supervision,
    wrapper_overhead,
)
from benchmarks.job import ROOT

OUTPUT = ROOT / "bench-output"
Row = tuple[str, str, str]
"""What, measured, goal."""


def _catalog_validation(folder: Path) -> tuple[dict[str, float], list[Row]]:
    del folder
    found = catalog_validation.measure()
    return found, [
        ("validating a 95 MB catalog over a bare split loop", f"{found['validation_over_loop']:.2f}", "< 4"),
        ("peak memory, 95 MB over 1 MB catalog", f"{found['peak_growth']:.3f}", "not growing"),
    ]


def _start_and_rerun(folder: Path) -> tuple[dict[str, float], list[Row]]:
    found = start_and_rerun.measure(folder)
    return found, [
        ("start to first simulator process, 1 MB catalog", f"{found['to_first_process_s']:.2f} s", "< 0.5 s"),
        ("running a finished job again", f"{found['rerun_s']:.2f} s", "< 2 s"),
    ]


def _prediction(folder: Path) -> tuple[dict[str, float], list[Row]]:
    found = prediction.measure(folder)
    return found, [
        ("predicted CPU time, median error", f"{found['median_error']:.1%}", "< 25 %"),
        ("predicted CPU time, largest error", f"{found['worst_error']:.1%}", ""),
    ]


def _accuracy(folder: Path) -> tuple[dict[str, float], list[Row]]:
    found = accuracy.measure(folder)
    sensors = [key.removesuffix("_rms") for key in found if key.endswith("_rms")]

    def span(key: str) -> str:
        values = [found[f"{sensor}_{key}"] for sensor in sensors]
        return f"{min(values):.3f} to {max(values):.3f}"

    offsets = ", ".join(f"{one} {found[f'{one}_offset_x']:+.1f} {found[f'{one}_offset_y']:+.1f}" for one in sensors)
    return found, [
        ("star positions, quicksim from PhoSim, rms by sensor", f"{span('rms')} px", "< 0.8 px"),
        ("star fluxes, quicksim over PhoSim", span("flux"), "0.95 to 1.05"),
        ("PSF FWHM, quicksim over PhoSim", span("fwhm"), "0.85 to 1.15"),
        ("offset of each sensor in x and y, px", offsets, ""),
    ]


def _verifying(folder: Path) -> tuple[dict[str, float], list[Row]]:
    from benchmarks import verifying

    found = verifying.measure(folder)
    return found, [
        ("verifying a CVMFS repository over HTTP over one curl an object", f"{found['ratio']:.2f}", "< 0.3"),
        ("peak memory of it, 3,000 files over 100", f"{found['peak_growth']:.2f}", "not growing"),
    ]


def _rucio_registration(folder: Path) -> tuple[dict[str, float], list[Row]]:
    from benchmarks import rucio_registration  # needs the server's packages

    found = rucio_registration.measure(folder)
    return found, [
        ("registering 306 files in Rucio over one by one", f"{found['batch_over_one_by_one']:.3f}", "< 0.1"),
        ("requests for that", f"{found['requests']:.0f}", "<= 4"),
    ]


def _xrootd_upload(folder: Path) -> tuple[dict[str, float], list[Row]]:
    from benchmarks import xrootd_upload  # needs the server's packages

    found = xrootd_upload.measure(folder)
    return found, [
        ("storing 306 files of 800 kB over `xrdcp -r --parallel 4`", f"{found['over_xrdcp_r']:.2f}", "<= 1.0"),
        ("the same over one xrdcp a file", f"{found['over_xrdcp_each']:.3f}", "< 0.2"),
        ("finding 378 committed units", f"{found['resume_378_units_s']:.2f} s", "< 2 s"),
    ]


def _fetching(folder: Path) -> tuple[dict[str, float], list[Row]]:
    from benchmarks import fetching  # needs the server's packages

    found = fetching.measure(folder)
    return found, [
        (
            "`iod fetch` of 306 files of 800 kB over `xrdcp -r --parallel 4`",
            f"{found['command_over_xrdcp_r']:.2f}",
            "<= 1.0",
        ),
        ("the same from Python", f"{found['client_over_xrdcp_r']:.2f}", "<= 1.0"),
    ]


def _destinations(folder: Path) -> tuple[dict[str, float], list[Row]]:
    from benchmarks import destinations  # needs the server's packages

    found = destinations.measure(folder)
    return found, [
        ("from the last process to the last commit", f"{found['tail_s']:.2f} s", f"< {found['upload_s']:.2f} + 1 s"),
        ("memory of the wrapper and its mover", f"{found['wrapper_and_mover_mb']:.0f} MB", "< 200 MB"),
        ("failing over to a second destination, worst of four", f"{found['fail_over_worst_s']:.1f} s", "< 30 s"),
    ]


def _submitter(folder: Path) -> tuple[dict[str, float], list[Row]]:
    from benchmarks import submitter  # needs the PanDA client

    found = submitter.measure(folder)
    return found, [
        ("`iod --help`", f"{found['help_s']:.2f} s", "< 0.25 s"),
        (f"`iod status` of {submitter.N_JOBS:,} jobs", f"{found['status_s']:.2f} s", "< 1 s"),
        (f"submitting {submitter.MANY_VISITS:,} visits x 189 sensors", f"{found['submit_s']:.1f} s", "< 10 s"),
        (f"calls for its {found['inputs']:,.0f} inputs", f"{found['calls']:.0f}", "one for each 10,000"),
        ("its peak memory over that of a tenth of it", f"{found['peak_growth']:.2f}", "not growing"),
    ]


def _pilot_cycle(folder: Path) -> tuple[dict[str, float], list[Row]]:
    from benchmarks import pilot_cycle  # needs the pilot and XRootD

    found = pilot_cycle.measure(folder)
    return found, [
        ("added to a pilot cycle over a /bin/true payload", f"{found['added_s']:.1f} s", "< 1 s"),
        ("the same commands without the pilot", f"{found['added_without_pilot_s']:.2f} s", "< 1 s"),
        ("the same, first of our jobs on the node", f"{found['added_without_pilot_first_s']:.2f} s", ""),
        ("log tarball of 18 units", f"{found['log_bytes'] / 1e6:.2f} MB", "< 2 MB"),
        ("log tarball of 18 units after SIGKILL", f"{found['killed_log_bytes'] / 1e6:.2f} MB", "< 2 MB"),
    ]


def _stage_by_stage(folder: Path) -> tuple[dict[str, float], list[Row]]:
    found = stage_by_stage.measure(folder / "stages") | stage_by_stage.measure_watching(folder / "watching")
    return found, [
        ("CPU of a raft stage by stage over nine runs of the driver", f"{found['ratio']:.3f}", "< 0.76"),
        ("CPU of watching a unit over that of the unit", f"{found['watching_over_job']:.2%}", "< 1 %"),
    ]


def _supervision(folder: Path) -> tuple[dict[str, float], list[Row]]:
    found = supervision.measure(folder)
    return found, [
        (f"from SIGTERM to the end, p99 of {found['term_n']:.0f}", f"{found['term_p99_s']:.2f} s", "< 3 s"),
        (
            f"units of 18 made twice after SIGKILL, most of {found['kill_n']:.0f} (mean {found['redone_mean']:.1f})",
            f"{found['redone_most']:.0f}",
            f"<= {supervision.HANDS}, those in flight",
        ),
        ("CPU of supervising 32 simulators, of one core", f"{found['cost_share']:.2%}", "< 1 %"),
    ]


def _publishing(folder: Path) -> tuple[dict[str, float], list[Row]]:
    found = publishing.measure(folder)
    return found, [
        ("check of 10,000 files and 1 GB over `sha256sum`", f"{found['check_over_sha256sum']:.2f}", "< 1.3"),
        ("publishing them into a folder over `cp -a`", f"{found['publish_over_cp']:.2f}", "< 1.5"),
        ("publishing them again over the first time", f"{found['again_over_first']:.1%}", "< 10 %"),
    ]


def _overhead(unit_s: float, goal: str) -> Callable[[Path], tuple[dict[str, float], list[Row]]]:
    def measure(folder: Path) -> tuple[dict[str, float], list[Row]]:
        found = wrapper_overhead.measure(unit_s, folder)
        return found, [
            (f"job of {unit_s:.0f} s units over `xargs -P`", f"{found['ratio']:.4f}", goal),
            (f"peak memory of the wrapper, {unit_s:.0f} s units", f"{found['wrapper_peak_mb']:.0f} MB", "< 100 MB"),
        ]

    return measure


BENCHMARKS: dict[str, Callable[[Path], tuple[dict[str, float], list[Row]]]] = {
    "catalog_validation": _catalog_validation,
    "start_and_rerun": _start_and_rerun,
    "prediction": _prediction,
    "stage_by_stage": _stage_by_stage,
    "accuracy": _accuracy,
    "verifying": _verifying,
    "rucio_registration": _rucio_registration,
    "publishing": _publishing,
    "xrootd_upload": _xrootd_upload,
    "fetching": _fetching,
    "destinations": _destinations,
    "supervision": _supervision,
    "submitter": _submitter,
    "pilot_cycle": _pilot_cycle,
    "overhead_20": _overhead(20.0, "< 1.03"),
    "overhead_60": _overhead(60.0, "< 1.02"),
}


def main(names: list[str]) -> int:
    """Run the benchmarks of those names, all if none is given."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark '{unknown[0]}'; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 10
    OUTPUT.mkdir(exist_ok=True)
    console = Console()
    table = Table("what", "measured", "goal")
    results = {}
    for name in names or BENCHMARKS:
        folder = OUTPUT / f"work-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        with console.status(f"measuring {name}"):
            results[name], rows = BENCHMARKS[name](folder)
        for row in rows:
            table.add_row(*row)
            console.print(": ".join(row[:2]))
        shutil.rmtree(folder, ignore_errors=True)
    console.print(table)
    (OUTPUT / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
