"""`iod-publish diff`: what differs between two releases, from their manifests."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cvmfs_publish.commands.options import add_target, target_config
from cvmfs_publish.commands.results import add_json
from cvmfs_publish.config import Config
from cvmfs_publish.difference import Difference, describe, difference
from cvmfs_publish.layout import split_name
from cvmfs_publish.manifest import Release, read_release
from cvmfs_publish.published import published_release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    for name, what in (("old", "the first"), ("new", "the second")):
        parser.add_argument(
            name, metavar=name.upper(), help=f"{what} release: a folder, or the name of a published one"
        )
    add_json(parser)
    add_target(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the difference."""
    config = target_config(arguments)
    old, new = _release(arguments.old, config), _release(arguments.new, config)
    change = difference(old, new)
    if arguments.json:
        print(json.dumps(_document(old, new, change), indent=1))
        return 0
    print(
        f"{old.name} -> {new.name}: {len(change.added)} added, {len(change.changed)} changed, "
        f"{len(change.removed)} removed, {len(change.links)} links; {new.size_bytes - old.size_bytes:+d} bytes"
    )
    for line in describe(change, most=1_000_000):
        print(line)
    return 0


def _release(given: str, config: Config) -> Release:
    if Path(given).is_dir():
        return read_release(Path(given))
    return published_release(config.mount, split_name(given, config.base))


def _document(old: Release, new: Release, change: Difference) -> dict[str, object]:
    return {
        "old": {"release": old.name, "digest": old.digest},
        "new": {"release": new.name, "digest": new.digest},
        "added": [entry.path for entry in change.added],
        "changed": [entry.path for _, entry in change.changed],
        "removed": [entry.path for entry in change.removed],
        "links": [{"path": path, "old": before, "new": after} for path, before, after in change.links],
    }
