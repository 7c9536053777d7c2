"""`iod-publish list`: what is published, and the release log."""

from __future__ import annotations

import argparse
import json
from typing import Any, Dict, List

from cvmfs_publish.commands.options import add_target, target_config
from cvmfs_publish.commands.results import add_json
from cvmfs_publish.progress import size_text
from cvmfs_publish.published import Standing, list_published
from cvmfs_publish.publishing import Publisher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--log", action="store_true", help="the release log instead: who published what, and when")
    add_json(parser)
    add_target(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    publisher = Publisher(target_config(arguments))
    if arguments.log:
        _print_log(publisher.state.log(), as_json=arguments.json)
        return 0
    rows = [_row(one, publisher) for one in list_published(publisher.backend.root, publisher.config.base)]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        print(_line(row))
    if not rows:
        print(f"nothing is published in {publisher.backend.root / publisher.config.base}")
    return 0


def _row(one: Standing, publisher: Publisher) -> Dict[str, Any]:
    lines = [
        line
        for line in publisher.state.log()
        if line.get("action") == "publish" and line.get("release") == one.address.name
    ]
    logged = lines[-1] if lines else {}
    return {
        "release": one.address.name,
        "kind": one.release.kind if one.release else None,
        "digest": one.release.digest if one.release else None,
        "size_bytes": one.release.size_bytes if one.release else None,
        "files": len(one.release.files) if one.release else None,
        "path": str(publisher.backend.root / one.address.release_folder),
        "current": one.is_current,
        "pinned": one.address.name in publisher.config.retention.pins,
        "deprecated": one.deprecated or None,
        "problem": one.problem or None,
        "published": logged.get("time"),
        "by": logged.get("who"),
        "revision": logged.get("revision"),
        "root_hash": logged.get("root_hash"),
        "tag": logged.get("tag"),
    }


def _line(row: Dict[str, Any]) -> str:
    if row["problem"]:
        return f"{row['release']:<24} no release: {row['problem']}"
    marks = [name for name in ("current", "pinned") if row[name]]
    marks += [row["deprecated"]] if row["deprecated"] else []
    when = f"{row['published']} by {row['by']}" if row["published"] else "not in the release log"
    size = size_text(row["size_bytes"])
    return f"{row['release']:<24} {row['digest'][:12]} {size:>9} {when}{' ' if marks else ''}{', '.join(marks)}"


def _print_log(log: List[Dict[str, Any]], *, as_json: bool) -> None:
    for line in log:
        if as_json:
            print(json.dumps(line))
            continue
        facts = [f"{key} {line[key]}" for key in ("revision", "root_hash", "tag") if line.get(key)]
        what = f"{line.get('action')} {line.get('release')} {', '.join(facts)}"
        print(f"{line.get('time')} {line.get('who')}: {what.rstrip()}")
