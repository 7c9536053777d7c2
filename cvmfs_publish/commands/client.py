"""`iod-publish client`: what a worker needs to use the repository."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Dict, List

from cvmfs_publish.client.condition import condition
from cvmfs_publish.client.configuration import Mount, configuration
from cvmfs_publish.client.opened import Opened
from cvmfs_publish.commands.results import add_json
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.manifest import read_release
from cvmfs_publish.mounted import simulate_one_star


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=type(parser))
    config = actions.add_parser("config", help="configuration files of the CVMFS client, on stdout or into --out")
    config.add_argument("--repository", metavar="NAME", required=True)
    config.add_argument("--server", metavar="URL", nargs="+", required=True, help="each root of the repository")
    config.add_argument("--proxy", metavar="URL", nargs="*", default=[], help="the site's proxies, in order")
    config.add_argument("--public-key", metavar="FILE", help="the repository's master key")
    config.add_argument("--quota-mb", metavar="MB", type=int, default=20_000, help="limit of the cache")
    config.add_argument("--cache", metavar="FOLDER", default="/var/lib/cvmfs")
    config.add_argument("--out", metavar="FOLDER", help="write the files below it instead of printing them")
    add_json(config)
    warm = actions.add_parser("warm-up", help="run one star, and list the files that it opened: a prefetch list")
    warm.add_argument("release", metavar="RELEASE", help="the release's folder")
    add_json(warm)
    check = actions.add_parser("check", help="cache, proxy and errors of the client that mounts a release")
    check.add_argument("release", metavar="RELEASE", help="the release's folder, as it is mounted")
    check.add_argument("--need-mb", metavar="MB", type=float, default=500.0, help="what one unit reads of it")
    add_json(check)


def run(arguments: argparse.Namespace) -> int:
    """Do one of the three."""
    if arguments.action == "config":
        return _config(arguments)
    return _warm_up(arguments) if arguments.action == "warm-up" else _check(arguments)


def _config(arguments: argparse.Namespace) -> int:
    key = None
    try:
        if arguments.public_key is not None:
            key = Path(arguments.public_key).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(Exit.USAGE, f"--public-key {arguments.public_key}: {error}") from None
    mount = Mount(
        arguments.repository, tuple(arguments.server), tuple(arguments.proxy), arguments.quota_mb, arguments.cache, key
    )
    files = configuration(mount)
    if arguments.out is not None:
        _write(Path(arguments.out), files)
    elif arguments.json:
        print(json.dumps(files, indent=1))
    else:
        print("\n".join(f"# --- {path}\n{content}" for path, content in files.items()), end="")
    return 0


def _write(folder: Path, files: Dict[str, str]) -> None:
    try:
        for path, content in files.items():
            place = folder / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="ascii")
            print(place)
    except OSError as error:
        raise KitError(Exit.USAGE, f"--out {error.filename}: {error.strerror}", cure="choose another folder") from None


def _warm_up(arguments: argparse.Namespace) -> int:
    place = Path(arguments.release).absolute()
    release = read_release(place)
    watch = Opened(place)
    found = simulate_one_star(place, release)
    opened = watch.end()
    if found.verdict != "ok":
        raise KitError(Exit.MOUNT_BAD, found.what, cure=found.cure)
    sizes = {entry.path: entry.size_bytes for entry in release.files}
    files: List[str] = [path for path in opened if path in sizes]
    if arguments.json:
        document = {"release": release.name, "files": files, "size_bytes": sum(sizes[path] for path in files)}
        print(json.dumps(document, indent=1))
    else:
        print("\n".join(files))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    findings = condition(Path(arguments.release).absolute(), round(arguments.need_mb * 1e6))
    bad = any(one.verdict == "bad" for one in findings)
    if arguments.json:
        print(json.dumps([{"verdict": one.verdict, "what": one.what, "cure": one.cure} for one in findings], indent=1))
    else:
        for one in findings:
            print(f"{one.verdict:<5} {one.what}{'; ' + one.cure if one.cure else ''}")
    return Exit.MOUNT_BAD.code if bad else 0
