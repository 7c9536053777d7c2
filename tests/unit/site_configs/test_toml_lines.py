"""The line of every key."""

from __future__ import annotations

import tomllib

import pytest

from site_configs.lines import line_numbers, line_of
from site_configs.load import SITES as FOLDER
from site_configs.show import _leaves
from tests.unit.site_configs.site_files import SITES

TEXT = '''# a comment
name = "x"

[storage]
bases = [
    "a", # ]
    "b",
]
text = """
[not.a.table]
name = 1
"""
[[storage.endpoints]]
url = "a"
[[storage.endpoints]]
url = "b"
[storage.endpoints.sub]
x = 1
["quo.ted"]
  a.b = {c = 1, d = 2}
'''


def test_tables_arrays_and_multi_line_values() -> None:
    lines = line_numbers(TEXT)
    assert lines["name",] == 2
    assert lines["storage",] == 4
    assert lines["storage", "bases"] == 5
    assert lines["storage", "text"] == 9
    assert lines["storage", "endpoints", 0, "url"] == 14
    assert lines["storage", "endpoints", 1] == 15
    assert lines["storage", "endpoints", 1, "url"] == 16
    assert lines["storage", "endpoints", 1, "sub", "x"] == 18
    assert lines["quo.ted", "a", "b", "d"] == 20
    assert ("not",) not in lines


def test_what_has_no_line_of_its_own_stands_where_it_belongs() -> None:
    lines = line_numbers(TEXT)
    assert line_of(("storage", "bases", 1), lines) == 5
    assert line_of(("storage", "missing"), lines) == 4
    assert line_of(("missing",), lines) == 1


@pytest.mark.parametrize("name", [*SITES, "defaults"])
def test_every_value_of_a_real_file_is_found(name: str) -> None:
    text = (FOLDER / f"{name}.toml").read_text()
    lines = line_numbers(text)
    for path, _ in _leaves(tomllib.loads(text)):
        assert str(path[-1]) in text.split("\n")[lines[path] - 1]


def test_a_statement_without_end_costs_no_time() -> None:
    text = "a = [\n" + "1,\n" * 100_000 + "]\nb = 1\n"
    assert line_of(("b",), line_numbers(text)) == 1
