"""Options that several subcommands share."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict

from cvmfs_publish.commands.results import add_json
from cvmfs_publish.config import BACKENDS, DEFAULT_NAME, VARIABLE, Config, find_config
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import REPOSITORY, checked_base


def add_config(parser: argparse.ArgumentParser) -> None:
    """Where the configuration is."""
    parser.add_argument(
        "--config", metavar="FILE", help=f"the kit's configuration (default: ${VARIABLE}, else ./{DEFAULT_NAME})"
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """Where releases are published; each option overrides the configuration."""
    add_config(parser)
    parser.add_argument(
        "--backend", choices=BACKENDS, help="how to publish (default: the configuration's, else directory)"
    )
    parser.add_argument("--repository", metavar="NAME", help="the CernVM-FS repository, e.g. sw.example.org")
    parser.add_argument("--root", metavar="DIR", help="the folder that the backend `directory` publishes into")
    parser.add_argument("--base", metavar="PATH", help="folders between the root and the simulators, e.g. lsst")


def add_edit(parser: argparse.ArgumentParser) -> None:
    """How an edit is made."""
    add_target(parser)
    parser.add_argument("--message", "-m", type=_message, default="", help="for the tag and the release log")
    parser.add_argument(
        "--wait", type=int, metavar="SECONDS", help="how long to wait for another publisher (default: 0)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the exact commands and what they change")
    add_json(parser)


def _message(text: str) -> str:
    """One line: lists of tags have one for each."""
    if not text.isprintable():
        raise argparse.ArgumentTypeError("must be one line of printable text")
    return text


def target_config(arguments: argparse.Namespace) -> Config:
    """The configuration with what the command line says; raises `KitError`."""
    config = find_config(arguments.config)
    changes: Dict[str, Any] = {}
    if arguments.repository is not None:
        if not REPOSITORY.fullmatch(arguments.repository):
            raise KitError(Exit.USAGE, f"'{arguments.repository}' is no repository's name", cure="as in sw.example.org")
        changes["repository"] = arguments.repository
    if arguments.base is not None:
        changes["base"] = checked_base(arguments.base)
    if arguments.root is not None:
        changes.update(root=Path(arguments.root), backend="directory")
    if arguments.backend is not None:
        changes["backend"] = arguments.backend
    if getattr(arguments, "wait", None) is not None:
        changes["server"] = replace(config.server, wait_s=arguments.wait)
    return replace(config, **changes)
