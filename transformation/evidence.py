"""Why a simulator process failed, from what it left behind. Pure: values in, a row of the failure table out.

Exit codes are weak evidence: PhoSim's driver exits 0 after most failures of single images. So what was printed counts
as much, and what the judge says of the files counts in the end: nothing here turns a good unit into a failed one.
The texts are those of PhoSim 3.4 and of the shell, the C++ and Python run-times and cfitsio below it.
"""

from __future__ import annotations

import re

import msgspec

from transformation.limits import EndedBy
from transformation.model.failures import Failed, Failure
from transformation.process import Finished

MOST_OBJECTS = 150_000
"""A sensor's objects in PhoSim's fixed arrays; raytrace writes past them without a word, and segfaults."""
SPACE_NEEDED_BYTES = 1_000_000
"""A disk with less counts as full."""
_NEAR_LIMIT = 0.8
_LONGEST_WORDS = 160

_KILLS = frozenset({1, 2, 9, 15, 24})
"""Signals that come from outside: HUP, INT, KILL, TERM, XCPU. Others (SEGV, ABRT, BUS, FPE) are the program's own."""
_SIGKILL, _SIGSEGV, _SIGXFSZ = 9, 11, 25

_RELEASE_LOST = re.compile(r"Transport endpoint is not connected|Errno 107")
_READ_ERROR = re.compile(r"Input/output error|Stale file handle|Errno 5\b")
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|Errno 28|FITSIO status = (?:106|107|110)")
_NO_MEMORY = re.compile(
    r"Cannot allocate memory|std::bad_alloc|MemoryError|out of memory|FITSIO status = 113", re.IGNORECASE
)
_SED_MISSING = re.compile(r"Can't find SED file", re.IGNORECASE)
_CATALOG_BAD = re.compile(r"Cannot open catalog file|Cannot split into that many files|in loadInstanceCatalog")
_SEGFAULT = re.compile(r"^.*Segmentation fault.*$", re.MULTILINE)
_KILLED = re.compile(r"^(?:.*: )?(?:line \d+: )?\s*(?:\d+ )?Killed\b.*$", re.MULTILINE)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a process, or of the run that made bad files."""

    what: str
    """Which unit and stage, for the sentence."""
    finished: Finished
    errors: str = ""
    """End of its stderr."""
    output: str = ""
    """End of its stdout."""
    verdict: Failed | None = None
    """What the judge says of the files, if it came to that."""
    free_bytes: int = 1 << 40
    """Free on the disk it wrote to, after its end."""
    folder: str = ""
    """On that disk."""
    has_file_at_limit: bool = False
    """A file in that folder is as large as any may get."""
    n_objects: int = 0
    """Near the sensor, by trim's count."""
    release_root: str = ""
    release_is_visible: bool = True
    memory_limit_bytes: int = 1 << 62
    """What one process of the job may take."""

    @property
    def killed_by(self) -> int | None:
        """The signal that ended it; a shell between us and the program reports it as 128 + its number."""
        status = self.finished.exit_status or 0
        return self.finished.signal or (status - 128 if 128 < status < 192 else None)

    @property
    def texts(self) -> str:
        """All that was printed, errors last."""
        return f"{self.output}\n{self.errors}"


class _Cause(msgspec.Struct, frozen=True, kw_only=True):
    failure: Failure
    words: str = ""
    """The line that tells; empty = the last one."""
    remark: str = ""


def explain(evidence: Evidence, otherwise: Failure) -> Failed:
    """The failure that fits; `otherwise` is the row for an error that nothing is known of."""
    cause = _cause(evidence)
    if cause is None:
        if evidence.verdict is not None:
            return evidence.verdict
        cause = _Cause(failure=otherwise)
    words = cause.words or _last_line(evidence.errors)
    parts = [f"{evidence.what}: {evidence.finished}" if evidence.verdict is None else evidence.verdict.detail, words]
    detail = ": ".join(part for part in parts if part)
    return Failed(failure=cause.failure, detail=f"{detail}; {cause.remark}" if cause.remark else detail)


def _cause(evidence: Evidence) -> _Cause | None:
    """The first that applies; what lies outside of the program comes before what it says of itself."""
    finished = evidence.finished
    if finished.ended_by is not EndedBy.ITSELF:
        return _Cause(failure=_STOPPED_FOR[finished.ended_by], remark=finished.remark)
    looks = (_release_lost, _too_large, _disk_full, _out_of_memory, _killed, _sed_missing, _too_many, _catalog_bad)
    return next((cause for look in looks if (cause := look(evidence)) is not None), None)


