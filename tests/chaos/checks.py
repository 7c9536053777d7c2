"""What must hold after each attempt and after the last, looked at from outside: files, database, pixels, codes."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.faults import Fault
from tests.chaos.services import pixels
from tests.chaos.world import JOB, Attempt, World
from transformation.journal import read_journal
from transformation.model.failures import Failure, Remedy

_DONE = frozenset({"committed", "empty"})
_ALWAYS = frozenset({"OK", "PARTIAL"})
_GONE_S = 10.0


@dataclass(slots=True)
class Findings:
    """What is wrong, in words."""

    lost: list[str] = field(default_factory=list)
    """Images lost, wrong, doubled, made in vain, or registered wrongly; rubbish left."""
    wrong: list[str] = field(default_factory=list)
    """Codes, reports and remedies that do not tell the truth."""
    unbounded: list[str] = field(default_factory=list)
    """Attempts, or processes of theirs, that do not end."""


def _had_begun(attempt: Attempt) -> bool:
    """Whether `lsst-trf` had read its request."""
    journal = attempt.workdir / "journal.jsonl"
    return journal.exists() and any(event.get("pid") == attempt.process.pid for event in read_journal(journal))


def check_attempt(
    world: World, attempt: Attempt, faults: Sequence[Fault], findings: Findings, *, killed: bool, n_starts: int,
    committed: set[str],
) -> None:  # fmt: skip
    """Of one attempt that is over."""
    for start in world.starts()[n_starts:]:
        if start.partition("/")[0] in committed:
            findings.lost.append(f"{start} was simulated although it was committed")
    _check_processes(world, findings)
    if killed and attempt.exit_code < 0:
        return
    told_to_end = any(fault.kind == "wrapper TERM" for fault in faults)
    if told_to_end and attempt.exit_code == -signal.SIGTERM and not _had_begun(attempt):
        return  # Python itself was not up yet: nothing was begun, and nobody is there to report that
    errors = attempt.errors.read_text(errors="replace")
    if attempt.exit_code < 0 or "Traceback" in errors:
        findings.wrong.append(f"ended with {attempt.exit_code}: {errors[-400:]}")
        return
    try:
        report = attempt.report
    except (OSError, ValueError) as error:
        full = any(fault.kind == "disk exhaustion" for fault in faults)
        if full and attempt.exit_code == Failure.DISK_FULL.code:
            return  # the disk was full before it could take the first report
        findings.wrong.append(f"no report: {error}; {errors[-200:]}")
        return
    _check_code(attempt, report, faults, findings, errors)
    _check_units(world, report, findings)


def _check_processes(world: World, findings: Findings) -> None:
    """None is left, but what a killed wrapper leaves may take a moment to die."""
    end = time.monotonic() + _GONE_S
    running = {attempt.process.pid for attempt in world.attempts if attempt.process.poll() is None}
    while (left := set(world.leftovers()) - running) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in left:
        findings.unbounded.append(f"process {pid} is left: {_command_of(pid)}")


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "gone"


def _check_code(
    attempt: Attempt, report: dict[str, Any], faults: Sequence[Fault], findings: Findings, errors: str
) -> None:
    acronym = report["exitAcronym"]
    names = [fault.name for fault in faults]
    if report["exitCode"] != attempt.exit_code:
        findings.wrong.append(f"exit code {attempt.exit_code}, report says {report['exitCode']}")
        return
    done = all(unit["state"] in _DONE for unit in report["units"]) and bool(report["units"])
    if (acronym == "OK") != (done and acronym != "REGISTRATION_PENDING" and attempt.exit_code == 0):
        findings.wrong.append(f"{acronym} although units are {[unit['state'] for unit in report['units']]}")
    if acronym == "OK":
        return
    allowed = _ALWAYS.union(*(fault.codes for fault in faults))
    if acronym not in allowed:
        findings.wrong.append(f"{acronym} from {names}: {errors.strip().splitlines()[-1:]}")
    elif Failure[acronym].remedy is Remedy.NEVER:
        findings.wrong.append(f"{acronym} says that nothing helps, from {names}")


def _check_units(world: World, report: dict[str, Any], findings: Findings) -> None:
    manifests = world.manifests()
    for unit in report["units"]:
        if unit["state"] in _DONE and unit["id"] not in manifests:
            findings.wrong.append(f"{unit['id']} is reported {unit['state']} and is not")


def check_end(world: World, findings: Findings) -> None:
    """After the last attempt."""
    last = world.attempts[0]
    if last.exit_code != 0:
        findings.lost.append(f"not done in the end: {last.errors.read_text(errors='replace')[-300:]}")
        return
    manifests = world.manifests()
    planned = {unit["id"] for unit in last.report["units"]}
    if planned != set(manifests):
        findings.lost.append(f"planned {sorted(planned)}, committed {sorted(manifests)}")
    expected = {}
    for unit, manifest in manifests.items():
        folder = world.job_folder / f"v{manifest['visit']}"
        for file in manifest["files"]:
            expected[f"{JOB}/v{manifest['visit']}/{file['name']}"] = _check_image(world, folder, unit, file, findings)
        receipt = folder / ".units" / f"{unit}.json"
        expected[f"{JOB}/v{manifest['visit']}/.units/{receipt.name}"] = _size_and_sum(receipt)
    for path in world.stray_files():
        findings.lost.append(f"left at the destination: {path.name}")
    known = _registered(world)
    if known != expected:
        names = {name for name in known.keys() | expected.keys() if known.get(name) != expected.get(name)}
        findings.lost.append(f"catalog differs from storage in {sorted(names)[:4]}")


def _check_image(
    world: World, folder: Path, unit: str, file: dict[str, Any], findings: Findings
) -> tuple[int, str] | None:
    path = folder / file["name"]
    try:
        found = _size_and_sum(path)
        if found != (file["size_bytes"], file["adler32"]):
            findings.lost.append(f"{unit}: {path.name} is not as its manifest says")
        elif pixels(path) != world.services.truth[path.name]:
            findings.lost.append(f"{unit}: {path.name} has other pixels than without faults")
    except (OSError, EOFError, ValueError, KeyError) as error:
        findings.lost.append(f"{unit}: {path.name}: {error}")
        return None
    return found


def _size_and_sum(path: Path) -> tuple[int, str]:
    content = path.read_bytes()
    return len(content), f"{zlib.adler32(content):08x}"


def _registered(world: World) -> dict[str, tuple[int, str] | None]:
    """Size and checksum of each file that the catalog knows."""
    if not world.rucio:
        with closing(sqlite3.connect(world.sqlite)) as connection:
            rows = connection.execute("SELECT name, size_bytes, adler32 FROM file")
            return {name: (size_bytes, adler32) for name, size_bytes, adler32 in rows}
    assert world.services.rucio is not None
    client = world.services.rucio.admin
    scope = f"user.{world.user}"
    found: dict[str, tuple[int, str] | None] = {}
    for dataset in {f"{JOB}/v{one['visit']}" for one in world.manifests().values()}:
        for one in client.list_replicas([{"scope": scope, "name": dataset}]):
            found[one["name"]] = (one["bytes"], one["adler32"]) if one["rses"] else None
    return found


def summary(findings: Findings) -> str:
    """The first of each on one line."""
    found = {name: getattr(findings, name) for name in ("lost", "wrong", "unbounded")}
    return json.dumps({name: [words[0][-300:], f"{len(words)} in all"] for name, words in found.items() if words})
