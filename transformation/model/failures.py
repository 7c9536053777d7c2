"""Every way a job or a unit can fail: one row each.

Rules of this file: codes are an interface (PanDA's retry rules key on them), so a code is never reused or renumbered;
the README table, `lsst-trf exit-codes` and the pilot hook's copy are generated from these rows.

Codes keep clear of what others give a meaning of their own (PanDA pilot 3, `resolve_transform_error` and
`control/payload.py`; shells): 1-3, 126, 127, 137, 143, 160-162, 251, 255.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum, StrEnum

import msgspec

FORBIDDEN_CODES = frozenset({0, 1, 2, 3, 126, 127, 137, 143, 160, 161, 162, 251, 255})


class Remedy(StrEnum):
    """What can still help after a failure."""

    HERE = "HERE"
    """Another try in this job, on this worker."""
    ELSEWHERE = "ELSEWHERE"
    """Another worker, or the same later: PanDA's business."""
    MORE_RESOURCES = "MORE_RESOURCES"
    """Another try with more memory, disk or time."""
    NEVER = "NEVER"
    """A person must change something first."""


class Failure(Enum):
    """One row: exit code, remedy, what it means, what to do."""

    def __init__(self, code: int, remedy: Remedy, meaning: str, action: str) -> None:
        self.code = code
        self.remedy = remedy
        self.meaning = meaning
        self.action = action

    # -- the request
    USAGE = (10, Remedy.NEVER, "the command line is wrong", "read `lsst-trf run --help`")
    SPEC_INVALID = (11, Remedy.NEVER, "the job spec is not valid", "correct the key that the message names")
    SPEC_MISSING = (12, Remedy.NEVER, "there is no job spec at that place", "check the location given with --job")
    SPEC_UNREACHABLE = (13, Remedy.ELSEWHERE, "the job spec cannot be fetched", "try again, or pass it inline")
    SENSOR_PATTERN_INVALID = (
        14,
        Remedy.NEVER,
        "the sensor expression is not a usable regular expression",
        "correct `sensors`, e.g. R22_S11 or R11_S..",
    )
    NO_SENSOR_MATCHES = (
        15,
        Remedy.NEVER,
        "no sensor of the release matches the request",
        "correct `sensors` or `--select`; `lsst-trf plan` shows what matches",
    )
    COMMANDS_INVALID = (
        16,
        Remedy.NEVER,
        "the physics commands are missing or not valid",
        "correct `commands`: names under examples/, files, or inline text",
    )
    # -- the instance catalogs
    CATALOG_INVALID = (
        20,
        Remedy.NEVER,
        "an instance catalog is malformed",
        "correct the lines that the message names",
    )
    CATALOG_CONFLICT = (
        21,
        Remedy.NEVER,
        "the catalogs of one visit contradict each other",
        "make their headers agree, or list them as separate `visits`",
    )
    CATALOG_MISSING = (
        22,
        Remedy.NEVER,
        "an instance catalog does not exist, or may not be read",
        "check its location, and who may read it",
    )
    CATALOG_UNREACHABLE = (
        23,
        Remedy.ELSEWHERE,
        "an instance catalog or command file cannot be fetched now",
        "try again; copy it to a place that workers reach",
    )
    CATALOG_CHANGED = (
        24,
        Remedy.ELSEWHERE,
        "a fetched catalog differs from the size or checksum of the request",
        "try again; if it stays, update the request",
    )
    PATH_REFUSED = (
        25,
        Remedy.NEVER,
        "a name in the request leads outside its folder",
        "keep included files beside their catalog",
    )
    CATALOG_TOO_LARGE = (
        26,
        Remedy.NEVER,
        "an instance catalog is larger, packed or unpacked, than is allowed",
        "split it into several visits, or raise limits.max_catalog_mb or limits.max_unpacked_mb",
    )
    # -- site and release
    SITE_INVALID = (30, Remedy.NEVER, "the site is unknown or its file is not valid", "check --site")
    RELEASE_UNKNOWN = (
        31,
        Remedy.NEVER,
        "the site offers no such simulator release",
        "choose one that the message lists, or set IOD_RELEASES",
    )
    RELEASE_UNREACHABLE = (
        32,
        Remedy.ELSEWHERE,
        "the release area cannot be read (CVMFS not mounted?)",
        "try another worker; check CVMFS here",
    )
    RELEASE_BROKEN = (
        33,
        Remedy.ELSEWHERE,
        "the release on this worker is incomplete or unreadable",
        "try another worker; verify the published release",
    )
    RELEASE_LOST = (
        34,
        Remedy.ELSEWHERE,
        "the release vanished while it was in use (CVMFS lost?)",
        "try another worker; check CVMFS here",
    )
    RUNTIME_MISSING = (
        35,
        Remedy.ELSEWHERE,
        "lsst-trf.sh finds no runtime of lsst-trf that works here",
        "try another worker; check CVMFS here",
    )
    PYTHON_TOO_OLD = (
        36,
        Remedy.ELSEWHERE,
        "the Python of the runtime, or of this worker, is too old",
        "try another worker",
    )
    WORKER_UNFIT = (
        37,
        Remedy.ELSEWHERE,
        "`lsst-trf doctor` finds that jobs would fail on this worker",
        "do what it says of each check, or try another worker",
    )
    # -- the worker
    WORKDIR_UNUSABLE = (40, Remedy.ELSEWHERE, "the work folder cannot be used", "check --workdir, owner and space")
    WORKDIR_BUSY = (
        41,
        Remedy.ELSEWHERE,
        "another job is using the work folder",
        "wait for it, or choose another --workdir",
    )
    DISK_FULL = (42, Remedy.ELSEWHERE, "the worker's disk is full or too small", "try a worker with more disk")
    MEMORY_SHORT = (
        43,
        Remedy.MORE_RESOURCES,
        "the simulator needs more memory than this job has",
        "ask for the memory that the message names",
    )
    TERMINATED = (44, Remedy.ELSEWHERE, "the job was told to stop before it was done", "run it again: it resumes")
    DEADLINE = (45, Remedy.ELSEWHERE, "the slot ends before the work would", "run it again: it resumes")
    OUT_OF_MEMORY = (
        46,
        Remedy.HERE,
        "a simulator process ran out of memory",
        "it is tried again alone; ask for more memory if it stays",
    )
    UNIT_TOO_LONG = (
        47,
        Remedy.NEVER,
        "a unit is predicted to take longer than a simulator process may",
        "raise limits.max_unit_hours, or drop the object that the warnings name",
    )
    SCRATCH_SHORT = (
        48,
        Remedy.MORE_RESOURCES,
        "a unit needs more scratch than this job may use",
        "ask for the scratch that the message names",
    )
    BAD_WORKER = (
        49,
        Remedy.ELSEWHERE,
        "this worker failed the first units at once, all in the same way",
        "try another worker; look at what the units failed of",
    )
    # -- the simulator
    SET_UP_FAILED = (50, Remedy.HERE, "the simulator's visit set-up failed", "read the log that the report names")
    SIMULATOR_CRASHED = (
        51,
        Remedy.HERE,
        "a simulator process ended with an error",
        "read the log that the report names",
    )
    SIMULATOR_KILLED = (52, Remedy.HERE, "something killed a simulator process", "look for memory or site limits")
    SIMULATOR_HUNG = (
        53,
        Remedy.HERE,
        "a simulator process ran past its wall limit",
        "raise limits.max_unit_hours if the unit is really that long",
    )
    OUTPUT_MISSING = (54, Remedy.HERE, "expected images were not made", "read the simulator's log")
    OUTPUT_DAMAGED = (
        55,
        Remedy.HERE,
        "an image is truncated or not readable",
        "check the worker's disk; the unit is tried again",
    )
    OUTPUT_WRONG = (
        56,
        Remedy.HERE,
        "an image is not the one that was asked for",
        "compare the header keys that the message names",
    )
    IMAGE_ALL_ZERO = (
        57,
        Remedy.HERE,
        "an image is all zero though light was due",
        "suspect the release: one PhoSim snapshot does this",
    )
    SED_MISSING = (
        58,
        Remedy.NEVER,
        "the release lacks a spectrum that the catalog names",
        "use SEDs of the release's library",
    )
    TOO_MANY_OBJECTS = (
        59,
        Remedy.NEVER,
        "a sensor has more objects than the simulator can hold",
        "split the catalog into several visits",
    )
    NOT_REPRODUCED = (
        60,
        Remedy.NEVER,
        "a unit made again differs from the one that is stored",
        "compare release, machine and libraries of the two runs",
    )
    OUTPUT_GROWS = (
        61,
        Remedy.HERE,
        "a simulator process wrote more than it may",
        "look at what it wrote; raise the limit that the message names if it is right",
    )
    CPU_LIMIT = (
        62,
        Remedy.MORE_RESOURCES,
        "a simulator process used more CPU time than it may",
        "raise limits.max_unit_cpu_hours if the unit is really that long",
    )
    SCRATCH_LOW = (
        63,
        Remedy.HERE,
        "scratch ran low, and this unit had the most of it",
        "it is tried again alone; ask for more scratch if it stays",
    )
    # -- storage
    STORAGE_UNREACHABLE = (
        70,
        Remedy.ELSEWHERE,
        "the storage does not answer",
        "try again; finished units are safe",
    )
    STORAGE_FULL = (71, Remedy.ELSEWHERE, "the storage is full", "free space or add a destination, then run again")
    STORAGE_DENIED = (
        72,
        Remedy.NEVER,
        "the storage refuses this user, credential or path",
        "check the credential and `output.base`",
    )
    STORAGE_DAMAGED = (
        73,
        Remedy.ELSEWHERE,
        "the storage holds other bytes than were sent",
        "tell the storage's admins; the unit is sent again",
    )
    REQUEST_CONFLICT = (
        74,
        Remedy.NEVER,
        "images of a different request stand under the same job name",
        "choose another `name`, or remove the old images",
    )
    STORAGE_UNKNOWN = (
        75,
        Remedy.NEVER,
        "no storage adapter serves that kind of location",
        "use one of the schemes that the message lists",
    )
    CREDENTIAL_EXPIRED = (
        76,
        Remedy.ELSEWHERE,
        "the credential for the storage has expired, or would before the images are stored",
        "renew it and run again; images that were kept are sent from the same work folder",
    )
    USER_REFUSED = (
        77,
        Remedy.NEVER,
        "the request's user is not the one that the credential names",
        "correct `user`, or use that user's own credential",
    )
    STORAGE_NOT_EXCLUSIVE = (
        78,
        Remedy.NEVER,
        "the storage may let two attempts commit one unit",
        "declare `data_server`, `one_namespace` or `single_writer` of its endpoint in the site file",
    )
    # -- the catalog of images
    REGISTRATION_PENDING = (
        80,
        Remedy.ELSEWHERE,
        "images are safe on storage but not yet in the catalog",
        "run again, or `lsst-trf register LOCATION`",
    )
    REGISTRATION_CONFLICT = (
        81,
        Remedy.NEVER,
        "the catalog knows another file under the same name",
        "compare size and checksum in the message",
    )
    INCONSISTENT = (
        83,
        Remedy.NEVER,
        "storage, catalog and manifests do not agree",
        "`lsst-trf register` for what is unregistered, run the job again for what is lost; see `lsst-trf reconcile`",
    )
    # -- the job as a whole
    PARTIAL = (
        90,
        Remedy.ELSEWHERE,
        "some units are done, the rest can be tried again",
        "run again: only what is missing is made",
    )
    PARTIAL_MORE_RESOURCES = (
        91,
        Remedy.MORE_RESOURCES,
        "some units are done, the rest needs more resources",
        "run again with the resources that the report names",
    )
    PARTIAL_FINAL = (
        92,
        Remedy.NEVER,
        "some units are done, the rest cannot succeed as requested",
        "read the report: it names each unit and cause",
    )
    INTERNAL_ERROR = (99, Remedy.ELSEWHERE, "a bug in lsst-trf", "report it with the traceback in the journal")

    @property
    def lies_in_the_request(self) -> bool:
        """True where the same request fails the same way on every worker: word of it is left beside the images."""
        return self in {Failure.SED_MISSING, Failure.TOO_MANY_OBJECTS}

    @property
    def needs_a_person(self) -> bool:
        """True where no retry of any kind can help."""
        return self.remedy is Remedy.NEVER


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """An expected failure, as a value."""

    failure: Failure
    detail: str
    """One sentence for a person: what, where."""

    def __str__(self) -> str:
        return f"{self.detail} ({self.failure.action})"


