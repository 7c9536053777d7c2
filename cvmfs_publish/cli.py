"""`iod-publish`: build a release and put it where workers look for it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Optional, Sequence

from cvmfs_publish.directory import PublishError, publish
from cvmfs_publish.layout import release_folder

EXIT_FAILED = 20

_BUILDERS = {
    # quicksim builds its own tree; this kit only places it, as it would any other.
    "quicksim": ("-m", "quicksim.release", "build", "--into"),
    "quicksim-tiny": ("-m", "quicksim.release", "build", "--tiny", "--into"),
}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run `iod-publish`; the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        print(_build(parsed.name, Path(parsed.root)))
    except PublishError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="iod-publish", description="Build simulator releases and publish them.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    build = commands.add_parser("build", help="build a release and publish it into a folder laid out like CVMFS")
    build.add_argument("name", choices=sorted(_BUILDERS), help="which simulator")
    build.add_argument("--root", required=True, metavar="DIR", help="the folder that holds SIMULATOR/VERSION/RELEASE")
    return parser


def _build(name: str, root: Path) -> Path:
    """Build the release in a scratch folder beside its place, then publish it; where it is."""
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".build-") as scratch:
        tree = Path(scratch) / "tree"
        built = subprocess.run([sys.executable, *_BUILDERS[name], str(tree)], stdout=subprocess.DEVNULL, check=False)
        if built.returncode != 0:
            raise PublishError(f"building {name} ended with {built.returncode}")
        facts = json.loads((tree / "release.json").read_text(encoding="utf-8"))
        place = release_folder(root, facts["simulator"], facts["version"])
        publish(tree, place)
    return place