_STOPPED_FOR = {
    EndedBy.STOP: Failure.TERMINATED,
    EndedBy.WALL_LIMIT: Failure.SIMULATOR_HUNG,
    EndedBy.NO_CPU_TIME: Failure.SIMULATOR_HUNG,
    EndedBy.CPU_LIMIT: Failure.CPU_LIMIT,
    EndedBy.SCRATCH_LIMIT: Failure.OUTPUT_GROWS,
    EndedBy.LOG_LIMIT: Failure.OUTPUT_GROWS,
    EndedBy.MEMORY: Failure.OUT_OF_MEMORY,
    EndedBy.SCRATCH: Failure.SCRATCH_LOW,
    EndedBy.DISK: Failure.SCRATCH_LOW,
}


def _release_lost(evidence: Evidence) -> _Cause | None:
    words = _line(_RELEASE_LOST, evidence.texts)
    root = evidence.release_root
    for found in _READ_ERROR.finditer(evidence.texts) if root else ():
        line = _line_at(evidence.texts, found.start())
        words = words or (line if root in line else "")
    if words or not evidence.release_is_visible:
        return _Cause(failure=Failure.RELEASE_LOST, words=words, remark=f"{root} cannot be read any more")
    return None


def _too_large(evidence: Evidence) -> _Cause | None:
    """The kernel ends who writes past the largest file that it may write, or fails the write of who ignores that."""
    if evidence.has_file_at_limit or evidence.killed_by == _SIGXFSZ:
        return _Cause(failure=Failure.OUTPUT_GROWS, remark="a file has reached worker.max_unit_scratch_mb of the site")
    return None


def _disk_full(evidence: Evidence) -> _Cause | None:
    words = _line(_DISK_FULL, evidence.texts)
    if words or evidence.free_bytes < SPACE_NEEDED_BYTES:
        return _Cause(failure=Failure.DISK_FULL, words=words, remark=f"{evidence.folder or 'the disk'} is full")
    return None


def _out_of_memory(evidence: Evidence) -> _Cause | None:
    words = _line(_NO_MEMORY, evidence.texts)
    peak_bytes = evidence.finished.max_rss_bytes
    was_killed = evidence.killed_by == _SIGKILL or bool(_KILLED.search(evidence.errors))
    likely = evidence.finished.oom_nearby or peak_bytes >= _NEAR_LIMIT * evidence.memory_limit_bytes
    if words or evidence.finished.oom_killed or (was_killed and likely):
        remark = f"it had taken {peak_bytes / 1e6:,.0f} MB"
        return _Cause(failure=Failure.OUT_OF_MEMORY, words=words, remark=remark)
    return None


def _killed(evidence: Evidence) -> _Cause | None:
    words = _line(_KILLED, evidence.errors)
    if words or evidence.killed_by in _KILLS:
        return _Cause(failure=Failure.SIMULATOR_KILLED, words=words)
    return None


def _sed_missing(evidence: Evidence) -> _Cause | None:
    """Also of a release that should go on with a flat spectrum: it said that it does not."""
    words = _line(_SED_MISSING, evidence.texts)
    return _Cause(failure=Failure.SED_MISSING, words=words) if words else None


def _too_many(evidence: Evidence) -> _Cause | None:
    crashed = evidence.killed_by == _SIGSEGV or bool(_SEGFAULT.search(evidence.errors))
    if crashed and evidence.n_objects > MOST_OBJECTS:
        remark = f"{evidence.n_objects:,} objects near the sensor, PhoSim holds {MOST_OBJECTS:,}"
        return _Cause(failure=Failure.TOO_MANY_OBJECTS, remark=remark)
    # In one run of several stages, a crash of one shows in words only.
    words = _line(_SEGFAULT, evidence.errors)
    return _Cause(failure=Failure.SIMULATOR_CRASHED, words=words) if words and evidence.verdict is not None else None


def _catalog_bad(evidence: Evidence) -> _Cause | None:
    words = _line(_CATALOG_BAD, evidence.texts)
    if not words:
        return None
    # Of a Python traceback the last line tells what was wrong.
    return _Cause(failure=Failure.CATALOG_INVALID, words="" if "loadInstanceCatalog" in words else words)


def _line(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return _line_at(text, found.start()) if found else ""


def _line_at(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 :].partition("\n")[0]
    return line.strip()[:_LONGEST_WORDS]


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1][:_LONGEST_WORDS] if text.strip() else ""
