"""Settings: what a stage understands of its .pars lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quicksim.pars import Settings, StageError


def test_the_last_line_of_a_key_wins() -> None:
    settings = Settings(["zenith_v 21.9", "zenith_v 1000.0", ""])
    assert settings.number("zenith_v") == 1000.0


def test_tables_have_a_place_for_each_index() -> None:
    settings = Settings(["gain          0 1.7", "gain          1 1.8", "body 3 1 2.5"])
    assert settings.table("gain") == {0: "1.7", 1: "1.8"}
    assert settings.table("body") == {3: "1 2.5"}
    assert settings.table("nothing") == {}


def test_objects_are_kept_aside_and_commented_ones_dropped() -> None:
    settings = Settings(["object 1 0 0 20\n", "# object 2 0 0 20\n", "chipid R22_S11"])
    assert settings.objects == ["object 1 0 0 20\n"]
    assert settings.text("chipid") == "R22_S11"


def test_keys_are_the_first_word_exactly() -> None:
    assert "seed" not in Settings(["obsseed 5"])


def test_a_key_without_value_is_there() -> None:
    assert "cleareverything" in Settings(["cleareverything"])


def test_commands_are_what_stands_behind_nsnap() -> None:
    lines = ["zenith_v 21.9", "nsnap 2", "zenith_v 1000.0", "mine 5", "checkpointcount 0", "checkpointtotal 0"]
    assert Settings(lines).commands() == ["zenith_v 1000.0", "mine 5"]


@pytest.mark.parametrize("line", ["filter", "filter r", "filter x 2"])
def test_a_value_that_is_no_number_is_an_error_that_names_the_key(line: str) -> None:
    with pytest.raises(StageError, match="'filter'"):
        Settings([line]).integer("filter")


def test_a_missing_key_is_an_error_that_names_it() -> None:
    with pytest.raises(StageError, match="'chipid'"):
        Settings([]).text("chipid")


@given(st.lists(st.text()))
def test_no_text_breaks_the_reader(lines: list[str]) -> None:
    Settings(lines)
