"""Names at the destination, and nothing else: which file of which job stands where.

    BASE/USER/JOBNAME/v<visit>/<file>                          an image that may be seen
    BASE/USER/JOBNAME/v<visit>/.<file>.<token>.part            an image that is not committed yet
    BASE/USER/JOBNAME/v<visit>/.debug/<unit>-<token>.tar.gz    work files of an attempt, for jobs with `debug`
    BASE/USER/JOBNAME/v<visit>/.units/<unit>.json              the manifest that commits a unit
    BASE/USER/JOBNAME/v<visit>/.units/<unit>.failed.json       a failure that no further try can change
    BASE/USER/JOBNAME/v<visit>/.units/.<unit>.json.<token>.aside   a manifest that was found bad
    BASE/USER/JOBNAME/v<visit>/.units/.<unit>.ckpt-<segment>.<token>.*   a checkpoint of a unit that is not committed
    BASE/USER/JOBNAME/v<visit>/.units/.<unit>.claim            the destination, of several, at which it is committed

Names depend on the request alone: PanDA gives every retry a new job id.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec

UNITS_FOLDER = ".units"
DEBUG_FOLDER = ".debug"
_MANIFEST_SUFFIX = ".json"
_FAILURE_SUFFIX = ".failed.json"
_CLAIM_SUFFIX = ".claim"
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?=/)", re.IGNORECASE)
_HOST = re.compile(r"[a-z][a-z0-9+.-]*:(//[^/]*)?/", re.IGNORECASE)
# These decode what they are given; XRootD and bare paths take every byte but `/` as it is.
_PERCENT_SCHEMES = frozenset({"file", "http", "https", "dav", "davs"})
_USER_INFO = re.compile(r"(?<=://)[^/@]*@")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_VISIT_FOLDER = re.compile(r"v(?P<visit>[A-Za-z0-9_]+)")


def join_url(base: str, *names: str) -> str:
    """The location of a file under a folder, for bare paths and URLs of every scheme.

    The base is never normalised: in `root://host//path` the double slash is what makes the path absolute.
    """
    match = _SCHEME.match(base)
    head, question, query = base.partition("?") if match else (base, "", "")
    if match and match["scheme"].lower() in _PERCENT_SCHEMES:
        names = tuple(quote(name) for name in names)
    slash = "" if head.endswith("/") else "/"
    return f"{head}{slash}{'/'.join(names)}{question}{query}"


def is_manifest(name: str) -> bool:
    """True for the manifest of a unit among the names in a `.units` folder."""
    return not name.startswith(".") and name.endswith(_MANIFEST_SUFFIX) and not name.endswith(_FAILURE_SUFFIX)


def is_failure(name: str) -> bool:
    """True for a failure record among the names in a `.units` folder."""
    return not name.startswith(".") and name.endswith(_FAILURE_SUFFIX)


def is_aside(name: str) -> bool:
    """True for a manifest that was found bad and moved out of the way."""
    return name.startswith(".") and name.endswith(".aside")


def is_claim(name: str) -> bool:
    """True for a claim among the names in a `.units` folder."""
    return name.startswith(".") and name.endswith(_CLAIM_SUFFIX)


def unit_of(name: str) -> str:
    """The unit that a name in a `.units` folder, hidden or not, belongs to."""
    return name.removeprefix(".").partition(".")[0]


def manifest_name(unit: str) -> str:
    """Under this name in its visit's `.units` folder a unit is committed."""
    return f"{unit}{_MANIFEST_SUFFIX}"


def failure_name(unit: str) -> str:
    """Under this name stands the final failure of a unit."""
    return f"{unit}{_FAILURE_SUFFIX}"


def claim_name(unit: str) -> str:
    """Under this name stands at which destination of several the unit is committed."""
    return f".{unit}{_CLAIM_SUFFIX}"


