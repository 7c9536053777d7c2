"""Strict decoding of documents that people write: one clear sentence for the first thing that is wrong."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TypeVar

import msgspec

from transformation.model import documents

T = TypeVar("T", bound=msgspec.Struct)

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `(?P<where>.*)`)?")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<key>[^`]*)`(?: - at `(?P<where>.*)`)?")
_PATTERN = re.compile(r"Expected `str` matching regex '(?P<pattern>.*)'(?: - at `(?P<where>.*)`)?")

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)"
"""Names become folders and catalog names, so they cannot begin with a dot or a dash, nor end with a newline."""

PATTERN_HINTS = {
    SAFE_NAME: "only letters, digits, '.', '_' and '-', beginning with a letter or digit"
    " (a pattern such as %u-%t-%n is resolved by the submitter)",
}
"""What to say instead of showing a regular expression to a user."""


class DocumentInvalid(Exception):
    """The text is not a valid document of its type; `str()` is the sentence for the user."""


def decode(text: bytes, kind: type[T]) -> T:
    """The document in `text`, JSON or TOML (JSON documents begin with `{`).

    Raises `DocumentInvalid` naming the key, what is wrong and, for an unknown key, what was probably meant.
    """
    if text.lstrip().startswith(b"{"):
        try:
            document = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DocumentInvalid(f"not valid JSON: {error}") from None
    else:
        try:
            document = tomllib.loads(text.decode("utf-8"))
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no TOMLDecodeError
            raise DocumentInvalid(f"neither a JSON object nor valid TOML: {error}") from None
    return convert(document, kind)


def convert(document: object, kind: type[T]) -> T:
    """The document from already parsed JSON or TOML; raises `DocumentInvalid`."""
    try:
        return documents.convert(document, kind)
    except msgspec.ValidationError as error:
        raise DocumentInvalid(_explain(str(error), kind)) from None


def _explain(message: str, kind: type[msgspec.Struct]) -> str:
    if found := _UNKNOWN_FIELD.fullmatch(message):
        return _unknown_key(found["key"], found["where"], kind)
    if found := _MISSING_FIELD.fullmatch(message):
        return f"the key '{found['key']}' is missing{_at(found['where'])}"
    if found := _PATTERN.fullmatch(message):
        pattern = found["pattern"].replace("\\\\", "\\")
        return f"{_key(found['where'])}: {PATTERN_HINTS.get(pattern, 'not of the form ' + pattern)}"
    what, _, where = message.partition(" - at ")
    return f"{_key(where.strip('`'))}: {what[0].lower()}{what[1:]}" if where else what


def _unknown_key(key: str, where: str | None, kind: type[msgspec.Struct]) -> str:
    known = _all_keys(kind)
    close = difflib.get_close_matches(key, known, n=1)
    if key in known:
        hint = "; it exists, but not here"
    elif close:
        hint = f"; did you mean '{close[0]}'?"
    else:
        hint = "" if where else f"; known keys: {', '.join(sorted(kind.__struct_fields__))}"
    return f"unknown key '{key}'{_at(where)}{hint}"


def _all_keys(kind: type[msgspec.Struct]) -> list[str]:
    info = msgspec.json.schema_components([kind], ref_template="{name}")[1]
    return sorted({key for schema in info.values() for key in schema.get("properties", {})})


def _key(where: str | None) -> str:
    path = (where or "").removeprefix("$").removeprefix(".")
    return f"'{path}'" if path else "the document"


def _at(where: str | None) -> str:
    return f" in {_key(where)}" if where and where != "$" else ""
