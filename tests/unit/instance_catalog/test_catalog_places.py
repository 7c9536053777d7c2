"""From the number of an object to its line in the user's files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.instance_catalog import places, read_instance_catalogs
from transformation.instance_catalog.places import Places

OBJECT = "object 1 0 0 20 sed.txt 0 0 0 0 0 0 point none none\n"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), min_size=1, max_size=30))
def test_every_object_is_found_again(steps: list[tuple[str, int]]) -> None:
    found, expected = Places(), []
    line = {"a": 0, "b": 0}
    for number, (file, step) in enumerate(steps, start=1):
        line[file] += step
        found.note(number, file, line[file])
        expected.append(f"{file}:{line[file]}")
    assert [found.of(number) for number in range(1, len(steps) + 1)] == expected


def test_memory_is_bounded_and_the_line_then_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_BREAKS", 3)
    found = Places()
    for number in range(1, 11):
        found.note(number, "a", 2 * number)
    found.note(11, "b", 5)
    assert [found.of(3), found.of(10), found.of(11), found.of(12)] == ["a:6", "a:13", "b:5", "b:6"]


def test_lines_of_a_catalog_with_comments_and_an_include(tmp_path: Path) -> None:
    header = "obshistid 7\nfilter 2\nseed 1\nnsnap 1\nvistime 15\nminsource 1\ncamconfig 1\ntelconfig 0\n"
    header += "rightascension 0\ndeclination 0\nrotskypos 0\nseeing 0.7\n"
    (tmp_path / "main.txt").write_text(f"{header}{OBJECT}# a comment\n\n{OBJECT}{OBJECT}includeobj more.txt\n{OBJECT}")
    (tmp_path / "more.txt").write_text(f"# more\n{OBJECT}{OBJECT}")
    catalog = read_instance_catalogs(
        [tmp_path / "main.txt"], names=["main.txt"], defaults={}, objects_out=None, spool=tmp_path
    )
    assert [catalog.places.of(number) for number in range(1, 7)] == [
        "main.txt:13",
        "main.txt:16",
        "main.txt:17",
        "main.txt:19",
        "more.txt:2",
        "more.txt:3",
    ]
