"""How results are printed: in words, or as JSON for programs."""

from __future__ import annotations

import argparse
from typing import Any, Dict


def add_json(parser: argparse.ArgumentParser) -> None:
    """Output for programs."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_json(document: Any) -> None:
    """A document for programs."""
    import json  # most commands are asked for words

    print(json.dumps(document, indent=1))


def print_record(record: Dict[str, Any], *, as_json: bool) -> None:
    """The line of the release log, or a dry run's plan: as JSON, or in words."""
    if as_json:
        import json

        print(json.dumps(record))  # a line, as in the release log
    elif record.get("dry_run"):
        print("\n".join(record["plan"]))
    else:
        known = [
            f"{key.replace('_', ' ')} {record[key]}" for key in ("revision", "root_hash", "tag") if record.get(key)
        ]
        print(f"{record['action']} {record['release']}: {', '.join(known) or 'done'}")
