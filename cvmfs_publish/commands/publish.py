"""`iod-publish publish`: make a release visible to workers."""

from __future__ import annotations

import argparse
from pathlib import Path

from cvmfs_publish.commands.options import add_edit, target_config
from cvmfs_publish.commands.results import print_record
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import TAG
from cvmfs_publish.publishing import Publisher, Wishes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("tree", metavar="RELEASE", help="the release's folder, with its release.json")
    parser.add_argument("--tag", help="name of the revision (default: SIMULATOR-VERSION-DATE, numbered if it is taken)")
    add_edit(parser)


def run(arguments: argparse.Namespace) -> int:
    """Publish; 0 also if the same release is published already."""
    if arguments.tag is not None and not TAG.fullmatch(arguments.tag):
        raise KitError(
            Exit.USAGE, f"'{arguments.tag}' cannot be a tag", cure="use letters, digits, . _ and -, no blanks"
        )
    wishes = Wishes(arguments.tag, arguments.message, arguments.dry_run)
    record = Publisher(target_config(arguments)).publish(Path(arguments.tree), wishes)
    print_record(record, as_json=arguments.json)
    return 0
