"""`iod-publish verify`: prove a published release over HTTP, or on a machine that mounts it."""

from __future__ import annotations

import argparse
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from cvmfs_publish.commands.results import add_json, print_json
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.progress import size_text
from cvmfs_publish.repository.http import Route
from cvmfs_publish.repository.signatures import is_public_key
from cvmfs_publish.verifying import Proof, Wanted, fail_the_outdated, prove, verdict

_DIRECT = "DIRECT"
_FEW_DAYS = 3.0
"""Of a whitelist: less is worth a word (practice of the Stratum 0 operators)."""
_LONGEST_S = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--http", metavar="URL", nargs="+", help="each server's root of the repository, http://HOST/cvmfs/REPOSITORY"
    )
    where.add_argument("--mount", metavar="PATH", help="a release as this machine mounts it, or a folder above")
    parser.add_argument("--repository", metavar="NAME", help="its full name, such as sw.example.org")
    parser.add_argument("--public-key", metavar="FILE", help="the repository's master key")
    parser.add_argument("--tag", metavar="TAG", help="the state of that tag (default: the newest)")
    parser.add_argument("--path", metavar="PATH", default="/", help="only what is below it (default: everything)")
    parser.add_argument(
        "--proxy", metavar="URL", nargs="+", help=f"ask through each of them instead of directly ({_DIRECT}: directly)"
    )
    parser.add_argument("--sample", metavar="PERCENT", type=float, default=100.0, help="of files, fetched and hashed")
    parser.add_argument("--now", metavar="ISO-TIME", help="the time that whitelists are judged by (default: the clock)")
    parser.add_argument("--timeout", metavar="S", type=_some_seconds, default=20.0, help="longest silence of a server")
    parser.add_argument(
        "--wait", metavar="S", type=_seconds, default=0.0, help="look again until all is proven, so long"
    )
    parser.add_argument("--every", metavar="S", type=_seconds, default=15.0, help="between two looks (default: 15)")
    parser.add_argument("--no-run", action="store_true", help="with --mount: do not simulate one star")
    add_json(parser)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds from 0 to {_LONGEST_S:.0f}")
    return value


