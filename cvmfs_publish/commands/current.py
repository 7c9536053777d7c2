"""`iod-publish current`: the recommended version of a simulator. Jobs pin versions; people and scripts look here."""

from __future__ import annotations

import argparse
import json

from cvmfs_publish.backends.edits import SwitchCurrent
from cvmfs_publish.commands.options import add_edit, target_config
from cvmfs_publish.commands.results import print_record
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import Address, address
from cvmfs_publish.published import current_version, published_release, standing
from cvmfs_publish.publishing import Publisher, Record, Wishes
from cvmfs_publish.streams import narrate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("simulator", help="e.g. phosim")
    parser.add_argument("version", nargs="?", help="switch to this version; without it the current one is shown")
    add_edit(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show or switch."""
    publisher = Publisher(target_config(arguments))
    if arguments.version is None:
        return _show(publisher, arguments.simulator, as_json=arguments.json)
    place = address(arguments.simulator, arguments.version, publisher.config.base)
    record = switch(publisher, place, Wishes(None, arguments.message, arguments.dry_run))
    print_record(record, as_json=arguments.json)
    return 0


def switch(publisher: Publisher, place: Address, wishes: Wishes, action: str = "current") -> Record:
    """Let `current` lead to a published version, as a publish of its own; raises `KitError`."""
    root = publisher.backend.root
    published_release(root, place)
    note = standing(root, place).deprecated
    if note:
        narrate(f"{place.name} is deprecated: {note}")
    before = current_version(root, place)
    if before == place.version:
        narrate(f"{place.name} is current already")
        return {"action": action, "release": place.name, "before": before, "unchanged": True}
    return publisher.change(SwitchCurrent(place, before, action), wishes)


def _show(publisher: Publisher, simulator: str, *, as_json: bool) -> int:
    place = address(simulator, "0", publisher.config.base)
    version = current_version(publisher.backend.root, place)
    if as_json:
        print(json.dumps({"simulator": simulator, "current": version}))
    elif version is None:
        raise KitError(Exit.NOT_PUBLISHED, f"{simulator} has no current version in {publisher.backend.root}")
    else:
        print(f"{simulator}-{version}")
    return 0
