"""`lsst-trf reproduce REPORT`: make a unit again from what the report recorded, and compare it with what is stored.

The unit is made by a `lsst-trf run` of its own in a scratch folder: nothing of the job's destination is touched.
"""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from transformation.job import Job
from transformation.locations import LocationInvalid, resolve, without_redacted
from transformation.model import documents
from transformation.model.failures import Failure, JobError
from transformation.model.report import FileReport, JobReport, UnitReport, VisitReport
from transformation.model.spec import JobSpec
from transformation.model.strict import DocumentInvalid, convert
from transformation.ports import StorageError
from transformation.process import Command, Processes, StartFailed
from transformation.request import load_request
from transformation.resources import Share
from transformation.run_job import make_plan
from transformation.same_pixels import first_difference
from transformation.wiring import Manner, open_site, storage_for
from transformation.workdir import WorkDir

_SITE = "local"
"""Stores and registers below the scratch folder only."""


class _Again(msgspec.Struct, frozen=True, kw_only=True):
    """A unit to be made again."""

    report: JobReport
    visit: VisitReport
    unit: UnitReport
    folder: Path
    """Scratch."""

    @property
    def job_file(self) -> Path:
        return self.folder / "job.json"

    @property
    def workdir(self) -> Path:
        return self.folder / "work"


def reproduce(parsed: Namespace) -> int:
    """Run the command; 0 if every file is the same. Raises `JobError`: NOT_REPRODUCED if one differs."""
    report = _read_report(Path(parsed.report))
    unit = _choose(report, parsed.unit)
    visit = next((visit for visit in report.visits if visit.visit == unit.visit), None)
    if visit is None:
        raise JobError(Failure.SPEC_INVALID, f"{parsed.report} does not say what visit {unit.visit} was made from")
    with tempfile.TemporaryDirectory(prefix="lsst-trf-reproduce-", ignore_cleanup_errors=True) as folder:
        again = _Again(report=report, visit=visit, unit=unit, folder=Path(parsed.workdir or folder).absolute())
        try:
            again.folder.mkdir(parents=True, exist_ok=True)
            again.job_file.write_bytes(msgspec.json.encode(_spec_of(again)))
        except OSError as error:
            raise JobError(Failure.WORKDIR_UNUSABLE, f"{again.folder}: {error.strerror}") from None
        os.environ.setdefault("IOD_RELEASES", str(Path(report.release.root).parent))
        _check_inputs(again)
        print(f"{unit.id}: simulating again", flush=True)
        _run(again)
        _compare(again)
    print(f"{unit.id}: {len(unit.files)} files, all the same")
    return 0


