"""Everything that is wrong with a document, not only the first thing: a walk along its types.

msgspec, which decodes site files when a job runs, stops at the first error. The types are the same, so there is one
schema; a test holds the two against each other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import inspect

from site_configs.gaps import GAP, Gap, KeyPath, bare, fill_gaps, find_gaps, is_gap, shown


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be corrected or, if it is a gap, to be filled in."""

    path: KeyPath
    message: str
    is_gap: bool = False


def findings(value: object, kind: inspect.Type, path: KeyPath = ()) -> Iterator[Finding]:
    """All of them, in the order of the document."""
    if is_gap(value):
        (gap,) = find_gaps(value, path)
        yield Finding(path=path, message=_set_it(gap), is_gap=True)
        return
    title = _title(kind)
    kind = bare(kind)
    match kind, value:
        case inspect.StructType(), dict():
            yield from _of_table(value, kind, path)
        case inspect.DictType(), dict():
            for key, item in value.items():
                yield from findings(item, kind.value_type, (*path, key))
        case inspect.ListType(), list():
            for index, item in enumerate(value):
                yield from findings(item, kind.item_type, (*path, index))
        case _:
            if wrong := _wrong_value(value, kind, title):
                yield Finding(path=path, message=wrong)


def type_in_words(kind: inspect.Type) -> str:
    """What stands in a message after "expected"."""
    kind = bare(kind)
    match kind:
        case inspect.StructType() | inspect.DictType():
            return "a table"
        case inspect.ListType():
            return "a list"
        case inspect.LiteralType():
            return "one of " + ", ".join(f"'{one}'" if isinstance(one, str) else str(one) for one in kind.values)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _bounds(kind)
        case inspect.FloatType():
            return "a number" + _bounds(kind)
        case _:
            return "text"


def _of_table(value: Mapping[str, object], kind: inspect.StructType, path: KeyPath) -> Iterator[Finding]:
    fields = {field.encode_name: field for field in kind.fields}
    as_if_right = dict(value)
    for key, item in value.items():
        if key not in fields:
            yield Finding(path=(*path, key), message=_unknown(key, list(fields)))
            del as_if_right[key]
            continue
        found = list(findings(item, fields[key].type, (*path, key)))
        if not all(one.is_gap for one in found):
            as_if_right[key] = GAP
        yield from found
    for name in [name for name, field in fields.items() if field.required and name not in value]:
        yield Finding(path=path, message=f"the key '{shown((*path, name))}' is missing")
        as_if_right[name] = GAP
    if wrong := _refused(as_if_right, kind):
        yield Finding(path=path, message=wrong)


def _refused(value: Mapping[str, object], kind: inspect.StructType) -> str | None:
    """What the class itself says of a table, whose single keys are good or gaps by now."""
    tables = [field.encode_name for field in kind.fields if isinstance(bare(field.type), inspect.StructType)]
    if any(is_gap(value.get(name)) for name in tables):
        return None  # there is nothing to put in the place of a table
    try:
        msgspec.convert(fill_gaps(dict(value), kind), kind.cls)
    except msgspec.ValidationError as error:
        return re.sub(r" - at `[^`]*`\Z", "", str(error))
    return None


def _wrong_value(value: object, kind: inspect.Type, title: str | None) -> str | None:
    """The sentence for a single value; None if it is good."""
    match kind:
        case inspect.AnyType():
            return None
        case inspect.LiteralType():
            good = value in kind.values and not isinstance(value, bool)
        case inspect.BoolType():
            good = isinstance(value, bool)
        case inspect.IntType():
            good = isinstance(value, int) and not isinstance(value, bool) and _within(value, kind)
        case inspect.FloatType():
            good = isinstance(value, int | float) and not isinstance(value, bool) and _within(value, kind)
        case inspect.StrType():
            good = isinstance(value, str)
            if good and kind.pattern and not re.search(kind.pattern, str(value)):
                return f"expected {title or kind.pattern}"  # the value may be a secret in a wrong place
        case _:
            good = False
    return None if good else f"expected {type_in_words(kind)}, got {_in_words(value)}{_meant(value, kind)}"


def _within(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (kind.ge is None or value >= kind.ge) and (kind.gt is None or value > kind.gt) and (
        kind.le is None or value <= kind.le
    )  # fmt: skip


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    bounds = (("from", kind.ge), ("above", kind.gt), ("to", kind.le))
    return "".join(f" {word} {bound:g}" for word, bound in bounds if bound is not None)


def _title(kind: inspect.Type) -> str | None:
    match kind:
        case inspect.Metadata(extra_json_schema=dict() as schema) if "title" in schema:
            return str(schema["title"])
        case inspect.UnionType():
            return next((title for one in kind.types if (title := _title(one))), None)
        case _:
            return None


def _unknown(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1) or [one for one in known if key and one.startswith(key)]
    return f"unknown key, did you mean '{close[0]}'?" if close else f"unknown key; known here: {', '.join(known)}"


def _meant(value: object, kind: inspect.Type) -> str:
    if not (isinstance(kind, inspect.LiteralType) and isinstance(value, str)):
        return ""
    close = difflib.get_close_matches(value, [str(one) for one in kind.values], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _in_words(value: object) -> str:
    match value:
        case dict():
            return "a table"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value[:80]}'"
        case _:
            return str(value)


def _set_it(gap: Gap) -> str:
    return f"to be set by the site ({GAP})" + (f": {gap.hint}" if gap.hint else "")
