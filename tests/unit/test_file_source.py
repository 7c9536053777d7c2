"""Inputs on a mounted file system, for who takes them like all others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transformation.model.failures import Failure
from transformation.ports import Expected, Head, Landing, SourceError
from transformation.sources.file import FileSource

SOURCE = FileSource()


@pytest.fixture
def sky(tmp_path: Path) -> Path:
    path = tmp_path / "a sky.txt"
    path.write_bytes(b"obshistid 1\n")
    return path


def test_head_and_copy(sky: Path, tmp_path: Path) -> None:
    for location in (str(sky), sky.as_uri()):
        assert SOURCE.open_head(location, 3) == Head(size_bytes=12, ranges=True, start=b"obs")
        landing = Landing(path=tmp_path / "copy")
        SOURCE.fetch(location, landing, Expected(size_bytes=12))
        assert landing.path.read_bytes() == b"obshistid 1\n"
        assert not landing.partial.exists()


@pytest.mark.parametrize(
    ("expected", "failure"),
    [
        (Expected(size_bytes=1), Failure.CATALOG_CHANGED),
        (Expected(adler32="00000001"), Failure.CATALOG_CHANGED),
        (Expected(limit_bytes=11), Failure.CATALOG_TOO_LARGE),
    ],
)
def test_what_was_not_meant(sky: Path, tmp_path: Path, expected: Expected, failure: Failure) -> None:
    landing = Landing(path=tmp_path / "copy")
    with pytest.raises(SourceError) as caught:
        SOURCE.fetch(str(sky), landing, expected)
    assert caught.value.failure is failure
    assert not landing.path.exists()


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for location in (str(tmp_path), str(tmp_path / "gone"), str(tmp_path / "pipe"), f"{__file__}/below"):
        with pytest.raises(SourceError) as caught:
            SOURCE.open_head(location, 10)
        assert caught.value.failure is Failure.CATALOG_MISSING
    with pytest.raises(SourceError) as caught:
        SOURCE.open_head("file://host/sky.txt")
    assert caught.value.failure is Failure.STORAGE_UNKNOWN


def test_a_disk_that_cannot_take_it(sky: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be written here") as caught:
        SOURCE.fetch(str(sky), Landing(path=tmp_path / "none" / "copy"), Expected())
    assert caught.value.failure is Failure.WORKDIR_UNUSABLE
