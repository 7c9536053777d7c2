"""`iod-publish retire`: first a note beside the release, weeks later its removal. The space comes back with the next
garbage collection, which is the repository admin's.
"""

from __future__ import annotations

import argparse
import json
from datetime import date, datetime, timezone
from typing import List

from cvmfs_publish.backends.edits import Deprecate, Edit, RemoveVersion
from cvmfs_publish.commands.options import add_edit, target_config
from cvmfs_publish.commands.results import print_record
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import Address, address
from cvmfs_publish.published import Standing, list_published
from cvmfs_publish.publishing import Publisher, Wishes
from cvmfs_publish.retention import days_left, due, kept_because


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("simulator", nargs="?", help="e.g. phosim; without it the policy's proposals are shown")
    parser.add_argument("version", nargs="?", help="the version that goes")
    parser.add_argument("--remove", action="store_true", help="remove it; without it, only announce that it will go")
    parser.add_argument("--now", action="store_true", help="with --remove: do not wait for the announced time")
    add_edit(parser)


def run(arguments: argparse.Namespace) -> int:
    """Propose, announce or remove."""
    publisher = Publisher(target_config(arguments))
    everything = list_published(publisher.backend.root, publisher.config.base)
    today = datetime.now(timezone.utc).date()
    if arguments.simulator is None:
        return _propose(publisher, everything, today, as_json=arguments.json)
    if arguments.version is None:
        raise KitError(Exit.USAGE, "retire needs a version", cure="see `iod-publish list`")
    place = address(arguments.simulator, arguments.version, publisher.config.base)
    one = _find(everything, place)
    reason = kept_because(one, everything, publisher.config.retention)
    if reason:
        raise KitError(Exit.KEPT, f"{place.name} stays: {reason}")
    edit = _removal(publisher, one, today, now=arguments.now) if arguments.remove else _note(one, arguments, today)
    record = publisher.change(edit, Wishes(None, arguments.message, arguments.dry_run))
    print_record(record, as_json=arguments.json)
    return 0


def _find(everything: List[Standing], place: Address) -> Standing:
    found = next((one for one in everything if one.address == place), None)
    if found is None:
        raise KitError(Exit.NOT_PUBLISHED, f"{place.name} is not published here")
    return found


def _note(one: Standing, arguments: argparse.Namespace, today: date) -> Edit:
    if one.deprecated:
        raise KitError(
            Exit.KEPT, f"{one.address.name} is deprecated already: {one.deprecated}", cure="remove it with --remove"
        )
    return Deprecate(one.address, f"deprecated since {today}: {arguments.message or 'superseded'}\n")


def _removal(publisher: Publisher, one: Standing, today: date, *, now: bool) -> Edit:
    left = days_left(one, publisher.config.retention, today)
    if left is None and not now:
        cure = "announce it first: the same command without --remove; or use --now"
        raise KitError(Exit.KEPT, f"{one.address.name} is not deprecated", cure=cure)
    if left and not now:
        raise KitError(Exit.KEPT, f"{one.address.name} may go in {left} days", cure="wait, or use --now")
    return RemoveVersion(one.address)


def _propose(publisher: Publisher, everything: List[Standing], today: date, *, as_json: bool) -> int:
    proposals = due(everything, publisher.config.retention, today)
    if as_json:
        print(json.dumps([{"release": one.standing.address.name, "step": one.step} for one in proposals], indent=1))
        return 0
    for one in proposals:
        print(f"{one.step:<10} {one.standing.address.name} {one.standing.deprecated}".rstrip())
    if not proposals:
        print(f"nothing to retire: {publisher.config.retention.keep} of each simulator are kept")
    return 0
