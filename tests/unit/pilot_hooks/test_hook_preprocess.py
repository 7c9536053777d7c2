"""The doctor before the payload: only a verdict on the worker stops a job."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from pilot_hooks.core.preprocess import preprocess
from tests.unit.pilot_hooks.stories import asked, fake_trf, read

pytestmark = pytest.mark.allow_processes


@pytest.fixture(autouse=True)
def node(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node where no doctor has been yet."""
    folder = tmp_path_factory.mktemp("node")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


PILOT_SPECIAL = {160, 161, 162}
"""The pilot takes these for "no more work", and the job for good."""


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 32", 32),  # RELEASE_UNREACHABLE
        ("exit 70", 70),  # STORAGE_UNREACHABLE
        ("exit 35", 35),  # RUNTIME_MISSING, by lsst-trf.sh itself
        ("exit 10", 0),  # a release without doctor: USAGE
        ("exit 72", 0),  # NEVER: another worker would not help
        ("exit 160", 0),
        ("exit 1", 0),
        ("kill -SEGV $$", 0),
    ],
    ids=lambda value: str(value).replace(" ", "-"),
)
def test_verdicts(tmp_path: Path, script: str, code: int) -> None:
    fake_trf(tmp_path, script)
    found = preprocess(tmp_path, ["--site", "BNL"])
    assert found == code
    assert found not in PILOT_SPECIAL
    assert asked(tmp_path) == ["doctor --short --site BNL"]
    assert (tmp_path / "jobReport.json").exists() == bool(code)


def test_a_sick_worker_leaves_both_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "ERROR: STORAGE_UNREACHABLE: root://a//b: no answer; try again; finished units are safe"
    fake_trf(tmp_path, f"echo '{line}' >&2; exit 70")
    assert preprocess(tmp_path, []) == 70
    error = read(tmp_path, "payload_error_report.json")
    assert error == {"error_code": 70, "error_diag": line.removeprefix("ERROR: ")}
    report = read(tmp_path, "jobReport.json")
    assert (report["exitCode"], report["state"]) == (70, "failed")
    out = capsys.readouterr().out
    assert line in out
    assert json.loads(out.splitlines()[-1]) == error


def test_a_doctor_that_hangs_is_a_sick_worker(tmp_path: Path) -> None:
    fake_trf(tmp_path, "sleep 600 & wait")
    begun = time.monotonic()
    assert preprocess(tmp_path, [], limit_s=0.3) == 32
    assert time.monotonic() - begun < 60
    assert "no answer in 0 s" in read(tmp_path, "payload_error_report.json")["error_diag"]


def test_without_lsst_trf_the_payload_will_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert preprocess(tmp_path, []) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_pilots_python_is_kept_from_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/pilot")
    monkeypatch.setenv("PYTHONHOME", "/pilot")
    fake_trf(tmp_path, 'test -z "${PYTHONPATH-}${PYTHONHOME-}" || exit 32')
    assert preprocess(tmp_path, []) == 0


def test_a_fit_node_is_asked_once_in_a_while(tmp_path: Path, node: Path) -> None:
    fake_trf(tmp_path, "true")
    for _ in range(3):
        assert preprocess(tmp_path, ["--site", "BNL"]) == 0
    assert asked(tmp_path) == ["doctor --short --site BNL"]
    assert preprocess(tmp_path, ["--site", "SLAC"]) == 0
    assert len(asked(tmp_path)) == 2
    for note in node.glob("imsim-hooks-*/*"):
        os.utime(note, (time.time() - 601, time.time() - 601))
    assert preprocess(tmp_path, ["--site", "BNL"]) == 0
    assert len(asked(tmp_path)) == 3


@pytest.mark.parametrize("script", ["exit 37", "exit 10"], ids=["unfit", "no-doctor"])
def test_only_a_good_verdict_is_remembered(tmp_path: Path, script: str) -> None:
    fake_trf(tmp_path, script)
    for _ in range(2):
        preprocess(tmp_path, [])
    assert len(asked(tmp_path)) == 2


def test_a_folder_that_others_may_write_to_is_not_believed(tmp_path: Path, node: Path) -> None:
    fake_trf(tmp_path, "true")
    preprocess(tmp_path, [])
    next(node.iterdir()).chmod(0o777)
    preprocess(tmp_path, [])
    assert len(asked(tmp_path)) == 2
