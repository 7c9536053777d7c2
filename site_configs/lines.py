"""Which line of a TOML file a key stands in.

The parser of the standard library does not say. So the file is cut into statements, each of which it reads alone: a
statement begins at a line and goes on until what there is of it is valid.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping

from site_configs.gaps import KeyPath

_LONGEST_STATEMENT_LINES = 300
"""A longer one is not followed: it would be read once for each of its lines."""


def line_numbers(text: str) -> dict[KeyPath, int]:
    """The first line, counted from 1, of every table and key of a valid TOML file; array items stand in their key's."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    items: Counter[KeyPath] = Counter()
    for line, statement, content in _statements(text):
        if not statement.startswith("["):
            for path in _paths(content):
                _note(found, (*table, *path), line)
            continue
        *_, header = _paths(content)
        table = _here(header, items)
        if statement.startswith("[["):
            items[table] += 1
            table = (*table, items[table] - 1)
        _note(found, table, line)
    return found


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """The line of a key, or of the nearest thing around it that has one; 1 for the document."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, object]]]:
    """First line, text and content of each statement."""
    begun, pending = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not pending:
            begun = number
        elif number - begun > _LONGEST_STATEMENT_LINES:
            return
        pending += f"{line}\n"
        try:
            content = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if content:
            yield begun, pending.lstrip(), content
        pending = ""


def _paths(content: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of a statement, outermost first."""
    for key, value in content.items():
        path = (*above, key)
        yield path
        if isinstance(value, dict):
            yield from _paths(value, path)


def _here(header: tuple[str, ...], items: Mapping[KeyPath, int]) -> KeyPath:
    """The path of a header, with the positions of the array items that it stands in."""
    *above, name = header
    here: KeyPath = ()
    for part in above:
        here = (*here, part)
        if items.get(here):
            here = (*here, items[here] - 1)
    return (*here, name)


def _note(found: dict[KeyPath, int], path: KeyPath, line: int) -> None:
    for length in range(1, len(path) + 1):
        found.setdefault(path[:length], line)
