"""`make chaos N=1000 SEED=1`: whole jobs under faults drawn at random, and what came of them.

    python -m tests.chaos [--cases N] [--seed S] [--processes P]

A case is repeated by its seed: `make chaos N=1 SEED=<seed>`. Exit code 0 if nothing was lost, wrong or unbounded.
"""

from __future__ import annotations

import argparse
import sys

from tests.chaos.campaign import last_line, run_campaign, table
from tests.chaos.case import Result
from tests.chaos.checks import summary


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=1, help="of the first case; the others follow")
    parser.add_argument("--processes", type=int, default=2, help="cases at once")
    asked = parser.parse_args()
    results = run_campaign(asked.cases, asked.seed, asked.processes, _tell)
    failed = [one for one in results if one.findings.lost or one.findings.wrong or one.findings.unbounded]
    print(f"\n{table(results)}")
    print(f"struck while an attempt ran: {sum(one.struck for one in results)} of {len(results)}")
    if failed:
        print(f"failed seeds: {' '.join(str(one.seed) for one in failed)}")
    print(last_line(results))
    return 1 if failed else 0


def _tell(result: Result) -> None:
    bad = result.findings
    verdict = f"FAILED {summary(bad)}" if bad.lost or bad.wrong or bad.unbounded else "ok"
    print(f"seed {result.seed}: {' + '.join(result.faults)}: {result.wall_s:.0f} s: {verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
