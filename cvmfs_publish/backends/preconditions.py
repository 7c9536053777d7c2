"""What has to hold before a transaction is opened. Each function gives the problems that it finds, none if all is well.

Why each matters is in docs/how-to/publish-on-cvmfs.md.
"""

from __future__ import annotations

import os
import pwd
import re
import resource
from pathlib import Path
from typing import Dict, Iterator, List, Optional

from cvmfs_publish.backends.directory import space_problems
from cvmfs_publish.backends.words import State
from cvmfs_publish.exits import Exit, KitError

_SPOOL_FACTOR = 1.5
"""Free space in the spool over the size of the tree: the copy, and its compressed objects on their way."""
_LEAST_OPEN_FILES = 4096
_SETTING = re.compile(r"^\s*(?:export\s+)?(\w+)=(.*)$")
_PROGRAMS = ("cvmfs_server", "cvmfs_swissknife", "cvmfs_publish")
_SCRIPT = "cvmfs_server"
"""Runs under an interpreter, and so stands second in its command line, options aside."""


def read_settings(path: Path) -> Dict[str, str]:
    """The settings in a repository's server.conf; empty if it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = (_SETTING.match(line) for line in lines)
    return {row.group(1): row.group(2).strip().strip("\"'") for row in found if row}


def state_problems(state: State, repository: str) -> Iterator[KitError]:
    """A Stratum 0 that nobody is writing to, with a good whitelist."""
    if not state.is_stratum0:
        yield KitError(Exit.REPOSITORY_UNKNOWN, f"{repository} is a replica here", cure="publish on its Stratum 0")
    if state.whitelist_expired:
        yield KitError(Exit.WHITELIST_EXPIRED, f"the whitelist of {repository} has expired", cure=_resign(repository))
    if state.whitelist_unreachable:
        cure = "start the web server of this Stratum 0, and look whether CVMFS_STRATUM0 is its URL"
        yield KitError(Exit.NOT_READY, f"the whitelist of {repository} cannot be fetched", cure=cure)
    if state.in_transaction:
        cure = f"wait for its publisher; if there is none, `cvmfs_server abort -f {repository}`"
        yield KitError(Exit.BUSY, f"{repository} is in a transaction that this kit did not open", cure=cure)


def whitelist_problems(days: Optional[int], least: int, repository: str) -> Iterator[KitError]:
    """Enough days left for clients to see the release."""
    if days is not None and days < least:
        what = f"the whitelist of {repository} is good for {days} more days, {least} are wanted"
        yield KitError(Exit.WHITELIST_EXPIRED, what, cure=_resign(repository))


def _resign(repository: str) -> str:
    return f"whoever has the master key runs `cvmfs_server resign {repository}`"


def owner_problems(settings: Dict[str, str], repository: str) -> Iterator[KitError]:
    """The repository's owner: what another account copies cannot be published, what root copies fails in the middle."""
    owner = settings.get("CVMFS_USER")
    if owner is None:
        return
    try:
        own = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        own = str(os.getuid())
    if own != owner:
        what = f"{repository} belongs to {owner}, this is {own}"
        yield KitError(Exit.DENIED, what, cure=f"run it as the owner: `runuser -u {owner} -- iod-publish ...`")


def disk_problems(spool: Path, settings: Dict[str, str], size_bytes: int) -> List[KitError]:
    """Space in the spool, and in the store if it is on this machine."""
    if not size_bytes:
        return []
    problems = space_problems(spool, int(_SPOOL_FACTOR * size_bytes)) if _is_folder(spool) else []
    kind, _, places = settings.get("CVMFS_UPSTREAM_STORAGE", "").partition(",")
    store = Path(places.rpartition(",")[2])
    if kind == "local" and _is_folder(store):
        problems += space_problems(store, size_bytes)
    return problems


def working_directory_problems(mount: Path) -> Iterator[KitError]:
    """Not inside the repository: a publish would wait 60 s for this process to leave."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return
    if here == mount or mount in here.parents:
        yield KitError(
            Exit.NOT_READY, f"the working directory {here} is inside the repository", cure="cd / and try again"
        )


def open_files_problems() -> Iterator[KitError]:
    """Raise the limit of open files as far as it goes; a problem if that is not far."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < _LEAST_OPEN_FILES:
        cure = "raise `ulimit -Hn` (CernVM-FS opens many files; OASIS sets 32768)"
        yield KitError(Exit.NOT_READY, f"only {hard} files may be open, {_LEAST_OPEN_FILES} are wanted", cure=cure)


def mount_problems(mount: Path) -> Iterator[KitError]:
    """The repository can be read here."""
    if not _is_folder(mount):
        yield KitError(Exit.REPOSITORY_BROKEN, f"{mount} is not there", cure="run `cvmfs_server mount` as root")


def tool_problems(repository: str) -> Iterator[KitError]:
    """No garbage collection, check or publish of this repository is under way."""
    for process, words in _processes():
        if _is_tool(words) and any(_names(word, repository) for word in words):
            what = f"process {process} is at work on {repository}: {' '.join(words)[:80]}"
            yield KitError(Exit.BUSY, what)


def _is_tool(command: List[str]) -> bool:
    names = [word.rpartition("/")[2] for word in command if not word.startswith("-")]
    return names[:1] != [] and (names[0] in _PROGRAMS or _SCRIPT in names[1:2])


def lingerers(mount: Path) -> List[int]:
    """Processes whose working directory is inside the mount, as far as this account can see."""
    inside = []
    for process in _ids():
        try:
            folder = os.readlink(f"/proc/{process}/cwd")  # noqa: PTH115 - a link of /proc
        except OSError:
            continue
        if folder == str(mount) or folder.startswith(f"{mount}/"):
            inside.append(process)
    return inside


def _is_folder(path: Path) -> bool:
    """Also False for what this account may not look at."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises


def _names(word: str, repository: str) -> bool:
    return word == repository or word.startswith(f"{repository}/") or f"/{repository}/" in f"{word}/"


def _ids() -> List[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are all


def _processes() -> Iterator[tuple[int, List[str]]]:
    for process in _ids():
        if process == os.getpid():
            continue
        try:
            raw = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        yield process, [word.decode("utf-8", "replace") for word in raw.split(b"\0") if word]
