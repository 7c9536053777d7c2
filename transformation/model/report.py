"""`jobReport.json`: what PanDA, the user and a later attempt read (contract: fixed keys may not change)."""

from __future__ import annotations

from typing import Literal

import msgspec


class AttemptReport(msgspec.Struct, kw_only=True):
    """One try at a unit in this run."""

    number: int
    outcome: str
    """`good`, or the acronym of the failure."""
    detail: str = ""
    log: str = ""
    """Folder with the simulator's output, below the work folder."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0


class FileReport(msgspec.Struct, kw_only=True):
    """One image at its destination."""

    name: str
    role: str
    size: int
    adler32: str
    url: str


class UnitReport(msgspec.Struct, kw_only=True):
    """One sensor in one exposure."""

    id: str
    visit: str
    sensor: str
    exposure: int
    state: Literal["planned", "running", "committed", "empty", "failed"] = "planned"
    attempts: list[AttemptReport] = []
    """Only those of this run."""
    made_in_this_run: bool = False
    """False for a unit that an earlier attempt, or one running beside us, has committed."""
    registered: bool = False
    failure: str | None = None
    """Acronym of the failure that ended the unit."""
    detail: str = ""
    notes: list[str] = []
    wall_s: float = 0.0
    """All attempts of this run."""
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    files: list[FileReport] = []


class ResourceReport(msgspec.Struct, kw_only=True):
    """Totals of this run."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of all simulator processes."""
    max_rss_bytes: int = 0
    """Largest of all simulator processes."""
    wrapper_cpu_s: float = 0.0
    wrapper_max_rss_bytes: int = 0
    output_bytes: int = 0
    cores: int = 0
    memory_bytes: int = 0
    units_at_once: int = 0
    simulator_processes: int = 0


class ReleaseReport(msgspec.Struct, kw_only=True):
    """Which simulator made the images."""

    name: str = ""
    root: str = ""
    manifest_sha256: str = ""


class VisitReport(msgspec.Struct, kw_only=True):
    """One visit of the request."""

    visit: str
    dataset: str
    place: str
    """Folder of its images."""
    digest: str
    """Of the request as far as it decides pixels; equal digests, equal images."""
    request: dict[str, object] = {}
    defaults_used: dict[str, str] = {}


class JobReport(msgspec.Struct, kw_only=True):
    """The whole job; written at the start, while it runs, and at the end in every case."""

    schema_version: int = 1
    exit_code: int = msgspec.field(name="exitCode")
    """This and the next two are named as in ATLAS job reports, which PanDA's tools know."""
    exit_acronym: str = msgspec.field(name="exitAcronym")
    exit_msg: str = msgspec.field(name="exitMsg")
    state: Literal["running", "done", "partial", "failed", "terminated"] = "running"
    name: str = ""
    user: str = ""
    task: str = ""
    comment: str = ""
    site: str = ""
    run: str = ""
    panda: dict[str, str] = {}
    """PanDA's ids, where the pilot tells them."""
    attempt: int | None = None
    """PIPELINE_EXECUTIONNUMBER, where given."""
    started: str = ""
    ended: str = ""
    host: str = ""
    version: str = ""
    release: ReleaseReport = msgspec.field(default_factory=ReleaseReport)
    catalog: str = ""
    """Where images are registered."""
    visits: list[VisitReport] = []
    units: list[UnitReport] = []
    missing: list[str] = []
    """Ids of units that are neither committed nor empty."""
    warnings: list[str] = []
    resource: ResourceReport = msgspec.field(default_factory=ResourceReport)


class PayloadErrorReport(msgspec.Struct, kw_only=True):
    """`payload_error_report.json`, which pilot 3 turns into PanDA's exeErrorCode and exeErrorDiag."""

    error_code: int
    error_diag: str
