"""Text from outside in words for people: nothing in it moves a cursor, hides a letter or fills the screen."""

from __future__ import annotations

import json
import re

LONGEST = 1000
"""Characters of a line for people; what is longer is a value that somebody got wrong."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, those that turn the direction of writing, and halves of characters."""


def plain(text: str) -> str:
    """The text with escapes for what cannot be printed."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def plain_line(text: str) -> str:
    """The same, cut when it is too long for a person to read."""
    return plain(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def quoted(value: object) -> str:
    """A text, number, truth value or list as JSON and TOML write it alike, in letters that can be printed."""
    return escaped(json.dumps(value, ensure_ascii=False))


def escaped(json_text: str) -> str:
    """A JSON document in letters that can be printed; it means the same."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)
