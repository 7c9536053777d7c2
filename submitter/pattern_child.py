"""Tries sensor expressions in a process of its own: `python -m submitter.pattern_child`. A line asks, one answers.

Some expressions backtrack without end. In the main thread of a process an alarm ends them. Other threads, those of a
web server for example, cannot be interrupted, and would hold up all others with them.
"""

from __future__ import annotations

import json
import sys

from submitter.camera import lsst_sensors
from transformation.model.failures import Failure, JobError
from transformation.planning import select_sensors


def main() -> int:
    """Answer with the trouble of each expression; empty if it can be matched, whatever it matches."""
    for line in sys.stdin:
        trouble = ""
        try:
            select_sensors(json.loads(line), lsst_sensors())
        except JobError as error:
            if error.failed.failure is Failure.SENSOR_PATTERN_INVALID:
                trouble = error.failed.detail
        sys.stdout.write(json.dumps(trouble) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