def _some_seconds(text: str) -> float:
    value = _seconds(text)
    if not value:
        raise argparse.ArgumentTypeError("0 seconds are too few")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Verify; 0 only if everything is proven."""
    if arguments.mount is not None:
        return _run_mount(arguments)
    wanted = _wanted(arguments)
    end_s = time.monotonic() + arguments.wait
    while True:
        now = wanted.now or datetime.now(timezone.utc)
        proofs = [prove(route, wanted, now) for route in _routes(arguments)]
        fail_the_outdated(proofs)
        worst = verdict(proofs)
        if worst is None or time.monotonic() >= end_s:
            break
        time.sleep(max(0.0, min(arguments.every, end_s - time.monotonic())))
    if worst in (Exit.NOT_THERE, Exit.OBJECTS_BAD, Exit.UNREACHABLE) and arguments.wait > 0:
        worst = Exit.NOT_PROPAGATED
    _show(arguments, wanted, proofs, worst)
    return 0 if worst is None else worst.code


def _wanted(arguments: argparse.Namespace) -> Wanted:
    for option in ("repository", "public_key"):
        if getattr(arguments, option) is None:
            raise KitError(Exit.USAGE, f"--http needs --{option.replace('_', '-')}")
    if not 0.0 < arguments.sample <= 100.0:
        raise KitError(Exit.USAGE, f"--sample {arguments.sample:g} is not above 0 and at most 100")
    try:
        key = Path(arguments.public_key).read_bytes()
    except OSError as error:
        raise KitError(Exit.USAGE, f"--public-key {arguments.public_key}: {error.strerror}") from None
    if not is_public_key(key):
        cure = "give the repository's file from /etc/cvmfs/keys"
        raise KitError(Exit.USAGE, f"--public-key {arguments.public_key} holds no public key in PEM form", cure=cure)
    return Wanted(
        repository=arguments.repository, public_key=key, tag=arguments.tag, path=arguments.path,
        now=_time(arguments.now), percent=arguments.sample,
    )  # fmt: skip


def _time(text: Optional[str]) -> Optional[datetime]:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))  # noqa: FURB162 - Python 3.9 knows no Z
    except ValueError:
        raise KitError(Exit.USAGE, f"--now '{text}' is no ISO time, such as 2026-12-01T00:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _routes(arguments: argparse.Namespace) -> List[Route]:
    proxies: Sequence[str] = arguments.proxy or [_DIRECT]
    return [
        Route(url, None if proxy.upper() == _DIRECT else proxy, arguments.timeout)
        for url in arguments.http
        for proxy in proxies
    ]


def _show(arguments: argparse.Namespace, wanted: Wanted, proofs: Sequence[Proof], worst: Optional[Exit]) -> None:
    newest = max((proof.revision for proof in proofs if proof.revision is not None), default=0)
    if arguments.json:
        document = {
            "schema_version": 1,
            "repository": wanted.repository,
            "tag": wanted.tag,
            "path": wanted.path,
            "exitCode": 0 if worst is None else worst.code,
            "exitAcronym": "OK" if worst is None else worst.name,
            "remedy": None if worst is None else worst.remedy.value,
            "newest_revision": newest,
            "replicas": [_document(proof, newest) for proof in proofs],
        }
        print_json(document)
        return
    print(f"{'server':<44} {'revision':>8} {'behind':>6} {'Age s':>6} {'days':>6} {'files':>7} {'size':>9}  verdict")
    for proof in proofs:
        _print_row(proof, newest)


def _document(proof: Proof, newest: int) -> Dict[str, Any]:
    state = proof.state
    return {
        "url": proof.url,
        "proxy": proof.proxy,
        "exitCode": proof.exit.code if proof.exit else 0,
        "exitAcronym": proof.exit.name if proof.exit else "OK",
        "problem": proof.problem,
        "revision": proof.revision,
        "revisions_behind": None if proof.revision is None else newest - proof.revision,
        "root_hash": state.manifest.root.digest if state else None,
        "published": state.manifest.published.isoformat() if state else None,
        "age_s": state.age_s if state else None,
        "whitelist_days": round(proof.whitelist_days, 2) if state else None,
        "last_snapshot": proof.snapshot,
        "files": proof.n_files,
        "size_bytes": proof.size_bytes,
        "releases": proof.releases,
        "notes": proof.notes,
    }


def _print_row(proof: Proof, newest: int) -> None:
    name = f"{proof.url} {proof.proxy or ''}".strip()
    facts = ["-"] * 4
    if proof.state is not None and proof.revision is not None:
        days = f"{proof.whitelist_days:.0f}"
        facts = [str(proof.revision), str(newest - proof.revision), str(proof.state.age_s), days]
    revision, behind, age, days = facts
    size = size_text(proof.size_bytes)
    said = proof.exit.name if proof.exit else "OK"
    print(f"{name:<44} {revision:>8} {behind:>6} {age:>6} {days:>6} {proof.n_files:>7} {size:>9}  {said}")
    if proof.problem:
        print(f"  {proof.problem}")
    if proof.state is not None and proof.exit is None and proof.whitelist_days < _FEW_DAYS:
        print(f"  the whitelist ends in {proof.whitelist_days:.1f} days: have it signed again")
    for note in proof.notes:
        print(f"  {note}")


def _run_mount(arguments: argparse.Namespace) -> int:
    from cvmfs_publish.mounted import Finding, examine

    place = Path(arguments.mount).absolute() / arguments.path.strip("/")
    found = examine(place, simulate=not arguments.no_run)
    said = found.attributes.get("fqrn", arguments.repository)
    if arguments.repository not in (None, said):
        found.findings.append(Finding("bad", f"{said} is mounted there, not {arguments.repository}"))
    worst = None if found.good else Exit.MOUNT_BAD
    if arguments.json:
        document = {
            "schema_version": 1,
            "mount": str(place),
            "exitCode": worst.code if worst else 0,
            "exitAcronym": worst.name if worst else "OK",
            "attributes": found.attributes,
            "findings": [{"verdict": one.verdict, "what": one.what, "cure": one.cure} for one in found.findings],
        }
        print_json(document)
    else:
        for name, value in found.attributes.items():
            print(f"{name:<14} {value}")
        for one in found.findings:
            print(f"{one.verdict:<5} {one.what}{'; ' + one.cure if one.cure else ''}")
    return worst.code if worst else 0
