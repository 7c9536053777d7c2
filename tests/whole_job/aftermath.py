"""What must hold after every job, however it ended: checked each time a test runs one."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Document = dict[str, Any]

_CODES_OF_OTHERS = {1, 2, 3, 126, 127, 137, 143, 160, 161, 162, 251, 255}
_LONGEST_DIAGNOSIS = 256
_FILTER_LETTERS = "ugrizy"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A job that is over."""

    exit_code: int
    stdout: str
    stderr: str
    workdir: Path
    store: Path

    @cached_property
    def report(self) -> Document:
        """`jobReport.json`."""
        document: Document = json.loads((self.workdir / "jobReport.json").read_text())
        return document

    @cached_property
    def journal(self) -> list[Document]:
        """All events of the work folder, earlier runs included."""
        return [json.loads(line) for line in (self.workdir / "journal.jsonl").read_text().splitlines()]

    @property
    def units(self) -> dict[str, Document]:
        """The report's units by sensor and exposure, e.g. `R22_S11-E000`; by whole id if there are several visits."""
        units = self.report["units"]
        several = len({unit["visit"] for unit in units}) > 1
        return {unit["id"] if several else unit["id"].partition("-")[2]: unit for unit in units}

    @property
    def states(self) -> dict[str, str]:
        """State of each unit."""
        return {name: unit["state"] for name, unit in self.units.items()}

    def outcomes(self, unit: str = "R22_S11-E000") -> list[str]:
        """How each attempt at a unit ended in this run."""
        return [attempt["outcome"] for attempt in self.units[unit]["attempts"]]

    @property
    def manifests(self) -> dict[str, Document]:
        """All manifests of the store, by unit id."""
        return {path.stem: json.loads(path.read_text()) for path in self.store.rglob(".units/[!.]*.json")}

    @property
    def images(self) -> list[str]:
        """Names of all images in the store."""
        return sorted(path.name for path in self.store.rglob("*.fits.gz"))

    @property
    def processes_started(self) -> int:
        """Simulator processes of this run that worked on units."""
        return sum(len(unit["attempts"]) for unit in self.report["units"])


def check_aftermath(outcome: Outcome, *, may_leave_processes: bool = False) -> Outcome:
    """Everything that is true after every job that was not killed."""
    check_words(outcome)
    check_reports(outcome)
    check_journal(outcome)
    assert not (outcome.workdir / "scratch").exists()
    assert may_leave_processes or processes_in(outcome.workdir) == []
    check_store(outcome.store)
    check_units(outcome)
    return outcome


def check_words(outcome: Outcome) -> None:
    """Code and last words: one ERROR line at the end of stderr if and only if the job failed."""
    assert outcome.exit_code >= 0, f"died of signal {-outcome.exit_code}: {outcome.stderr}"
    assert outcome.exit_code not in _CODES_OF_OTHERS, outcome.stderr
    assert "Traceback" not in outcome.stdout + outcome.stderr, outcome.stderr
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == (1 if outcome.exit_code else 0), outcome.stderr
    if errors:
        assert outcome.stderr.endswith(f"{errors[0]}\n")


def check_reports(outcome: Outcome) -> None:
    """Report, error report, process and stderr tell the same story."""
    report = outcome.report
    assert report["exitCode"] == outcome.exit_code, (report["exitAcronym"], outcome.stderr)
    assert report["ended"] >= report["started"]
    error_report = outcome.workdir / "payload_error_report.json"
    if outcome.exit_code == 0:
        assert (report["exitAcronym"], report["state"]) == ("OK", "done")
        assert not error_report.exists()
        return
    assert report["state"] in {"partial", "failed", "terminated"}
    assert json.loads(error_report.read_text()) == {
        "error_code": outcome.exit_code,
        "error_diag": report["exitMsg"],
    }
    assert len(report["exitMsg"]) <= _LONGEST_DIAGNOSIS
    assert report["exitMsg"].startswith(report["exitAcronym"])
    assert outcome.stderr.splitlines()[-1].startswith(f"ERROR: {report['exitAcronym']}: ")


