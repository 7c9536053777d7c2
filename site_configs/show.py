"""The values that are in force at a site, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from site_configs.gaps import KeyPath, find_gaps, shown
from site_configs.lines import line_numbers, line_of
from site_configs.load import DEFAULTS, Layer, load_with_gaps, merge, read_layer
from site_configs.plain_text import quoted

BUILT_IN = "built in"
FROM_ENDPOINTS = "storage.endpoints"


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One value."""

    path: KeyPath
    value: object
    origin: str
    """`SLAC.toml:12`, `defaults.toml:3`, `built in` (the schema's default), or the key that it follows from."""


def effective(path: Path) -> list[Value]:
    """All values of the site in that file. Raises `SiteInvalid`."""
    site, _ = load_with_gaps(path)
    layers = [read_layer(path), read_layer(DEFAULTS)]
    origins = {leaf: origin for layer in reversed(layers) for leaf, origin in _origins(layer)}
    said = dict(_leaves(msgspec.to_builtins(merge(layers[1].document, layers[0].document))))  # dates as text
    values = []
    for leaf, value in _leaves(msgspec.to_builtins(site)):
        if leaf == ("storage", "bases") and value != said.get(leaf):
            values.append(Value(path=leaf, value=value, origin=FROM_ENDPOINTS))
        else:
            values.append(Value(path=leaf, value=said.get(leaf, value), origin=origins.get(leaf, BUILT_IN)))
    return values


def as_text(values: list[Value]) -> str:
    """One line a value, as TOML, with its origin as a comment."""
    shown_values = [(shown(one.path), _toml(one.value), one.origin) for one in values]
    width = max(len(key) + len(value) for key, value, _ in shown_values)
    return "".join(
        f"{'# ' if value == _NOT_SET else ''}{key} = {value}".ljust(width + 5) + f"  # {origin}\n"
        for key, value, origin in shown_values
    )


def as_document(path: Path, values: list[Value]) -> dict[str, object]:
    """The same for programs: the nested values, and the origins by key."""
    top: dict[str, object] = {}
    for one in values:
        _put(top, one.path, one.value)
    return {
        "file": str(path),
        "values": top,
        "origins": {shown(one.path): one.origin for one in values},
        "to_set": [shown(one.path + gap.path) for one in values for gap in find_gaps(one.value)],
    }


def _origins(layer: Layer) -> Iterator[tuple[KeyPath, str]]:
    lines = line_numbers(layer.text)
    for leaf, _ in _leaves(layer.document):
        yield leaf, f"{layer.path.name}:{line_of(leaf, lines)}"


def _leaves(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Every value that is no table and no list of tables, with its path; empty ones too."""
    if isinstance(value, dict) and (value or not path):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


_NOT_SET = "none"


def _toml(value: object) -> str:
    if value is None:
        return _NOT_SET
    return quoted(value)


def _put(top: dict[str, object], path: KeyPath, value: object) -> None:
    here: object = top
    for part, following in zip(path, (*path[1:], None), strict=True):
        fresh: object = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(here, list):
            assert isinstance(part, int)
            if part == len(here):
                here.append(fresh)
            here = here[part]
        else:
            assert isinstance(here, dict)
            here = here.setdefault(part, fresh)
