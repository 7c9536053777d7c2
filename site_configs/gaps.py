"""Values that only the site knows: `"SET-BY-SITE"`, or `"SET-BY-SITE: what belongs there"`, in place of any value.

A file with such a gap is a template: it can be checked, shown and exported, but no job runs with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import inspect

GAP = "SET-BY-SITE"

KeyPath = tuple[str | int, ...]
"""Keys and positions from the top of a document, e.g. `("storage", "endpoints", 0, "url")`."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """One value that the site has to set."""

    path: KeyPath
    hint: str
    """What belongs there; may be empty."""

    def __str__(self) -> str:
        return f"'{shown(self.path)}' is to be set by the site" + (f": {self.hint}" if self.hint else "")


def shown(path: KeyPath) -> str:
    """`storage.endpoints[0].url`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def is_gap(value: object) -> bool:
    """Whether the site has to replace that value."""
    return isinstance(value, str) and (value == GAP or value.startswith(f"{GAP}:"))


def find_gaps(value: object, path: KeyPath = ()) -> Iterator[Gap]:
    """All gaps in a document, in its order."""
    if is_gap(value):
        yield Gap(path=path, hint=str(value).removeprefix(GAP).removeprefix(":").strip())
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from find_gaps(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_gaps(item, (*path, index))


def fill_gaps(value: object, kind: inspect.Type) -> object:
    """The document with something harmless in each gap that fits its type: text that says what it is, else nothing."""
    if is_gap(value):
        return _stand_in(kind)
    kind = bare(kind)
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        kinds = {field.encode_name: field.type for field in kind.fields}
        return _filled({key: (item, kinds.get(key, inspect.AnyType())) for key, item in value.items()})
    if isinstance(kind, inspect.DictType) and isinstance(value, dict):
        return _filled({key: (item, kind.value_type) for key, item in value.items()})
    if isinstance(kind, inspect.ListType) and isinstance(value, list):
        items = (fill_gaps(item, kind.item_type) for item in value)
        return [item for item in items if item is not msgspec.UNSET]
    return value


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without what is said about it, and without "or nothing"."""
    if isinstance(kind, inspect.Metadata):
        return bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        some = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return bare(some[0]) if len(some) == 1 else kind
    return kind


def _filled(items: Mapping[str, tuple[object, inspect.Type]]) -> dict[str, object]:
    filled = {key: fill_gaps(item, kind) for key, (item, kind) in items.items()}
    return {key: item for key, item in filled.items() if item is not msgspec.UNSET}


def _stand_in(kind: inspect.Type) -> object:
    if isinstance(kind, inspect.Metadata) and kind.extra and "stand_in" in kind.extra:
        return kind.extra["stand_in"]
    if isinstance(kind, inspect.Metadata):
        return _stand_in(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next((_stand_in(one) for one in kind.types if not isinstance(one, inspect.NoneType)), msgspec.UNSET)
    return GAP if isinstance(kind, inspect.StrType | inspect.AnyType) else msgspec.UNSET
