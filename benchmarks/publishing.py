"""The kit on a release of 10,000 files and 1 GB, beside the programs that do the least of what it does.

    check     over `sha256sum` of the same files
    publish   with the backend `directory`, after a check, over `cp -a`
    again     the same publish once more, over the first

Half of the files are numbers as text, half are random bytes. Each pair is run three times, taking turns; the middle
ratio counts.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cvmfs_publish.manifest import write_release

FILES = 10_000
FILE_BYTES = 100_000
TURNS = 3
COMMAND = str(Path(sys.executable).with_name("iod-publish"))


def measure(folder: Path, files: int = FILES) -> dict[str, float]:
    """The three ratios, and the seconds behind them."""
    tree = _make_tree(folder / "toy-1.0", files)
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    (folder / "state").mkdir()

    def kit(*words: object) -> None:
        _run([COMMAND, *map(str, words)], environment)

    def checksums() -> None:
        _run(
            ["/bin/sh", "-c", 'find "$1" -type f -print0 | xargs -0 sha256sum > /dev/null', "sh", str(tree)],
            environment,
        )

    checks = [(_seconds(checksums), _seconds(lambda: kit("check", tree))) for _ in range(TURNS)]
    pairs, again = [], []
    for turn in range(TURNS):
        root, copy = folder / f"root-{turn}", folder / f"copy-{turn}"
        copied_s = _seconds(lambda copy=copy: _run(["cp", "-a", str(tree), str(copy)], environment))
        published_s = _seconds(lambda root=root: kit("publish", tree, "--root", root))
        again.append((published_s, _seconds(lambda root=root: kit("publish", tree, "--root", root))))
        pairs.append((copied_s, published_s))
        shutil.rmtree(root)
        shutil.rmtree(copy)
    return {
        "check_over_sha256sum": _middle_ratio(checks),
        "publish_over_cp": _middle_ratio(pairs),
        "again_over_first": _middle_ratio(again),
        "sha256sum_s": checks[0][0],
        "cp_s": pairs[0][0],
    }


def _make_tree(tree: Path, files: int) -> Path:
    chance = random.Random(7)
    noise = chance.randbytes(4 * FILE_BYTES)
    text = b"".join(b"%9.3f %.6e\n" % (300 + 0.1 * line, chance.random()) for line in range(4 * FILE_BYTES // 23))
    for number in range(files):
        folder = tree / f"data/{number % 100:03}"
        folder.mkdir(parents=True, exist_ok=True)
        source = text if number % 2 else noise
        start = chance.randrange(len(source) - FILE_BYTES)
        (folder / f"{number:05}").write_bytes(source[start : start + FILE_BYTES])
    facts = {"name": "toy-1.0", "simulator": "toy", "version": "1.0", "kind": "data", "licence": "CC0-1.0"}
    write_release(tree, facts)
    return tree


def _seconds(work: Callable[[], None]) -> float:
    os.sync()  # what was written before must not be written now
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def _middle_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(second / first for first, second in pairs)
