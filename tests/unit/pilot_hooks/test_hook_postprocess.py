"""After the payload: the report, the outbox, and exit code 0 whatever happens."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pilot_hooks.core.postprocess import postprocess
from tests.unit.pilot_hooks.stories import (
    CUT_OFF,
    FIRST,
    LEFT,
    asked,
    event,
    fake_trf,
    read,
    start,
    write_journal,
    write_report,
)

pytestmark = pytest.mark.allow_processes

PLACE = LEFT["visits"][0]["place"]
UNREGISTERED = tuple(one for one in CUT_OFF if one["event"] != "unit_registered")


def registered(folder: Path) -> bool:
    units = {unit["id"]: unit for unit in read(folder, "jobReport.json")["units"]}
    return bool(units[FIRST]["registered"])


def test_what_is_committed_is_registered(tmp_path: Path) -> None:
    fake_trf(tmp_path, "echo '1 units, 1 files are registered'")
    write_journal(tmp_path, *UNREGISTERED)
    write_report(tmp_path)
    assert postprocess(tmp_path) == 0
    assert asked(tmp_path) == [f"register {PLACE} --site local"]
    assert registered(tmp_path)


def test_the_site_is_the_one_that_the_job_was_given(tmp_path: Path) -> None:
    fake_trf(tmp_path, "true")
    write_journal(tmp_path, start(site_given="/sites/BNL.toml"), *UNREGISTERED[1:])
    write_report(tmp_path)
    postprocess(tmp_path)
    assert asked(tmp_path) == [f"register {PLACE} --site /sites/BNL.toml"]


def test_the_job_s_own_program_goes_first(tmp_path: Path) -> None:
    fake_trf(tmp_path, "exit 1")
    own = tmp_path / "own"
    own.write_text('#!/bin/sh\necho "$*" > by_own\n')
    own.chmod(0o755)
    write_journal(tmp_path, start(command=[str(own), "word"]), *UNREGISTERED[1:])
    write_report(tmp_path)
    postprocess(tmp_path)
    assert asked(tmp_path) == []
    assert (tmp_path / "by_own").read_text() == f"word register {PLACE} --site local\n"


@pytest.mark.parametrize(
    ("journal", "changes"),
    [
        (CUT_OFF, {}),  # registered already
        (CUT_OFF[:2], {}),  # nothing committed
        (UNREGISTERED, {"catalog": ""}),  # a site without a catalog
    ],
    ids=["registered", "nothing-committed", "no-catalog"],
)
def test_nobody_is_asked_for_nothing(
    tmp_path: Path, journal: tuple[dict[str, object], ...], changes: dict[str, object]
) -> None:
    fake_trf(tmp_path, "true")
    write_journal(tmp_path, *journal)
    write_report(tmp_path, **changes)
    assert postprocess(tmp_path) == 0
    assert asked(tmp_path) == []


@pytest.mark.parametrize("script", ["exit 80", "kill -SEGV $$", "sleep 600"], ids=["refused", "crashed", "hung"])
def test_what_cannot_be_registered_is_left_to_the_next_attempt(tmp_path: Path, script: str) -> None:
    fake_trf(tmp_path, script)
    write_journal(tmp_path, *UNREGISTERED)
    write_report(tmp_path)
    assert postprocess(tmp_path, limit_s=0.5) == 0
    assert not registered(tmp_path)
    assert read(tmp_path, "jobReport.json")["exitCode"] == 44


def test_a_good_job_is_only_tidied(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    write_report(tmp_path, state="done", exitCode=0, exitAcronym="OK", exitMsg="OK", units=[])
    write_journal(tmp_path, start(), event("job_end", 9, exitCode=0))
    before = (tmp_path / "jobReport.json").read_bytes()
    assert postprocess(tmp_path) == 0
    assert (tmp_path / "jobReport.json").read_bytes() == before
    assert not (tmp_path / "scratch").exists()


def test_a_job_at_work_is_not_disturbed(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    write_report(tmp_path)
    lock = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert postprocess(tmp_path) == 0
    finally:
        os.close(lock)
    assert (tmp_path / "scratch").exists()
    assert read(tmp_path, "jobReport.json") == LEFT


def test_an_empty_folder_gets_a_report(tmp_path: Path) -> None:
    assert postprocess(tmp_path) == 0
    assert read(tmp_path, "payload_error_report.json")["error_code"] == 44
