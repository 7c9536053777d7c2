"""The name of every path that the job makes on the worker; nothing outside these folders is touched."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from transformation.instance_catalog import OBJECTS_NAME
from transformation.journal import Journal, open_plain
from transformation.model.failures import Failed, Failure, JobError
from transformation.model.work import Batch, Unit
from transformation.scratch_folders import keep_folder, make_folder, remove_folder

_PLAIN = re.compile(r"[\w/.,:=@%+-]+")
"""PhoSim's driver builds shell commands from its folders' names, unquoted (`phosim.py` 3.4 and 5)."""


class WorkDir(msgspec.Struct, frozen=True, kw_only=True):
    """The work folder, and the scratch folder that may stand elsewhere."""

    root: Path
    scratch: Path

    @property
    def report(self) -> Path:
        """The job report (name: contract with PanDA's report readers)."""
        return self.root / "jobReport.json"

    @property
    def error_report(self) -> Path:
        """Read by pilot 3 before anything else (`control/payload.py`)."""
        return self.root / "payload_error_report.json"

    @property
    def journal(self) -> Path:
        """The diary."""
        return self.root / "journal.jsonl"

    @property
    def room(self) -> Path:
        """Takes up the room that the last reports will need, should somebody else fill the disk."""
        return self.root / ".room"

    @property
    def progress(self) -> Path:
        """How far the job is; its time says when a simulator last moved."""
        return self.root / "progress.json"

    @property
    def memory_summary(self) -> Path:
        """Memory and I/O of the job in prmon's format (name: contract with PanDA's pilots)."""
        return self.root / "memory_monitor_summary.json"

    @property
    def logs(self) -> Path:
        """What simulator and helpers printed."""
        return self.root / "logs"

    @property
    def shim(self) -> Path:
        """Holds the `condor_submit_dag` that PhoSim's grid mode calls."""
        return self.scratch / "shim"

    @property
    def inputs(self) -> Path:
        """Fetched catalogs and command files."""
        return self.scratch / "inputs"

    def visit(self, index: int) -> VisitDir:
        """Folders of the visit with that place in the request."""
        return VisitDir(root=self.scratch / f"visit-{index}", logs=self.logs)

    def prepare(self) -> None:
        """Make the folders; what a killed run left in scratch goes. Raises `JobError` WORKDIR_UNUSABLE or
        DISK_FULL."""
        if not _PLAIN.fullmatch(str(self.scratch)):
            detail = f"{self.scratch}: simulators take no blank, quote or other sign of a shell in their folder's path"
            raise JobError(Failure.WORKDIR_UNUSABLE, detail)
        try:
            if self.scratch_is_inside:
                _remove(self.scratch)
            for folder in (self.logs, self.shim, self.inputs):
                folder.mkdir(parents=True, exist_ok=True)
            shim = self.shim / "condor_submit_dag"
            shim.write_text("#!/bin/sh\n# PhoSim's grid mode submits here; lsst-trf runs the jobs itself.\nexit 0\n")
            shim.chmod(0o755)
        except OSError as error:
            # An error while writing names no file.
            raise JobError(_failure_of(error), f"{error.filename or self.scratch}: {error.strerror}") from None

    def open_journal(self, run: str) -> Journal:
        """The diary, to be written on. Raises `JobError` WORKDIR_UNUSABLE or DISK_FULL."""
        try:
            return Journal(self.journal, run)
        except OSError as error:
            raise JobError(_failure_of(error), f"{self.journal}: {error.strerror}") from None

    @property
    def scratch_is_inside(self) -> bool:
        """False where the site names a disk for it."""
        return self.scratch.is_relative_to(self.root)

    def clear(self) -> None:
        """Remove scratch."""
        if self.scratch_is_inside:
            _remove(self.scratch)
        else:
            remove_folder(self.scratch)

    def explain(self, error: Exception) -> Failed | None:
        """What is wrong with the folders, if that is behind an error that nobody expected."""
        if isinstance(error, OSError) and _failure_of(error) is Failure.DISK_FULL:
            return Failed(failure=Failure.DISK_FULL, detail=f"{self.root}: {error.strerror}")
        if isinstance(error, FileNotFoundError) and Path(str(error.filename)).is_relative_to(self.scratch):
            detail = f"{error.filename} was removed while the job was at work"
            return Failed(failure=Failure.WORKDIR_UNUSABLE, detail=detail)
        return None

    def keep(self) -> None:
        """Leave scratch for somebody to look at."""
        if not self.scratch_is_inside:
            keep_folder(self.scratch)


class VisitDir(msgspec.Struct, frozen=True, kw_only=True):
    """Folders of one visit."""

    root: Path
    logs: Path

    @property
    def catalog(self) -> Path:
        """The header file we write for the simulator; it includes `objects`."""
        return self.root / "visit.txt"

    @property
    def objects(self) -> Path:
        """All object lines of the visit; the name holds no word that PhoSim's driver takes for a header's."""
        return self.root / OBJECTS_NAME

    @property
    def seds(self) -> Path:
        """The SEDs of release and job in one tree; there only if the job brings any."""
        return self.root / "data" / "SEDs"

    @property
    def commands(self) -> Path:
        """The merged physics commands."""
        return self.root / "commands.txt"

    @property
    def work(self) -> Path:
        """PhoSim's work folder."""
        return self.root / "work"

    @property
    def output(self) -> Path:
        """PhoSim's output folder, which must exist."""
        return self.root / "output"

    def attempt(self, what: Unit | Batch, number: int) -> Path:
        """Fresh folder of one attempt at a unit, or at several in one run."""
        return self.root / "units" / what.id / f"attempt-{number}"

    def unit(self, unit: Unit) -> Path:
        """Holds all attempts at a unit."""
        return self.root / "units" / unit.id

    def set_up_log(self, name: str, attempt: int) -> Path:
        """Log of a visit-level step, without ending."""
        return self._log(self.logs / self.root.name / f"{name}-{attempt}")

    def unit_log(self, what: Unit | Batch, name: str, attempt: int) -> Path:
        """Log of a unit's step, without ending."""
        return self._log(self.logs / what.id / f"attempt-{attempt}" / name)

    def _log(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def open_workdir(root: Path, scratch: Path | None) -> tuple[WorkDir, int]:
    """The work folder, made if need be, and the lock that keeps other jobs out of it for as long as it is open.

    Raises `JobError` WORKDIR_UNUSABLE, DISK_FULL or WORKDIR_BUSY.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = open_plain(root / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise JobError(_failure_of(error), f"{root}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise JobError(Failure.WORKDIR_BUSY, f"{root} is in use by another lsst-trf") from None
    except OSError:
        # Some network file systems cannot lock; the pilot gives each job its own folder anyway.
        pass
    try:
        own = root.absolute() / "scratch" if scratch is None else make_folder(scratch)
    except OSError as error:
        raise JobError(_failure_of(error), f"worker.scratch of the site: {scratch}: {error.strerror}") from None
    return WorkDir(root=root.absolute(), scratch=own), lock


def _remove(folder: Path) -> None:
    """A folder with all that is in it; a link or a pipe in its place goes itself."""
    with suppress(OSError):
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _failure_of(error: OSError) -> Failure:
    return Failure.DISK_FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else Failure.WORKDIR_UNUSABLE


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a reader finds the old or the new text, never half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # it may be a link that leads elsewhere
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