class JobError(Exception):
    """Carries a `Failed` from where it was met to the stage that turns it into a result."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failed = Failed(failure=failure, detail=detail)


def job_failure(failures: Sequence[Failure], *, n_done: int) -> Failure | None:
    """The row that speaks for the whole job; None if nothing failed.

    `failures` holds one row per failed unit, `n_done` counts committed and empty units. The remedy that can still help
    wins: more resources before elsewhere (a job with more memory also gets another worker), NEVER only if every failed
    unit is NEVER. A HERE failure that used up its attempts counts as ELSEWHERE.
    """
    if not failures:
        return None
    for whole_job in (Failure.TERMINATED, Failure.DEADLINE):
        if whole_job in failures:
            return whole_job
    remedy = max((effective_remedy(failure) for failure in failures), key=_HOPE.index)
    if n_done:
        return _PARTIAL[remedy]
    ranked = Counter(failure for failure in failures if effective_remedy(failure) is remedy)
    return ranked.most_common(1)[0][0]


def effective_remedy(failure: Failure) -> Remedy:
    """The remedy of a failure that is final within its job."""
    return Remedy.ELSEWHERE if failure.remedy is Remedy.HERE else failure.remedy


_HOPE = (Remedy.NEVER, Remedy.ELSEWHERE, Remedy.MORE_RESOURCES)
_PARTIAL = {
    Remedy.ELSEWHERE: Failure.PARTIAL,
    Remedy.MORE_RESOURCES: Failure.PARTIAL_MORE_RESOURCES,
    Remedy.NEVER: Failure.PARTIAL_FINAL,
}
