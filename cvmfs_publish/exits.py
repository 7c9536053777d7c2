"""How `iod-publish` can end: one row each, with the remedy that scripts act on.

Numbers are an interface and are never reused. 60 to 79 belong to `verify` and to the worker side. As for `lsst-trf`:
never 1 to 3, 126, 127, 137, 143, 160 to 162, 251 or 255.
"""

from __future__ import annotations

from enum import Enum
from typing import List


class Remedy(Enum):
    """What can still help, in the words of `lsst-trf exit-codes`."""

    HERE = "HERE"
    """The same command again, on this machine."""
    ELSEWHERE = "ELSEWHERE"
    """The same command later, or from another machine."""
    MORE_RESOURCES = "MORE_RESOURCES"
    """More disk, or a higher limit."""
    NEVER = "NEVER"
    """Only a person who changes something."""


class Exit(Enum):
    """Code, remedy, meaning, what to do."""

    USAGE = 10, Remedy.NEVER, "the command line is wrong", "read `iod-publish COMMAND --help`"
    CONFIG_INVALID = 11, Remedy.NEVER, "the kit's configuration is not valid", "correct the key that the message names"
    RECIPE_INVALID = 12, Remedy.NEVER, "the recipe is not valid", "correct the key that the message names"
    SOURCE_UNUSABLE = 13, Remedy.NEVER, "the source tree, tarball or release cannot be used", "check the path given"
    BUILD_FAILED = 20, Remedy.NEVER, "a release could not be built", "read the build log that the message names"
    SMOKE_FAILED = 21, Remedy.NEVER, "what was built does not start", "read the build log that the message names"
    TOOL_MISSING = 22, Remedy.NEVER, "a program that is needed is not installed", "install it, or correct PATH"
    CHECK_FAILED = 23, Remedy.NEVER, "the check found errors", "follow the cure of each finding; some yield to --fix"
    NOT_READY = 30, Remedy.NEVER, "this machine or account is not ready to publish", "correct what the message names"
    BUSY = 31, Remedy.ELSEWHERE, "somebody else is publishing", "try again later, or use --wait"
    DENIED = 32, Remedy.NEVER, "the repository refuses this account", "run as the repository's owner"
    WHITELIST_EXPIRED = 33, Remedy.NEVER, "the whitelist has expired or is about to", "have it signed again: resign"
    REPOSITORY_UNKNOWN = 34, Remedy.NEVER, "this machine has no such repository", "correct `repository`"
    REPOSITORY_BROKEN = 35, Remedy.NEVER, "the repository is not in a state to publish", "see the runbook"
    DISK_SHORT = 36, Remedy.MORE_RESOURCES, "too little disk space", "free space where the message says"
    CONFLICT = 40, Remedy.NEVER, "another release stands under this version", "build under a new version, such as 1.0_1"
    TAG_IN_USE = 41, Remedy.NEVER, "the tag is in use", "choose another --tag, or let the kit choose"
    NOT_PUBLISHED = 42, Remedy.NEVER, "there is no such release, tag or switch", "see `iod-publish list`"
    KEPT = 43, Remedy.NEVER, "the release is pinned, current or needed", "unpin it, switch away, or retire its users"
    NEEDS_YES = 44, Remedy.NEVER, "this deletes something", "read what it deletes, then repeat with --yes"
    PUBLISH_FAILED = 50, Remedy.HERE, "publishing failed and was undone", "read the message, then run it again"
    INTERRUPTED = 51, Remedy.HERE, "stopped by a signal; nothing was left half done", "run it again: it resumes"
    STUCK = 52, Remedy.NEVER, "the repository is still in a transaction", "see the runbook: stuck in a transaction"
    NOT_UPDATED = 53, Remedy.HERE, "staged, but the update could not be asked for", "run it again: staging is kept"
    RECORD_LOST = 54, Remedy.NEVER, "published, but the release log could not be written", "add the line by hand"
    UNREACHABLE = 60, Remedy.ELSEWHERE, "a server or proxy does not answer", "try again; check the URL and the proxy"
    SIGNATURE_BAD = (
        61,
        Remedy.NEVER,
        "a signature does not fit what it signs",
        "trust nothing from there; tell its admins",
    )
    NOT_THERE = 63, Remedy.ELSEWHERE, "this revision has no such tag or path", "wait until it is replicated"
    OBJECTS_BAD = 64, Remedy.ELSEWHERE, "objects are missing or damaged", "tell the replica's admins; use another one"
    POLICY_REFUSES = 65, Remedy.ELSEWHERE, "a hash may not be used on this machine", "verify from another machine"
    CONTENT_DIFFERS = (
        66,
        Remedy.NEVER,
        "files are not those of the release's manifest",
        "publish it under a new version",
    )
    MOUNT_BAD = 67, Remedy.ELSEWHERE, "the mounted release does not work on this machine", "see each finding"
    NOT_PROPAGATED = 68, Remedy.ELSEWHERE, "not everywhere when --wait ran out", "wait longer; look at the table"
    INTERNAL_ERROR = 99, Remedy.NEVER, "a bug in iod-publish", "report it with the traceback"

    def __init__(self, code: int, remedy: Remedy, meaning: str, cure: str) -> None:
        self.code = code
        self.remedy = remedy
        self.meaning = meaning
        self.cure = cure


def plain(text: str) -> str:
    """The text on one line, fit for a terminal: what is not printable (in names of files) stands escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class KitError(Exception):
    """A known way to fail; `str()` is one line that says what, where and what to do."""

    def __init__(self, exit_: Exit, what: str, *, cure: str = "") -> None:
        super().__init__(f"{what}; {cure or exit_.cure}")
        self.exit = exit_
        self.what = what
        self.cure = cure or exit_.cure


class NotReady(KitError):
    """Preconditions that do not hold, all of them; the exit is that of the first."""

    def __init__(self, problems: List[KitError]) -> None:
        super().__init__(problems[0].exit, problems[0].what, cure=problems[0].cure)
        self.problems = problems