def check_journal(outcome: Outcome) -> None:
    """Every line is an event, and the last one says how the job ended."""
    for event in outcome.journal:
        assert {"t", "run", "event"} <= event.keys()
    last = outcome.journal[-1]
    assert (last["event"], last["exitCode"]) == ("job_end", outcome.exit_code)


def check_units(outcome: Outcome) -> None:
    """The report's units are as the store has them, and what is missing is what is not done."""
    manifests = outcome.manifests
    for unit in outcome.report["units"]:
        if unit["state"] not in {"committed", "empty"}:
            assert unit["files"] == []
            continue
        manifest = manifests[unit["id"]]
        assert unit["state"] == manifest["state"]
        assert [(file["name"], file["size"], file["adler32"]) for file in unit["files"]] == [
            (file["name"], file["size_bytes"], file["adler32"]) for file in manifest["files"]
        ]
        assert all(Path(file["url"]).is_file() for file in unit["files"])
    undone = [unit["id"] for unit in outcome.report["units"] if unit["state"] not in {"committed", "empty"}]
    assert outcome.report["missing"] == undone
    if outcome.report["units"]:
        assert bool(undone) == (outcome.exit_code != 0)


def check_store(store: Path) -> None:
    """Every file that a manifest names is there, byte for byte; nothing else is; the catalog knows just these."""
    if not store.exists():
        return
    expected = {store / "catalog.sqlite"}
    records = {}
    for path in store.rglob(".units/[!.]*.json"):
        manifest = json.loads(path.read_text())
        expected.add(path)
        if path.name.endswith(".failed.json"):
            continue
        folder = path.parent.parent
        for file in manifest["files"]:
            image = folder / file["name"]
            content = image.read_bytes()
            assert (len(content), f"{zlib.adler32(content):08x}") == (file["size_bytes"], file["adler32"]), image
            expected.add(image)
            job = f"{folder.parent.name}/{folder.name}"
            records[f"{job}/{file['name']}"] = (
                *(job, str(image), file["size_bytes"], file["adler32"]),
                *(manifest["visit"], manifest["sensor"], file.get("amplifier"), manifest["exposure"]),
                *(_FILTER_LETTERS[manifest["filter"]], folder.parent.name, folder.parent.parent.name),
            )
        content = path.read_bytes()
        job = f"{folder.parent.name}/{folder.name}"
        records[f"{job}/.units/{path.name}"] = (
            *(job, str(path), len(content), f"{zlib.adler32(content):08x}"),
            *(manifest["visit"], manifest["sensor"], None, manifest["exposure"]),
            *(_FILTER_LETTERS[manifest["filter"]], folder.parent.name, folder.parent.parent.name),
        )
    found = {path for path in store.rglob("*") if not path.is_dir()}
    assert found - expected == set()
    assert expected - found <= {store / "catalog.sqlite"}
    assert registered(store) == records


def registered(store: Path) -> dict[str, tuple[object, ...]]:
    """What the catalog of a store knows, by name."""
    path = store / "catalog.sqlite"
    if not path.exists():
        return {}
    query = (
        "SELECT file.name, dataset.name, url, size_bytes, adler32, visit, sensor, amplifier, exposure, filter, job,"
        ' "user" FROM file JOIN dataset ON dataset.id = file.dataset'
    )
    with closing(sqlite3.connect(path)) as connection:
        return {row[0]: tuple(row[1:]) for row in connection.execute(query)}


def processes_in(folder: Path) -> list[int]:
    """Processes, zombies apart, that have the folder in their command line or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            place = (process / "cwd").readlink()
            if words and (str(folder).encode() in words or place.is_relative_to(folder)):
                found.append(int(process.name))
    return found
