"""`iod-publish init`: a configuration with comments, to be edited."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

from cvmfs_publish.config import BACKENDS, DEFAULT_NAME
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import REPOSITORY, checked_base
from cvmfs_publish.platforms import WORKERS

TEMPLATE = """\
# Configuration of iod-publish, the kit that puts simulator releases on CVMFS.
# Give it with --config FILE, name it in $IOD_PUBLISH_CONFIG, or call it {default_name} in the folder you work in.
# Keys that are commented out have the value shown. Options of the command line come first.
schema_version = 1

# How to publish:
#   stratum0   in a transaction, on the Stratum 0 (the usual way)
#   ingest     small releases as a tarball, on the Stratum 0
#   gateway    in a transaction with a lease on a sub-path, on a publisher of a repository gateway
#   oasis      on OSG's login host: stage, then osg-oasis-update
#   directory  a plain folder: laptops, shared file systems, tests
backend = "{backend}"

# The repository, as under /cvmfs.
{repository_mark}repository = "{repository}"

# Folders between the repository's root and the simulators: BASE/SIMULATOR/VERSION/SIMULATOR-VERSION.
base = "{base}"

# The folder that `directory` publishes into.
{root_mark}root = "{root}"

# Locks, the release log and receipts of checks. Default: ~/.local/state/iod-publish of the account that publishes;
# for `directory`, a hidden folder in the root.
# state = "/var/lib/iod-publish"

# Where `ingest` packs its tarballs. Default: the system's folder for temporary files.
# scratch = "/var/tmp"

[check]
# Operating systems of the workers: every release must run on all of them.
# Known: {workers}.
workers = ["el9"]
# machine = "{machine}"
# Folders of the building machine that no published file may name.
# build_paths = ["/build/phosim"]
# Rules that do not count here; `iod-publish check` prints their names.
# waive = ["name-case"]
# The limit of the repository for one file.
# largest_file_mb = 1024

[server]
# How long to wait for another publisher.
# wait_s = 0
# Days that the whitelist must still be good for.
# whitelist_days = 3
# For installations in unusual places:
# program = "cvmfs_server"
# mount = "/cvmfs/{{repository}}"
# settings = "/etc/cvmfs/repositories.d/{{repository}}/server.conf"
# spool = "/var/spool/cvmfs/{{repository}}"

[oasis]
# The VO's area on the login host; `base` begins inside it.
# stage = "/stage/oasis/lsst"
# update = ["osg-oasis-update"]

[retention]
# The newest releases of each simulator that are always kept.
# keep = 3
# Days between the note that a release will go and its removal.
# deprecated_days = 30
# Releases that never go.
# pins = ["phosim-3.4.2"]
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("file", nargs="?", default=DEFAULT_NAME, metavar="FILE", help=f"default: {DEFAULT_NAME}")
    parser.add_argument("--backend", choices=BACKENDS, default="stratum0", help="default: stratum0")
    parser.add_argument("--repository", metavar="NAME", default="", help="e.g. sw.example.org")
    parser.add_argument("--base", metavar="PATH", default="", help="folders above the simulators, e.g. lsst")
    parser.add_argument("--root", metavar="DIR", default="", help="the folder of the backend `directory`")


def run(arguments: argparse.Namespace) -> int:
    """Write the file, which must not be there."""
    repository, root = arguments.repository, arguments.root
    if repository and not REPOSITORY.fullmatch(repository):
        raise KitError(Exit.USAGE, f"'{repository}' is no repository's name", cure="as in sw.example.org")
    if any(letter in root for letter in '"\\\n'):
        raise KitError(Exit.USAGE, f"{root!r} cannot be written to the configuration", cure="choose another folder")
    text = TEMPLATE.format(
        default_name=DEFAULT_NAME,
        backend=arguments.backend,
        repository=repository or "sw.example.org",
        repository_mark="" if repository else "# ",
        base=checked_base(arguments.base),
        root=root or "/srv/releases",
        root_mark="" if root else "# ",
        workers=", ".join(WORKERS),
        machine=platform.machine(),
    )
    path = Path(arguments.file)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise KitError(Exit.USAGE, f"{path} exists", cure="edit it, or name another file") from None
    except OSError as error:
        raise KitError(Exit.USAGE, f"{path}: {error.strerror}") from None
    print(f"wrote {path}; edit it, then `iod-publish check` and `iod-publish publish --dry-run`")
    return 0
