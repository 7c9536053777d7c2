"""Strict decoding: JSON or TOML, one sentence for what is wrong."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.model.strict import SAFE_NAME, DocumentInvalid, convert, decode


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    colour: str = ""


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=SAFE_NAME)]
    code: Annotated[str, msgspec.Meta(pattern=r"^\d\d$")] = "00"
    inner: Inner = Inner()
    many: list[Inner] = []


@pytest.mark.parametrize(
    "text",
    [
        b'{"name": "a", "inner": {"colour": "red"}}',
        b'  \n{"name": "a", "inner": {"colour": "red"}}',
        b'name = "a"\ninner.colour = "red"',
        b'name = "a"\n[inner]\ncolour = "red"\n',
    ],
)
def test_both_languages_say_the_same(text: bytes) -> None:
    assert decode(text, Outer) == Outer("a", inner=Inner("red"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "the key 'name' is missing"),
        (b"{", "not valid JSON: "),
        (b'{"name": "\xff"}', "not valid JSON: "),
        (b'{"name": ' + b"[" * 100_000, "not valid JSON: "),
        (b"name = ", "neither a JSON object nor valid TOML: "),
        (b'name = "\xff"', "neither a JSON object nor valid TOML: "),
        (b"[1, 2", "neither a JSON object nor valid TOML: "),
        (b'{"nane": "a"}', "unknown key 'nane'; did you mean 'name'?"),
        (b'{"name": "a", "zzz": 1}', "unknown key 'zzz'; known keys: code, inner, many, name"),
        (b'{"name": "a", "colour": "red"}', "unknown key 'colour'; it exists, but not here"),
        (b'{"name": "a", "inner": {"color": "red"}}', "unknown key 'color' in 'inner'; did you mean 'colour'?"),
        (b'{"name": "a", "many": [{}, {"color": ""}]}', "unknown key 'color' in 'many[1]'; did you mean 'colour'?"),
        (b'{"name": "a", "inner": {"zzz": 1}}', "unknown key 'zzz' in 'inner'"),
        (b'{"name": 3}', "'name': expected `str`, got `int`"),
        (b'{"name": "a", "many": 3}', "'many': expected `array`, got `int`"),
        (b'{"name": "%u-%t"}', "'name': only letters, digits, '.', '_' and '-', beginning with a letter or digit ("),
        (b'{"name": "a", "code": "x"}', r"'code': not of the form ^\d\d$"),
    ],
)
def test_what_is_wrong_is_named(text: bytes, sentence: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        decode(text, Outer)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    if not sentence.endswith((": ", "(")):
        assert str(caught.value) == sentence


@given(st.text(max_size=8))
def test_a_safe_name_can_be_a_folder(text: str) -> None:
    try:
        name = convert({"name": text}, Outer).name
    except DocumentInvalid:
        return
    assert name.isascii()
    assert name[0].isalnum()
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "a\nb", "é", "a%u", "a\x00"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(DocumentInvalid, match="only letters"):
        convert({"name": name}, Outer)
