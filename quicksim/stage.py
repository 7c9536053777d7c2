"""How every stage starts and ends: `.pars` on stdin, a banner on stdout, an honest exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from quicksim.pars import Settings, StageError

if TYPE_CHECKING:
    from collections.abc import Callable

RULE = "-" * 90


def banner(title: str) -> None:
    """Print a title between two rules, as PhoSim's executables do."""
    print(f"{RULE}\n{title}\n{RULE}")


def run_stage(title: str, work: Callable[[Settings], None]) -> int:
    """Do the work of one stage; returns 0, or 1 after one line on stderr that says what is wrong."""
    banner(title)
    try:
        work(Settings(sys.stdin))
    except (StageError, OSError) as failure:
        sys.stdout.flush()
        print(f"{title}: {failure}", file=sys.stderr)
        return 1
    return 0
