"""A release made from quicksim-tiny that has the habits of other PhoSim releases, as `reference/phosim.md` lists them.

quicksim's own driver has most of them: exit 0 whatever becomes of an image, the e-image moved last, `minsource` counted
in lines. What it lacks is added here, one function a habit.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from tests.whole_job.bench import Bench
from tests.whole_job.faulty_release import copy_release


def own_release(bench: Bench) -> Path:
    """The bench's own copy of its release, to be changed."""
    if bench.release.parent != bench.folder / "releases":
        bench.release = copy_release(bench.release, bench.folder / "releases" / bench.release.name)
    return bench.release


def without_grid_mode(bench: Bench) -> None:
    """A repackaged release: no `condor/`."""
    shutil.rmtree(own_release(bench) / "condor")


def with_own_interpreter(bench: Bench) -> None:
    """The release brings the Python of its driver, below its own folder; each start is noted."""
    release = own_release(bench)
    bench.notes.mkdir(exist_ok=True)
    interpreter = release / "python" / "bin" / "python2.7"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\necho "$@" >> {bench.notes}/interpreter.starts\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    change_facts(release, interpreter="python/bin/python2.7")


def change_facts(release: Path, **changes: object) -> None:
    """Other facts in `release.json`."""
    path = release / "release.json"
    facts = json.loads(path.read_text()) | changes
    path.unlink()  # it may be a link to the original
    path.write_text(json.dumps(facts))


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything in a folder: what a read-only install must keep."""
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}
