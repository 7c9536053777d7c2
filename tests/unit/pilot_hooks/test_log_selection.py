"""What the pilot packs: reports, journal and the ends of logs; never scratch, and never less than the images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pilot_hooks.core.journal import read_story
from pilot_hooks.core.tidy import tidy
from tests.unit.pilot_hooks.stories import CUT_OFF, start, write_journal, write_report
from transformation.scratch_folders import make_folder


def fill(folder: Path, *names: str, size: int = 10) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_scratch_goes_and_the_rest_stays(tmp_path: Path) -> None:
    write_journal(tmp_path, *CUT_OFF)
    write_report(tmp_path)
    kept = {"logs/v1/raytrace.out", "payload.stdout", "tonyj/run/v4242/image.fits.gz", "catalog.sqlite"}
    fill(tmp_path, *kept, "scratch/visit-0/work/screen.fits", "imsim-runtime-Ab12Cd/x/bin/lsst-trf", "core.4711")
    tidy(tmp_path, {}, read_story(tmp_path))
    assert names_in(tmp_path) == kept | {"journal.jsonl", "jobReport.json"}


def test_scratch_elsewhere_goes_with_its_lock(tmp_path: Path) -> None:
    mine, other = make_folder(tmp_path / "disk"), make_folder(tmp_path / "disk")
    fill(mine, "screen.fits")
    write_journal(tmp_path, start(scratch=str(mine)))
    tidy(tmp_path, {}, read_story(tmp_path))
    assert mine.exists(), "its job lives"
    lock = mine.with_name(f"{mine.name}.lock")
    lock.unlink()
    lock.touch()  # as the kernel leaves it after a kill: held by nobody
    tidy(tmp_path, {}, read_story(tmp_path))
    assert not mine.exists()
    assert not lock.exists()
    assert other.exists()


@pytest.mark.parametrize("name", ["precious", "lsst-trf-{uid}-4711", "lsst-trf-1{uid}-0123456789ab"])
def test_no_other_folder_can_be_named(tmp_path: Path, name: str) -> None:
    precious = tmp_path / name.format(uid=os.getuid())
    fill(precious, "data")
    write_journal(tmp_path, start(scratch=str(precious)))
    tidy(tmp_path, {}, read_story(tmp_path))
    assert (precious / "data").exists()


def test_debug_keeps_scratch(tmp_path: Path) -> None:
    fill(tmp_path, "scratch/screen.fits")
    write_journal(tmp_path, *CUT_OFF)
    tidy(tmp_path, {"spec": {"debug": True}}, read_story(tmp_path))
    assert (tmp_path / "scratch/screen.fits").exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "data")
    work = tmp_path / "work"
    work.mkdir()
    (work / "scratch").symlink_to(tmp_path / "elsewhere")
    tidy(work, {}, read_story(work))
    assert (tmp_path / "elsewhere/data").exists()


def test_long_logs_keep_head_and_tail(tmp_path: Path) -> None:
    log = tmp_path / "logs/raytrace.out"
    log.parent.mkdir()
    log.write_bytes(b"first" + b"." * 1_000_000 + b"last")
    tidy(tmp_path, {}, read_story(tmp_path))
    text = log.read_bytes()
    assert (text[:5], text[-4:]) == (b"first", b"last")
    assert len(text) < 101_000
    assert b"[... 900009 bytes left out ...]" in text


def test_all_logs_together_stay_small_and_the_youngest_stay(tmp_path: Path) -> None:
    for number in range(100):
        fill(tmp_path / "logs", f"{number:03}", size=100_000)
        os.utime(tmp_path / "logs" / f"{number:03}", (number, number))
    tidy(tmp_path, {}, read_story(tmp_path))
    left = sorted(names_in(tmp_path / "logs"))
    assert sum((tmp_path / "logs" / name).stat().st_size for name in left) <= 8_100_000
    assert left[-1] == "099"
    assert "000" not in left
