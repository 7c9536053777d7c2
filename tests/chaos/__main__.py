"""`make chaos N=1000 SEED=1 RECORD=FILE`: whole jobs under faults drawn at random, and what came of them.

    python -m tests.chaos [--cases N] [--seed S] [--processes P] [--record FILE]

A case is repeated by its seed: `make chaos N=1 SEED=<seed>`. With a record file a stopped campaign goes on where
it was. Exit code 0 if nothing was lost, wrong or unbounded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import heed_signals, last_line, run_campaign, table


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=1, help="of the first case; the others follow")
    parser.add_argument("--processes", type=int, default=2, help="cases at once")
    parser.add_argument("--record", type=Path, metavar="FILE", help="a line for each case; cases it holds are not run")
    asked = parser.parse_args()
    heed_signals()
    with tempfile.TemporaryDirectory(prefix="chaos-record-") as folder:
        record = asked.record or Path(folder) / "record.jsonl"
        try:
            results = run_campaign(asked.cases, asked.seed, asked.processes, record)
        except KeyboardInterrupt:
            print("stopped; with the same --record it goes on where it was")
            return 130
    print(f"\n{table(results)}")
    print(f"struck while an attempt ran: {sum(one.struck for one in results)} of {len(results)}")
    failed = [one.seed for one in results if one.failed]
    if failed:
        print(f"failed seeds: {' '.join(map(str, failed))}")
    print(last_line(results))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
