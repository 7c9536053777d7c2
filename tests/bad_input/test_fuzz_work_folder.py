"""A work folder that a dying job left, or somebody else wrote into: the pilot hooks read it, and so does a rerun."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pilot_hooks.core import panda
from pilot_hooks.core.journal import read_story
from pilot_hooks.core.outbox import unregistered_places
from pilot_hooks.core.report import ensure_report
from tests.bad_input.mutations import damaged, examples, json_texts, odd_values, spoilt
from tests.bad_input.sandbox import SECRET, Sandbox

UNIT: dict[str, Any] = {
    "id": "v4242-R22_S11-E000", "visit": "4242", "sensor": "R22_S11", "exposure": 0, "state": "committed",
    "attempts": [{"number": 1, "outcome": "", "detail": ""}], "registered": False, "failure": None,
    "files": [{"name": "x.fits.gz", "size": 1, "adler32": "01234567", "url": "/store/x"}],
}  # fmt: skip
REPORT: dict[str, Any] = {
    "schema_version": 1, "run": "abc", "state": "partial", "exitCode": 70, "exitAcronym": "PARTIAL", "exitMsg": "m",
    "name": "n", "user": "u", "site": "local", "catalog": "sqlite", "spec": {"debug": False},
    "visits": [{"visit": "4242", "place": "store/u/n/v4242"}], "units": [UNIT, {**UNIT, "state": "failed",
    "failure": "SEGFAULT", "detail": "d"}], "resource": {"cores": 2},
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"t": "2026-01-01T00:00:00Z", "run": "abc", "event": "job_start", "name": "n", "user": "u", "site": "local",
     "site_given": "local", "pid": 1, "scratch": "scratch", "command": []},
    {"t": "2026-01-01T00:00:01Z", "run": "abc", "event": "unit_attempted", "unit": UNIT["id"], "state": "running",
     "attempt": 1, "outcome": "x", "detail": "y"},
    {"t": "2026-01-01T00:00:02Z", "run": "abc", "event": "unit_failed", "unit": UNIT["id"], "state": "failed",
     "failure": "SEGFAULT", "detail": "y"},
    {"t": "2026-01-01T00:00:03Z", "run": "abc", "event": "job_end", "exitCode": 70, "exitAcronym": "PARTIAL",
     "exitMsg": "m"},
]  # fmt: skip
PROGRESS = {"progress": 0.5, "eta_s": 100}
MEMORY = {"Max": {"rss": 1, "vmem": 2.0}, "Avg": {"rss": 1}}
ERROR = {"error_code": 70, "error_diag": "m"}


def _document(good: Any) -> st.SearchStrategy[bytes]:
    return st.one_of(
        json_texts(spoilt(good)), damaged(json.dumps(good).encode()), json_texts(odd_values), st.binary(max_size=60)
    )


def _journal(events: list[bytes]) -> bytes:
    return b"\n".join(events)


journals = st.one_of(
    st.tuples(*(st.one_of(st.just(json.dumps(event).encode()), _document(event)) for event in EVENTS)).map(
        lambda lines: _journal(list(lines))
    ),
    damaged(_journal([json.dumps(event).encode() for event in EVENTS])),
    st.binary(max_size=200),
)
reports = st.one_of(st.just(json.dumps(REPORT).encode()), _document(REPORT))


@pytest.fixture(autouse=True)
def no_other_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


def fill(sandbox: Sandbox, report: bytes, journal: bytes, progress: bytes, memory: bytes, error: bytes) -> Path:
    sandbox.clear()
    for name, content in {
        "jobReport.json": report, "journal.jsonl": journal, "progress.json": progress,
        "memory_monitor_summary.json": memory, "payload_error_report.json": error,
    }.items():  # fmt: skip
        sandbox.put(name, content)
    return sandbox.here


@examples(66)
@given(reports, journals, _document(PROGRESS), _document(MEMORY), _document(ERROR))
@example(json.dumps({**REPORT, "exitCode": 10**30}).encode(), b"", b"", b"", b"")
@example(b"[" * 100_000, b"[" * 100_000, b"", b'{"Max": {"rss": NaN}}', b'{"error_code": 1e999}')
@example(b"", b"", b'{"progress": NaN}', b'{"Max": {"rss": 1e999}}', b"")
def test_the_pilot_reads_any_work_folder(
    sandbox: Sandbox, report: bytes, journal: bytes, progress: bytes, memory: bytes, error: bytes
) -> None:
    """All that hooks compute inside of the pilot's own process, where an exception would take the pilot down."""
    folder = fill(sandbox, report, journal, progress, memory, error)
    before = panda.verdict(folder), panda.metrics(folder), panda.memory(folder), panda.extracts(folder)
    assert all(one is not None for one in before)
    assert panda.cores(folder) is None or isinstance(panda.cores(folder), int)
    found = ensure_report(folder)
    assert isinstance(found, dict)
    json.dumps(found)
    unregistered_places(found)
    verdict = panda.verdict(folder)
    assert isinstance(verdict.code, int)
    assert len(verdict.text) <= 256
    assert len(panda.metrics(folder).splitlines()) <= 1
    read_story(folder)


@examples(6)
@given(reports, journals)
@example(json.dumps({**REPORT, "visits": [{"visit": "4242", "place": "--help"}]}).encode(), b"")
def test_the_postprocess_of_any_work_folder(sandbox: Sandbox, report: bytes, journal: bytes) -> None:
    """It ends with 0 in every case, and removes nothing outside."""
    fill(sandbox, report, journal, b"", b"", b"")
    answer = sandbox.check("hooks", "postprocess", env={"PATH": "/nowhere"})
    assert answer.code == 0


@pytest.mark.parametrize("name", ["logs", "scratch", "jobReport.json", "journal.jsonl"])
def test_links_in_the_work_folder_lead_nowhere(sandbox: Sandbox, name: str) -> None:
    secret = sandbox.outside / "secret.txt"
    secret.write_text(SECRET * 10_000)  # long enough to be cut
    (sandbox.here / name).symlink_to(sandbox.outside if name in {"logs", "scratch"} else secret)
    sandbox.run("hooks", "postprocess", env={"PATH": "/nowhere"})
    assert secret.read_text() == SECRET * 10_000


@pytest.mark.parametrize("name", ["jobReport.json", "journal.jsonl", "payload_error_report.json"])
def test_a_pipe_in_the_work_folder_holds_nobody_up(sandbox: Sandbox, name: str) -> None:
    os.mkfifo(sandbox.here / name)
    answer = sandbox.run("hooks", "postprocess", env={"PATH": "/nowhere"}, limit_s=30.0)
    assert answer.code == 0, answer


@examples(7)
@given(_document(REPORT))
@example(b'{"spec": {}}')
def test_reproduce_of_any_report(sandbox: Sandbox, content: bytes) -> None:
    sandbox.clear()
    sandbox.put("report.json", content)
    answer = sandbox.check("lsst-trf", "reproduce", "report.json")
    assert answer.code


@examples(5)
@given(reports, journals, st.binary(max_size=100))
def test_a_run_in_any_work_folder(sandbox: Sandbox, report: bytes, journal: bytes, kept: bytes) -> None:
    """What an earlier attempt left there does not keep a new one from its own report and journal."""
    fill(sandbox, report, journal, b"[", b"[", b"[")
    sandbox.put("kept/v4242-R22_S11-E000/kept.json", kept)
    answer = sandbox.check("lsst-trf", "run", "--job", "nothing.json", "--workdir", ".")
    assert json.loads((sandbox.here / "jobReport.json").read_text())["exitCode"] == answer.code
