"""Making a unit again: where its inputs are, from what the report tells of them."""

from __future__ import annotations

import pytest

from transformation.reproduce_command import _absolute


@pytest.mark.parametrize(
    ("entry", "folder", "found"),
    [
        ("sky.txt", "/run", "/run/sky.txt"),
        ({"url": "file:sky.txt", "size": 1}, "/run", {"url": "/run/sky.txt", "size": 1}),
        ({"inline": "a\nb"}, "/run", {"inline": "a\nb"}),
        ("$(PHOSIMDIR)/examples/star", "/run", "$(PHOSIMDIR)/examples/star"),
        ("rucio:s:sky.txt", "/run", "rucio:s:sky.txt"),
        ("sky.txt", "https://***@host/run/?***", "https://host/run/sky.txt"),
        ("https://host/sky.txt?***", "/run", "https://host/sky.txt"),
    ],
)
def test_where_an_input_is(entry: object, folder: str, found: object) -> None:
    assert _absolute(entry, folder) == found
