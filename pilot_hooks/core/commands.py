"""The command line: what a pilot runs as `preprocess` and `postprocess`, and what its operator runs once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List, Optional

USAGE = """\
usage: python3 pilot_hooks COMMAND

  preprocess [OPTION...]    ask the site doctor; the options are those of `lsst-trf doctor`, e.g. --site BNL
  postprocess               see to the report, the outbox and the size of the log
  install PILOT             copy this package into the source folder of a pilot, as pilot.user.imsim
  pack FILE                 write preprocess and postprocess into one file that can be downloaded

The first two work in the current folder, the job's.
"""
_WRONG_USAGE = 64


def main(words: Optional[List[str]] = None) -> int:
    """Run a command; its exit code."""
    arguments = sys.argv[1:] if words is None else words
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    # Lines in order, also where stdout is a file.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    # Each loads what it needs alone: two of them run around every payload.
    if name == "preprocess":
        from .preprocess import preprocess

        return preprocess(Path.cwd(), rest)
    if name == "postprocess" and not rest:
        from .postprocess import postprocess

        return postprocess(Path.cwd())
    if name in ("install", "pack") and len(rest) == 1:
        return _carry(name, Path(rest[0]))
    print(USAGE, end="", file=sys.stdout if name in ("-h", "--help") else sys.stderr)
    return 0 if name in ("-h", "--help") else _WRONG_USAGE


def _carry(name: str, place: Path) -> int:
    from .carry import CannotCarry, install, pack

    try:
        print(install(place) if name == "install" else pack(place))
    except CannotCarry as error:
        print(error, file=sys.stderr)
        return 1
    return 0
