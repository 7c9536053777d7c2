"""Listing and fetching the files of a job from folders."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from submitter.client import Client
from submitter.fetching.meter import Meter
from submitter.fetching.patterns import matcher
from submitter.troubles import IodError, Trouble
from tests.unit.submitter.fetch_world import NAME, USER, held, job_at, lay_out, remember

VISITS = ("4406", "4407")


@pytest.fixture
def contents(tmp_path: Path) -> dict[str, bytes]:
    return lay_out(str(tmp_path / "store"), tmp_path / "sources", visits=VISITS)


@pytest.fixture
def client(tmp_path: Path, contents: dict[str, bytes]) -> Iterator[Client]:
    with Client(remember(tmp_path / "home", job_at(str(tmp_path / "store"), VISITS))) as one:
        yield one


def test_all_files_of_all_visits(client: Client, contents: dict[str, bytes], tmp_path: Path) -> None:
    heard = []
    report = client.fetch(NAME, to=tmp_path / "to", tell=lambda progress, one: heard.append((progress, one.state)))
    assert held(tmp_path / "to") == contents
    assert (len(report.of("fetched")), report.of("failed")) == (12, [])
    assert [progress.n_done for progress, _ in heard] == list(range(1, 13))
    assert heard[-1][0].done_bytes == heard[-1][0].total_bytes == 12 * 5000


def test_a_listing_like_the_catalogs(client: Client) -> None:
    listing = client.files(NAME)
    assert [(one.name, one.n_files, one.size_bytes) for one in listing.datasets] == [
        (f"{NAME}/v4406", 6, 30_000),
        (f"{NAME}/v4407", 6, 30_000),
    ]
    first = listing.files[-1]
    assert (first.name, first.role, first.visit) == ("lsst_e_4407_f2_R22_S01_E000.fits.gz", "electron_image", "4407")


def test_what_is_there_and_right_stays_and_what_is_damaged_is_fetched_again(
    client: Client, contents: dict[str, bytes], tmp_path: Path
) -> None:
    client.fetch(NAME, to=tmp_path / "to")
    first, second, third, *_ = sorted(contents)
    (tmp_path / "to" / first).write_bytes(b"x" * 5000)
    (tmp_path / "to" / second).write_bytes(contents[second][:-1])
    (tmp_path / "to" / third).unlink()
    kept = (tmp_path / "to" / sorted(contents)[3]).stat().st_mtime_ns
    report = client.fetch(NAME, to=tmp_path / "to")
    assert [one.file.path for one in report.of("fetched")] == [first, second, third]
    assert held(tmp_path / "to") == contents
    assert (tmp_path / "to" / sorted(contents)[3]).stat().st_mtime_ns == kept


def test_a_file_that_is_damaged_at_its_place_is_not_taken(
    client: Client, contents: dict[str, bytes], tmp_path: Path
) -> None:
    bad = min(contents)
    (tmp_path / "store" / USER / NAME / bad).write_bytes(b"x" * 5000)
    report = client.fetch(NAME, to=tmp_path / "to")
    (failed,) = report.of("failed")
    assert failed.file.path == bad
    assert "its manifest says" in failed.problem
    assert held(tmp_path / "to") == {path: content for path, content in contents.items() if path != bad}


def test_a_committed_file_that_nobody_renamed_is_there(
    client: Client, contents: dict[str, bytes], tmp_path: Path
) -> None:
    last = tmp_path / "store" / USER / NAME / max(contents)
    last.rename(last.with_name(f".{last.name}.first.part"))
    assert client.fetch(NAME, to=tmp_path / "to").of("failed") == []
    assert held(tmp_path / "to") == contents


def test_another_destination_where_one_has_lost_files(tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    contents = lay_out(first, tmp_path / "sources")
    lay_out(second, tmp_path / "sources")
    (tmp_path / "first" / USER / NAME / min(contents)).write_bytes(b"")
    (tmp_path / "first" / USER / NAME / sorted(contents)[1]).unlink()
    with Client(remember(tmp_path / "home", job_at(first, ("4406",), second))) as client:
        assert client.fetch(NAME, to=tmp_path / "to").of("failed") == []
    assert held(tmp_path / "to") == contents


def test_a_unit_is_done_at_whichever_destination_it_stands(tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    lay_out(second, tmp_path / "sources", n_sensors=1)
    with Client(remember(tmp_path / "home", job_at(first, ("4406",), second))) as client:
        assert client.status(NAME).counts["done"] == 1


def test_what_a_killed_fetch_left_is_removed(client: Client, contents: dict[str, bytes], tmp_path: Path) -> None:
    left = tmp_path / "to/v4406/..lsst_e_4406_f2_R22_S00_E000.fits.gz.iod-part.0123.new"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    client.fetch(NAME, "v4406", tmp_path / "to")
    assert not left.exists()


def test_a_folder_belongs_to_one_fetch(client: Client, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    handle = os.open(tmp_path / "to", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(IodError, match="another iod") as caught:
        client.fetch(NAME, to=tmp_path / "to")
    os.close(handle)
    assert caught.value.row is Trouble.FOLDER_UNUSABLE
    client.fetch(NAME, to=tmp_path / "to")


def test_a_folder_that_is_a_file(client: Client, tmp_path: Path) -> None:
    (tmp_path / "to").write_text("")
    with pytest.raises(IodError, match=r"File exists|Not a directory"):
        client.fetch(NAME, to=tmp_path / "to")


@pytest.mark.parametrize(
    ("pattern", "n_files"),
    [("*E000*", 12), ("R22_S01", 6), ("v4406", 6), ("lsst_e_*", 4), ("v4407/lsst_e_*", 2), ("*_C00_*", 4)],
)
def test_patterns(client: Client, pattern: str, n_files: int) -> None:
    assert len(client.files(NAME, pattern).files) == n_files


@pytest.mark.parametrize("pattern", ["../*", "/etc/passwd", "v4406/../../x", "~/x", ""])
def test_patterns_that_lead_outside(pattern: str) -> None:
    with pytest.raises(IodError, match="leads outside") as caught:
        matcher(pattern)
    assert caught.value.row is Trouble.USAGE


def test_a_pattern_that_means_nothing(client: Client) -> None:
    with pytest.raises(IodError, match="of 12 files") as caught:
        client.fetch(NAME, "R99")
    assert caught.value.row is Trouble.NOTHING_FITS


def test_a_name_in_a_manifest_that_leads_outside_is_no_manifest(client: Client, tmp_path: Path) -> None:
    manifest = next((tmp_path / "store").rglob(".units/v4406-R22_S00*.json"))
    manifest.write_text(manifest.read_text().replace("lsst_e_4406_f2_R22_S00", "../../lsst_e_4406_f2_R22_S00"))
    report = client.fetch(NAME, to=tmp_path / "to" / "deep")
    assert len(report.of("fetched")) == 9
    assert {path.parts[0] for path in (one.relative_to(tmp_path / "to") for one in (tmp_path / "to").rglob("*"))} == {
        "deep"
    }


def test_the_rate_is_of_late_and_of_what_was_moved() -> None:
    meter = Meter(4, 4000, 0.0)
    assert meter.count(1000, 1.0, fetched=False).eta_s is None
    assert meter.count(1000, 2.0, fetched=True).bytes_per_s == 500.0
    after = meter.count(1000, 102.0, fetched=True)
    assert (after.n_done, after.done_bytes) == (3, 3000)
    assert after.bytes_per_s == 10.0
    assert after.eta_s == 100.0
