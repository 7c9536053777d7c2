"""`iod-publish rollback`: go back to what was good. Switching `current` deletes nothing, so it is what happens unless a
tag is named; a rollback to a tag deletes every newer tag, and says which before it does.
"""

from __future__ import annotations

import argparse
from typing import List

from cvmfs_publish.backends.seam import Published
from cvmfs_publish.backends.transaction import TransactionBackend
from cvmfs_publish.commands.current import switch
from cvmfs_publish.commands.options import add_edit, target_config
from cvmfs_publish.commands.results import print_record
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import address
from cvmfs_publish.processes import words
from cvmfs_publish.published import current_version, list_published, version_key
from cvmfs_publish.publishing import Publisher, Record, Wishes
from cvmfs_publish.streams import narrate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("simulator", nargs="?", help="switch `current` of this simulator back")
    parser.add_argument("--to", metavar="VERSION", help="to this version (default: the one that was current before)")
    parser.add_argument("--tag", help="instead: take the whole repository back to this tag, and delete every newer tag")
    parser.add_argument("--yes", action="store_true", help="with --tag: delete the newer tags that are shown")
    add_edit(parser)


def run(arguments: argparse.Namespace) -> int:
    """Switch back, or roll the repository back."""
    if (arguments.simulator is None) == (arguments.tag is None):
        raise KitError(
            Exit.USAGE, "rollback needs either a simulator or --tag", cure="prefer the simulator: it deletes nothing"
        )
    publisher = Publisher(target_config(arguments))
    if arguments.tag is not None:
        return _to_tag(publisher, arguments)
    place = address(arguments.simulator, arguments.to or _before(publisher, arguments.simulator), publisher.config.base)
    record = switch(publisher, place, Wishes(None, arguments.message, arguments.dry_run), "rollback")
    print_record(record, as_json=arguments.json)
    return 0


def _before(publisher: Publisher, simulator: str) -> str:
    """The version that was current before this one: by the release log, else the next older one that is published."""
    probe = address(simulator, "0", publisher.config.base)
    now = current_version(publisher.backend.root, probe)
    there = [
        one.address.version
        for one in list_published(publisher.backend.root, publisher.config.base)
        if one.address.simulator == simulator and one.release is not None
    ]
    trail = [version for version in _trail(publisher.state.log(), simulator) if version in there]
    if trail[-1:] == [now] and len(trail) > 1:
        return trail[-2]
    older = [version for version in there if now is None or version_key(version) < version_key(now)]
    if not older:
        raise KitError(Exit.NOT_PUBLISHED, f"{simulator} has no version to go back to from {now or 'nothing'}")
    return older[-1]


def _trail(log: List[Record], simulator: str) -> List[str]:
    """The versions that were current, one after the other; going back takes away what was left."""
    trail: List[str] = []
    for line in log:
        name, _, version = str(line.get("release")).rpartition("-")
        if name != simulator or line.get("action") not in ("current", "rollback"):
            continue
        if line["action"] == "rollback" and version in trail:
            del trail[len(trail) - trail[::-1].index(version) :]
        else:
            trail.append(version)
    return trail


def _to_tag(publisher: Publisher, arguments: argparse.Namespace) -> int:
    backend = publisher.backend
    if not isinstance(backend, TransactionBackend):
        raise KitError(
            Exit.NOT_PUBLISHED, f"the backend '{publisher.config.backend}' has no tags", cure="switch instead"
        )
    lost = backend.tags_lost_by(arguments.tag)
    plan = [
        f"deletes tag {tag.name} (revision {tag.revision}, {tag.root_hash}) {tag.description}".rstrip() for tag in lost
    ]
    plan.append(f"$ {words(backend.server.rollback(arguments.tag))}")
    if arguments.dry_run:
        record = {"action": "rollback-tag", "release": arguments.tag, "dry_run": True, "plan": plan}
        print_record(record, as_json=arguments.json)
        return 0
    for line in plan:
        (narrate if arguments.json else print)(line)
    if not arguments.yes:
        what = (
            f"the rollback to {arguments.tag} deletes {len(lost)} newer tags, and what was published after it vanishes"
        )
        raise KitError(Exit.NEEDS_YES, what)
    message = arguments.message or f"rollback to {arguments.tag}"
    record = _roll_back(publisher, backend, arguments.tag, [tag.name for tag in lost], message)
    narrate("releases of deleted tags are gone from the repository: publish again what is still wanted")
    print_record(record, as_json=arguments.json)
    return 0


def _roll_back(publisher: Publisher, backend: TransactionBackend, tag: str, lost: List[str], message: str) -> Record:
    def roll_back() -> Published:
        backend.resume()
        publisher.see_ready(None)
        return backend.roll_back(tag)

    with publisher.locked():
        published = publisher.patiently(roll_back)
        return publisher.state.record(
            {
                "action": "rollback-tag",
                "release": tag,
                "backend": publisher.config.backend,
                "repository": publisher.config.repository,
                "revision": published.revision,
                "root_hash": published.root_hash,
                "tag": tag,
                "deleted_tags": lost,
                "message": message,
            }
        )
