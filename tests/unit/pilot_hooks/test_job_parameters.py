"""What the pilot knows of the payload's own arguments."""

from __future__ import annotations

import base64

import pytest

from pilot_hooks.core.parameters import value_of, words_of

TEXT = "--job 'a file.json' --site=BNL --cores 1"


@pytest.mark.parametrize("parameters", [TEXT, base64.b64encode(TEXT.encode()).decode()], ids=["text", "packed"])
def test_options_are_found_also_in_packed_parameters(parameters: str) -> None:
    words = words_of(f" {parameters} ")
    assert value_of(words, "--job") == "a file.json"
    assert value_of(words, "--site") == "BNL"
    assert value_of(words, "--cores") == "1"
    assert value_of(words, "--deadline") is None


@pytest.mark.parametrize(
    ("parameters", "words"),
    [("", []), ("--job 'not whole", []), ("cmVkZWVt", ["cmVkZWVt"]), ("--lsstJobParams=A=--site", None)],
    ids=["empty", "broken", "a-word-that-only-looks-packed", "no-option"],
)
def test_other_parameters(parameters: str, words: list[str] | None) -> None:
    assert words_of(parameters) == ([parameters] if words is None else words)
    assert value_of(words_of(parameters), "--site") is None
