"""What can keep `iod` from doing what was asked, besides the failures of jobs themselves.

`iod` ends with the codes of `lsst-trf` where it met the same thing (a malformed catalog is 20 for both), and with these
rows where the trouble is its own. Codes are an interface: never reused, and clear of those of shells.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from transformation.model.failures import Failure


class Trouble(Enum):
    """One row: exit code, what it means, what to do."""

    def __init__(self, code: int, meaning: str, action: str) -> None:
        self.code = code
        self.meaning = meaning
        self.action = action

    USAGE = (10, "the command line is wrong", "read `iod COMMAND --help`")
    JOB_UNKNOWN = (100, "no job of that name is known", "`iod history` lists jobs, `iod sync` finds those of elsewhere")
    NOT_CONFIRMED = (101, "a question was not answered with yes", "where nobody can answer, give --yes")
    SUBMITTED_ALREADY = (102, "the same request was submitted before", "give --yes to submit it once more")
    SITE_CLOSED = (103, "the site takes no jobs at present", "choose another --site, or wait")
    NOT_POSSIBLE = (104, "the job is not in a state in which that can be done", "see `iod status NAME`")
    FETCH_INCOMPLETE = (105, "some files could not be fetched", "run it again: what is there is not fetched twice")
    NOTHING_FITS = (106, "no file of the job is what was asked for", "see `iod ls NAME`")
    FOLDER_UNUSABLE = (107, "the folder for the files cannot be used", "choose another one")
    NOTICE_FAILED = (108, "somebody could not be told of a job that ended", "see [notify] in `iod config`")
    PANDA_UNREACHABLE = (110, "the PanDA server does not answer", "try again later")
    PANDA_DENIED = (111, "the PanDA server does not accept the credential", "`iod login`")
    PANDA_REFUSED = (112, "the PanDA server refused what was asked", "read its words in the message")
    PANDA_GARBLED = (113, "the PanDA server answered something that is no answer", "check the server's URL")
    PANDA_MISSING = (114, "the PanDA client cannot be used here", "pip install 'imsim-on-demand[submit]'")
    CREDENTIAL_MISSING = (115, "there is no credential, or it ends too early", "`iod login`")
    STATE_UNUSABLE = (120, "the file that remembers jobs cannot be used", "move it away; `iod sync` makes it anew")
    CONFIG_INVALID = (121, "the configuration is not valid", "correct the key that the message names")
    LOCAL_UNUSABLE = (122, "jobs cannot be run on this machine", "read the log that the message names")
    INTERNAL_ERROR = (129, "a bug in iod", "report it with the traceback in the log that the message names")
    INTERRUPTED = (130, "it was interrupted", "run it again")


Row = Trouble | Failure
"""Both have `code`, `name`, `meaning` and `action`."""


class IodError(Exception):
    """Something that a person has to know: the row says what kind, the detail what and where."""

    def __init__(self, row: Row, detail: str) -> None:
        super().__init__(detail)
        self.row = row
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail}; {self.row.action}"


def table() -> list[dict[str, str | int]]:
    """All codes that `iod` may end with, success first."""
    rows: Sequence[Row] = sorted([*Trouble, *_SHARED], key=lambda row: row.code)
    success: dict[str, str | int] = {"code": 0, "name": "OK", "meaning": "it is done", "action": "-"}
    return [success, *map(_document, rows)]


def _document(row: Row) -> dict[str, str | int]:
    return {"code": row.code, "name": row.name, "meaning": row.meaning, "action": row.action}


_SHARED_PREFIXES = (
    *("SPEC_", "SENSOR_PATTERN", "NO_SENSOR", "COMMANDS_", "CATALOG_", "PATH_", "SITE_", "RELEASE_"),
    *("STORAGE_", "REQUEST_", "SED_", "TOO_MANY", "UNIT_TOO", "DISK_", "MEMORY_"),
)
_SHARED = tuple(failure for failure in Failure if failure.name.startswith(_SHARED_PREFIXES))
"""Rows of `lsst-trf` that `iod` can meet by itself."""
