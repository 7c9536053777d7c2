"""`jobReport.json`: what PanDA, the user and a later attempt read (contract: fixed keys may not change)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class AttemptReport(msgspec.Struct, kw_only=True):
    """One try at a unit in this run."""

    number: int
    """Counts from 1."""
    outcome: str
    """`good`, or the acronym of the failure."""
    detail: str = ""
    correction: str = ""
    """What was done differently because of what came before, comma-separated: `again` (a fresh folder, nothing else),
    `alone` (with no other simulator process beside it), `from-checkpoint`. Empty for a first attempt from the start."""
    log: str = ""
    """Folder with the simulator's output, below the work folder."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0


class FileReport(msgspec.Struct, kw_only=True):
    """One image at its destination."""

    name: str
    role: str
    """`electron_image`, `amplifier_image`, `centroids` or `throughput`."""
    size: int
    """Bytes."""
    adler32: str
    url: str


class TransferReport(msgspec.Struct, kw_only=True):
    """One try to send one image."""

    name: str
    """Final name of the image."""
    url: str
    """Where it was sent, under a name of this attempt only."""
    number: int
    """Counts the tries at this image in this run from 1."""
    outcome: str
    """`good`: the far end holds what was sent; else the acronym of the failure."""
    detail: str = ""
    size: int = 0
    """Bytes."""
    wall_s: float = 0.0
    """Until the far end was asked for size and checksum."""
    bytes_per_s: float = 0.0


class UnitPredictedReport(msgspec.Struct, kw_only=True):
    """What a unit was expected to cost before it started; ranges are low, mid, high."""

    cpu_s: tuple[float, float, float]
    """CPU seconds of one attempt; all 0 for a sensor with too few objects to be simulated."""
    memory_bytes: int
    """Peak of its largest process."""
    scratch_bytes: int
    output_bytes: int
    terms: dict[str, float] = {}
    """What the cost model counted; `docs/how-to/refit-the-prediction.md` uses it."""


class JobPredictedReport(msgspec.Struct, kw_only=True):
    """What the units of this run were expected to cost together; ranges are low, mid, high."""

    model: str
    """Cost model: `phosim-3` or `quicksim`."""
    core_speed: float
    """What the site file says of its cores."""
    units_at_once: int
    cpu_s: tuple[float, float, float]
    """Set-up of visits included."""
    set_up_cpu_s: tuple[float, float, float]
    wall_s: tuple[float, float, float]
    """With so many units at once, the longest first."""
    memory_bytes: int
    """Of all units that run at once."""
    scratch_bytes: int
    """Likewise."""
    output_bytes: int


class UnitReport(msgspec.Struct, kw_only=True):
    """One sensor in one exposure."""

    id: str
    """`v<visit>-<sensor>-E<exposure>`."""
    visit: str
    sensor: str
    """PhoSim name, e.g. `R22_S11`."""
    exposure: int
    """Number of the snap, from 0."""
    state: Literal["planned", "running", "committed", "empty", "failed"] = "planned"
    attempts: list[AttemptReport] = []
    """Only those of this run."""
    made_in_this_run: bool = False
    """False for a unit that an earlier attempt, or one running beside us, has committed."""
    registered: bool = False
    """Whether it stands in the catalog of images."""
    failure: str | None = None
    """Acronym of the failure that ended the unit."""
    detail: str = ""
    progress: float | None = None
    """Of a running unit: part of its photons that raytrace has done, 0 to 1."""
    eta_s: float | None = None
    """Of a running unit: CPU-seconds left to its raytrace."""
    notes: list[str] = []
    """What the judge found odd about a good unit."""
    wall_s: float = 0.0
    """All attempts of this run."""
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    files: list[FileReport] = []
    transfers: list[TransferReport] = []
    """Every try of this run to send one of its images."""
    kept: str = ""
    """Folder below the work folder with judged images that could not be stored; a run in the same work folder sends
    them."""
    predicted: UnitPredictedReport | None = None
    """None for a unit that was done before this run, or that failed before it could be looked at."""


class ResourceReport(msgspec.Struct, kw_only=True):
    """Totals of this run."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of all simulator processes."""
    max_rss_bytes: int = 0
    """Largest of all simulator processes."""
    wrapper_cpu_s: float = 0.0
    """Of `lsst-trf` itself."""
    wrapper_max_rss_bytes: int = 0
    output_bytes: int = 0
    """Of all files that this run committed."""
    cores: int = 0
    """What the job was allowed to use."""
    memory_bytes: int = 0
    """Likewise."""
    job_memory_bytes: int = 0
    """Most that all processes of the job, `lsst-trf` included, had together when they were looked at."""
    units_at_once: int = 0
    """How many simulator processes ran at once, at most."""
    simulator_processes: int = 0
    """How many simulator processes this run started."""


