"""`iod-publish exit-codes`: every way to end, with its remedy."""

from __future__ import annotations

import argparse
import json

from cvmfs_publish.commands.results import add_json
from cvmfs_publish.exits import Exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    rows = [
        {"code": one.code, "name": one.name, "remedy": one.remedy.value, "meaning": one.meaning, "cure": one.cure}
        for one in Exit
    ]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        print(f"{row['code']:>3} {row['name']:<18} {row['remedy']:<14} {row['meaning']}; {row['cure']}")
    return 0
