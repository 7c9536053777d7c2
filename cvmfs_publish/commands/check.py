"""`iod-publish check`: everything that is wrong with a tree, at once."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import List

from cvmfs_publish.checks.check import Verdict, check, verdict_document
from cvmfs_publish.checks.findings import Finding, Severity
from cvmfs_publish.checks.fix import fix
from cvmfs_publish.commands.options import add_target, target_config
from cvmfs_publish.commands.results import add_json
from cvmfs_publish.config import Config
from cvmfs_publish.exits import Exit, KitError, plain
from cvmfs_publish.platforms import WORKERS
from cvmfs_publish.progress import size_text
from cvmfs_publish.published import is_occupied, standing
from cvmfs_publish.publishing import give_receipt

_SHOWN_PER_RULE = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("tree", metavar="TREE", help="the release's folder")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended safely, then check again")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--all", action="store_true", help=f"every finding, not only {_SHOWN_PER_RULE} of each kind")
    parser.add_argument(
        "--workers", metavar="OS[,OS]", help=f"operating systems that must run it: {', '.join(WORKERS)} (default: el9)"
    )
    add_json(parser)
    add_target(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check; 0 if there is no error."""
    config = _config(arguments)
    root = Path(arguments.tree)
    verdict = _with_target(check(root, config.demands), config)
    fixed: List[str] = []
    if arguments.fix and any(finding.fixable for finding in verdict.findings):
        fixed = fix(verdict.tree, verdict.findings)
        verdict = _with_target(check(root, config.demands), config)
    if arguments.json:
        print(json.dumps({**verdict_document(verdict), "fixed": fixed}, indent=1))
    else:
        _print(verdict, fixed, None if arguments.all else _SHOWN_PER_RULE)
    give_receipt(verdict, config)
    passed = verdict.passed and not (arguments.strict and verdict.count(Severity.WARNING))
    return 0 if passed else Exit.CHECK_FAILED.code


def _config(arguments: argparse.Namespace) -> Config:
    config = target_config(arguments)
    if arguments.workers is None:
        return config
    workers = tuple(arguments.workers.split(","))
    unknown = [name for name in workers if name not in WORKERS]
    if unknown:
        raise KitError(Exit.USAGE, f"'{unknown[0]}' is no known operating system", cure=f"known: {', '.join(WORKERS)}")
    return replace(config, demands=replace(config.demands, workers=workers))


def _with_target(verdict: Verdict, config: Config) -> Verdict:
    """Look whether the version is taken, if it is known where it will be published."""
    release = verdict.tree.release
    if release is None or not (config.root or config.repository or config.oasis.stage):
        return verdict
    address = release.at(config.base)
    try:
        taken = is_occupied(config.mount, address)
    except KitError:
        return verdict  # not mounted here: `publish` looks again
    if not taken:
        return verdict
    there = standing(config.mount, address).release
    if there is not None and there.text == release.text:
        return verdict
    found = Finding("version-exists", "", f"{config.mount / address.version_folder} holds another release")
    return replace(verdict, findings=(found, *verdict.findings))


def _print(verdict: Verdict, fixed: List[str], most: int | None) -> None:
    for line in fixed:
        print(plain(f"fixed: {line}"))
    shown: Counter[str] = Counter()
    for finding in verdict.findings:
        shown[finding.rule] += 1
        if most is None or shown[finding.rule] <= most:
            line = f"{finding.rule}: {finding.path or 'the release'}: {finding.what}; {finding.cure}"
            print(plain(f"{finding.severity.value.upper()} {line}"))
    for rule, count in shown.items():
        if most is not None and count > most:
            print(f"... and {count - most} more of {rule} (see --all)")
    print(_summary(verdict))


def _summary(verdict: Verdict) -> str:
    release = verdict.tree.release
    size_bytes = sum(entry.status.st_size for entry in verdict.tree.files)
    catalogs = ", ".join(f"{one.folder or 'the version'} {one.entries}" for one in verdict.catalogs)
    return (
        f"{release.name + ' sha256 ' + release.digest[:16] if release else verdict.tree.root}: "
        f"{verdict.count(Severity.ERROR)} errors, {verdict.count(Severity.WARNING)} warnings, "
        f"{verdict.count(Severity.NOTE)} notes; {len(verdict.tree.files)} files, {size_text(size_bytes)}; "
        f"entries in catalogs: {catalogs}"
    )
