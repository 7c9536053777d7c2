"""Physics command files: merged, checked, written out as PhoSim wants them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.instance_catalog import CommandsInvalid, read_physics_commands


def refused(text: str) -> CommandsInvalid:
    with pytest.raises(CommandsInvalid) as caught:
        read_physics_commands([("c.txt", text)])
    return caught.value


def test_nothing_is_something():
    found = read_physics_commands([])
    assert (found.lines, found.text, found.extraid, found.zenith_v) == ((), "", "", None)
    assert not found.centroidfile
    assert not found.throughputfile
    assert found.observation_id(5) == 5


def test_the_last_line_of_a_key_wins_across_files():
    found = read_physics_commands(
        [("a", "zenith_v 22\nbackalpha 0.0"), ("b", "\r\n# x\nzenith_v \t 1000.0 # dark\r\n")]
    )
    assert found.lines == ("zenith_v 22", "backalpha 0.0", "zenith_v 1000.0")
    assert found.text == "zenith_v 22\nbackalpha 0.0\nzenith_v 1000.0\n"
    assert found.zenith_v == 1000
    assert found.number("backalpha") == 0
    assert found.number("absent") is None


def test_lines_that_share_a_key_are_all_kept():
    found = read_physics_commands([("a", "body 1 2 3e-5\nbody 1 3 4e-5\ncleareverything\n")])
    assert found.lines == ("body 1 2 3e-5", "body 1 3 4e-5", "cleareverything")
    assert found.values["cleareverything"] == ()


def test_the_files_that_are_made_besides():
    found = read_physics_commands([("a", "centroidfile 1\nthroughputfile 0\neventfile 0\n")])
    assert found.centroidfile
    assert not found.throughputfile


def test_extraid_is_appended_once():
    found = read_physics_commands([("a", "extraid 0\n"), ("b", "extraid 1\n")])
    assert found.lines == ("extraid 1",)
    assert found.extraid == "1"
    assert found.observation_id(99) == 991
    with pytest.raises(CommandsInvalid, match="more than 2147483647"):
        found.observation_id(214748365)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("obshistid 5", "obshistid is not allowed"),
        ("seed 5", "seed is not allowed"),
        ("checkpointtotal 2", "checkpointtotal is not allowed"),
        ("outputdir /tmp", "outputdir is not allowed"),
        ("object 1 0 0", "object is not allowed"),
        ("quickbackground", "is the name of a command file"),
        ("extraid", "extraid is ''"),
        ("extraid 1a", "extraid is '1a'"),
        ("extraid 1 2", "extraid is '1 2'"),
        ("eventfile 1", "one fixed name"),
        ("opdfile 1", "one fixed name"),
        ("centroidfile", "not a number"),
        ("centroidfile yes", "not a number"),
        ("zenith_v nan", "not a number"),
        ("myextraid 5", "would misread"),
        ("note about centroidfile", "would misread"),
        ("a\x00b", "control character 0x00"),
        ("a\x1b[0m", "control character 0x1b"),
        ("\xe9t\xe9 1", "is no command"),
        ("zenith_v=5", "is no command"),
        ("5 5", "is no command"),
        ("x " + "y" * 4094, "longer than 4095 bytes"),
    ],
)
def test_what_is_refused(line, words):
    failure = refused(f"raydensity 0.0\n{line}\n")
    assert failure.total == 1
    (problem,) = failure.problems
    assert (problem.file, problem.line) == ("c.txt", 2)
    assert words in problem.what
    assert problem.remedy


def test_all_problems_are_counted():
    failure = refused("seed 1\n" * 30)
    assert (len(failure.problems), failure.total) == (20, 30)


def test_the_real_command_files_are_accepted(shared_data):
    for path in [*shared_data.glob("phosim_examples/*"), *shared_data.glob("phosim_truth/*commands.txt")]:
        if "star" not in path.name:
            text = path.read_text()
            assert read_physics_commands([(path.name, text)]).text == text


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_text_is_read_or_refused(texts):
    with suppress(CommandsInvalid):
        found = read_physics_commands([(f"c{i}", text) for i, text in enumerate(texts)])
        assert found.text.isascii()
        assert read_physics_commands([("again", found.text)]) == found