def aside_name(unit: str, token: str) -> str:
    """Where a bad manifest goes; the token is unique to the act of moving it."""
    return f".{manifest_name(unit)}.{token}.aside"


def checkpoint_name(unit: str, segment: int, token: str, kind: str) -> str:
    """A file of a checkpoint; the token is unique to the attempt that left it."""
    return f".{unit}.ckpt-{segment}.{token}.{kind}"


def visit_of_folder(name: str) -> str | None:
    """`v87393588` -> `87393588`; None for any other folder."""
    match = _VISIT_FOLDER.fullmatch(name)
    return match["visit"] if match else None


class JobPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where one job's images stand. Raises `ValueError` for a user or job that is not a plain word."""

    base: str
    """A folder: an absolute path or a URL."""
    user: str
    job: str

    def __post_init__(self) -> None:
        for word in (self.user, self.job):
            if not _WORD.fullmatch(word):
                message = f"not a name for a folder: {word!r}"
                raise ValueError(message)

    @property
    def address(self) -> str:
        """The base as reports and claims name it: without what may be a credential."""
        return public_url(self.base).rstrip("/")

    def holds(self, url: str) -> bool:
        """Whether that is a location below the job's folder, however its slashes are written."""
        return _one_slash(public_url(url)).startswith(f"{_one_slash(public_url(self.folder))}/")

    @property
    def folder(self) -> str:
        """The job's folder, one folder per visit in it."""
        return join_url(self.base, self.user, self.job)

    def visit_folder(self, visit: str) -> str:
        """The folder of one visit's images."""
        return join_url(self.base, self.user, self.job, f"v{visit}")

    def file_url(self, visit: str, name: str) -> str:
        """An image, or a temporary, of a visit."""
        return join_url(self.base, self.user, self.job, f"v{visit}", name)

    def units_folder(self, visit: str) -> str:
        """The folder of a visit's manifests."""
        return self.file_url(visit, UNITS_FOLDER)

    def receipt_url(self, visit: str, name: str) -> str:
        """A manifest, a failure record or a hidden name beside them."""
        return join_url(self.base, self.user, self.job, f"v{visit}", UNITS_FOLDER, name)

    def debug_url(self, visit: str, name: str) -> str:
        """An archive of work files, for a person; no part of the job's images."""
        return join_url(self.base, self.user, self.job, f"v{visit}", DEBUG_FOLDER, name)

    def dataset(self, visit: str) -> str:
        """The dataset of one visit's images in a catalog."""
        return f"{self.job}/v{visit}"

    def record_name(self, visit: str, name: str) -> str:
        """An image's name in a catalog; bare PhoSim names repeat between jobs."""
        return f"{self.job}/v{visit}/{name}"


def public_url(url: str) -> str:
    """The location as reports, journals and catalogs name it: user information and query may be a credential."""
    return _USER_INFO.sub("", url).partition("?")[0] if _SCHEME.match(url) else url


def _one_slash(url: str) -> str:
    host = _HOST.match(url)
    root = host.group() if host else ""
    return root + re.sub("/+", "/", url.removeprefix(root)).lstrip("/" if root else "")


def place_of(location: str) -> tuple[JobPlace, str | None] | None:
    """The job that a destination folder belongs to, and the visit if it is one visit's folder.

    None if the last names cannot be a user's and a job's. A last name such as `v87393588` is taken for a visit's.
    """
    head, question, query = location.partition("?") if _SCHEME.match(location) else (location, "", "")
    host = _HOST.match(head)
    root = host.group() if host else ""
    parts = head.removeprefix(root).rstrip("/").split("/")
    visit = visit_of_folder(parts[-1])
    if visit is not None:
        parts.pop()
    if len(parts) < 2 or not all(_WORD.fullmatch(part) for part in parts[-2:]):
        return None
    *above, user, job = parts
    base = root + "".join(f"{part}/" for part in above) + question + query
    return JobPlace(base=base, user=user, job=job), visit