class ProgressReport(msgspec.Struct, kw_only=True, frozen=True):
    """How far the whole job is; also what `progress.json` holds."""

    progress: float | None = None
    """Part done of the CPU time expected, 0 to 1."""
    eta_s: float | None = None
    """Wall seconds left, as far as can be told."""
    renewed: str = ""
    """UTC, ISO 8601."""


class ReleaseReport(msgspec.Struct, kw_only=True):
    """Which simulator made the images."""

    name: str = ""
    root: str = ""
    """Folder of the release."""
    manifest_sha256: str = ""
    """Checksum of its list of files."""


class DestinationReport(msgspec.Struct, kw_only=True):
    """One of the ordered destinations of a request."""

    url: str
    """Folder of all users' jobs; without what may be a credential."""
    tried: bool = False
    """Whether it was asked for anything."""
    used: bool = False
    """Whether units of this request stand there."""
    n_units: int = 0
    """How many."""
    failure: str | None = None
    """Acronym of the last failure for which it was left for the next one."""
    detail: str = ""
    """Likewise, in one sentence."""
    n_failures: int = 0
    """How often it was left."""
    free_bytes: int | None = None
    """Room for new files at the start, where the storage tells."""
    credential: str = ""
    """What this job shows it, and how long that is good: never the credential itself."""


class VisitReport(msgspec.Struct, kw_only=True):
    """One visit of the request."""

    visit: str
    dataset: str
    """In the catalog of images."""
    place: str
    """Folder of its images at the first destination that is used."""
    digest: str
    """Of the request as far as it decides pixels; equal digests, equal images."""
    request: dict[str, object] = {}
    """What the digest was made from."""
    defaults_used: dict[str, str] = {}
    """Header keys that the catalog lacks, with the value that the release gives them."""


class JobReport(msgspec.Struct, kw_only=True):
    """The whole job; written at the start, while it runs, and at the end in every case."""

    schema_version: int = 1
    """Of this document."""
    exit_code: int = msgspec.field(name="exitCode")
    """This and the next two are named as in ATLAS job reports, which PanDA's tools know."""
    exit_acronym: str = msgspec.field(name="exitAcronym")
    """Name of the row of the exit-code table."""
    exit_msg: str = msgspec.field(name="exitMsg")
    """One sentence: what happened, where, what to do."""
    dossier: str = ""
    """One paragraph for a person: what failed and why, what was tried, what is safe and where, what to do next; empty
    while the job runs."""
    spec: dict[str, Any] = {}
    """The job spec, as `lsst-trf reproduce` needs it."""
    spec_folder: str = ""
    """What relative locations in it are relative to."""
    state: Literal["running", "done", "partial", "failed", "terminated"] = "running"
    """`partial`: some units are done, not all; `terminated`: it was told to stop."""
    name: str = ""
    """From the job spec, as the next three."""
    user: str = ""
    task: str = ""
    comment: str = ""
    site: str = ""
    """Where it ran."""
    run: str = ""
    """Identifies this start of `lsst-trf` in the journal."""
    reconstructed: bool = False
    """True if the job was killed, and this was put together afterwards from the journal (`pilot_hooks`)."""
    panda: dict[str, str] = {}
    """PanDA's ids, where the pilot tells them."""
    attempt: int | None = None
    """PIPELINE_EXECUTIONNUMBER, where given."""
    started: str = ""
    """UTC, ISO 8601."""
    ended: str = ""
    """Likewise; empty while it runs."""
    host: str = ""
    """Name of the worker."""
    version: str = ""
    """Of `lsst-trf`."""
    release: ReleaseReport = msgspec.field(default_factory=ReleaseReport)
    catalog: str = ""
    """Where images of the first destination that is used are registered."""
    destinations: list[DestinationReport] = []
    """In the order of the request; each file's `url` says at which of them it is."""
    visits: list[VisitReport] = []
    units: list[UnitReport] = []
    progress: float | None = None
    """Part done of the CPU time expected of this run, 0 to 1, while it runs."""
    eta_s: float | None = None
    """Wall seconds left, while it runs."""
    predicted: JobPredictedReport | None = None
    """None if nothing was left to be made."""
    missing: list[str] = []
    """Ids of units that are neither committed nor empty."""
    warnings: list[str] = []
    """What was odd about the inputs."""
    resource: ResourceReport = msgspec.field(default_factory=ResourceReport)


class PayloadErrorReport(msgspec.Struct, kw_only=True):
    """`payload_error_report.json`, which pilot 3 turns into PanDA's exeErrorCode and exeErrorDiag."""

    error_code: int
    """The exit code."""
    error_diag: str
    """One sentence, cut to what PanDA keeps."""