def _read_report(path: Path) -> JobReport:
    try:
        report = documents.decode(path.read_bytes(), JobReport)
    except OSError as error:
        raise JobError(Failure.SPEC_MISSING, f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JobError(Failure.SPEC_INVALID, f"{path} is no job report: {error}") from None
    if not report.spec:
        raise JobError(Failure.SPEC_INVALID, f"{path} does not hold the job spec; an older version wrote it")
    try:
        convert(report.spec, JobSpec)
    except DocumentInvalid as error:
        raise JobError(Failure.SPEC_INVALID, f"{path}: in its spec {error}") from None
    return report


def _choose(report: JobReport, unit_id: str | None) -> UnitReport:
    """The unit of that id, by default the first; it must have images."""
    committed = {unit.id: unit for unit in report.units if unit.state == "committed"}
    if not committed:
        raise JobError(Failure.USAGE, "no unit is committed in this report")
    if unit_id is None:
        return next(iter(committed.values()))
    if unit_id not in committed:
        known = ", ".join(list(committed)[:5])
        raise JobError(Failure.USAGE, f"--unit: {unit_id} is not committed in this report; there: {known}")
    return committed[unit_id]


def _spec_of(again: _Again) -> dict[str, Any]:
    """The request for this unit alone."""
    spec = dict(again.report.spec)
    place = [visit.visit for visit in again.report.visits].index(again.unit.visit)
    item = dict(spec.pop("visits")[place]) if spec.get("visits") else {"catalogs": spec.pop("catalogs")}
    spec.pop("catalogs", None)
    item["catalogs"] = [_absolute(entry, again.report.spec_folder) for entry in item["catalogs"]]
    commands = item.get("commands")
    item["commands"] = [
        _absolute(entry, again.report.spec_folder)
        for entry in (spec.get("commands", []) if commands is None else commands)
    ]
    options = {**spec.get("options", {}), "checkpoints": 0}
    if options.get("seds"):
        options["seds"] = _absolute(options["seds"], again.report.spec_folder)
    return {
        **spec, "visits": [item], "commands": [], "sensors": again.unit.sensor, "exposures": [again.unit.exposure],
        "options": options, "output": {"base": str(again.folder / "store")}, "release": again.report.release.name,
    }  # fmt: skip


def _absolute(entry: Any, folder: str) -> Any:
    """A location of the spec that no longer depends on where the spec is.

    What the report leaves out of locations, because it may be a credential, is missed here: a query is tried without.
    """
    if isinstance(entry, Mapping):
        return {**entry, "url": _absolute(entry["url"], folder)} if "url" in entry else entry
    if "$" in entry:
        return entry
    try:
        return without_redacted(resolve(entry, folder))
    except LocationInvalid as error:
        raise JobError(Failure.SPEC_INVALID, f"the report's spec: {error}") from None


def _check_inputs(again: _Again) -> None:
    """Refuse before any CPU is spent if catalogs, commands, seed or release are not what they were."""
    root = again.folder / "check"
    workdir = WorkDir(root=root, scratch=root)
    workdir.inputs.mkdir(parents=True, exist_ok=True)
    job = Job(
        request=load_request(str(again.job_file), None), site=open_site(_SITE), workdir=workdir, processes=Processes(),
        share=Share(cores=1, memory_bytes=0, cores_from="", memory_from=""),
    )  # fmt: skip
    (staged,) = make_plan(job, write_inputs=False).visits
    changed = [key for key, value in again.visit.request.items() if staged.identity.get(key) != value]
    if changed:
        detail = f"{again.unit.id}: {', '.join(changed)} of the request changed since the report was written"
        raise JobError(Failure.REQUEST_CONFLICT, detail)


def _run(again: _Again) -> None:
    argv = (sys.executable, "-m", "transformation", "run", "--job", str(again.job_file), "--site", _SITE)
    log = again.folder / "run"
    processes = Processes()
    try:
        finished = processes.run(
            Command(
                argv=(*argv, "--workdir", str(again.workdir)),
                folder=again.folder,
                stdout=log.with_suffix(".out"),
                stderr=log.with_suffix(".err"),
                environment={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            )
        )
    except StartFailed as error:
        raise JobError(Failure.INTERNAL_ERROR, str(error)) from None
    finally:
        processes.stop()
        processes.close()
    if not finished.good:
        words = log.with_suffix(".err").read_text(errors="replace").strip().splitlines()
        raise JobError(Failure.SIMULATOR_CRASHED, f"{again.unit.id}: {finished}: {words[-1] if words else ''}")


def _compare(again: _Again) -> None:
    made = {path.name: path for path in (again.folder / "store").rglob("*") if path.is_file()}
    different = []
    for file in again.unit.files:
        problem = first_difference(made[file.name], _fetch(again, file)) if file.name in made else "was not made again"
        if problem is not None:
            different.append(f"{file.name}: {problem}")
            print(f"{again.unit.id}: {different[-1]}", flush=True)
    if different:
        detail = f"{again.unit.id}: {len(different)} of {len(again.unit.files)} files differ; {different[0]}"
        raise JobError(Failure.NOT_REPRODUCED, detail)


def _fetch(again: _Again, file: FileReport) -> Path:
    """A copy of the stored file."""
    copy = again.folder / "stored" / file.name
    copy.parent.mkdir(exist_ok=True)
    copy.unlink(missing_ok=True)
    storage = storage_for(file.url, Manner(logs=again.folder))
    try:
        storage.get(file.url, copy)
    except StorageError as error:
        raise JobError(error.failure, f"{again.unit.id}: {error.detail}") from None
    finally:
        storage.close()
    return copy
