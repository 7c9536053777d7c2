"""The archive of an attempt's work files."""

from __future__ import annotations

import tarfile
from pathlib import Path

from transformation.debug_bundle import pack


def test_small_files_first_links_as_links_and_large_ones_named(tmp_path: Path) -> None:
    work, logs = tmp_path / "units/v1-a/attempt-1", tmp_path / "logs/v1-a/attempt-1"
    for folder in (work / "deep", logs):
        folder.mkdir(parents=True)
    (work / "small").write_bytes(b"s" * 10)
    (work / "deep/middle").write_bytes(b"m" * 60)
    (work / "large").write_bytes(b"l" * 90)
    (work / "link").symlink_to("/etc/passwd")
    (logs / "raytrace.err").write_text("no luck")
    archive = pack([work, logs], tmp_path / "a.tar.gz", most_bytes=100)
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
        assert names == {"units/small", "units/deep/middle", "units/link", "logs/raytrace.err", "LEFT_OUT.txt"}
        assert packed.getmember("units/link").issym()
        left_out = packed.extractfile("LEFT_OUT.txt")
        assert left_out is not None
        assert left_out.read().split() == [b"90", b"units/large"]


def test_an_attempt_that_left_nothing(tmp_path: Path) -> None:
    with tarfile.open(pack([tmp_path / "missing"], tmp_path / "a.tar.gz")) as packed:
        assert packed.getnames() == []
