"""The JSON Schema of site files, for editors (`#:schema PATH` in a file's first line) and for other programs."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import msgspec

import site_configs.schema
from site_configs.gaps import GAP
from site_configs.schema import Site

_GAP_SCHEMA = {"type": "string", "pattern": f"^{GAP}(:|$)"}


def json_schema() -> dict[str, Any]:
    """Every key with its meaning; any value may be left to the site."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Site)}
    tree = ast.parse(inspect.getsource(site_configs.schema))
    texts = {node.name: field_texts(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, definition in schema["$defs"].items():
        for key, one in definition["properties"].items():
            definition["properties"][key] = {
                **({"description": texts[name][key]} if key in texts[name] else {}),
                **({"default": one["default"]} if "default" in one else {}),
                **_or_gap({word: value for word, value in one.items() if word != "default"}),
            }
    return schema


def field_texts(node: ast.ClassDef) -> dict[str, str]:
    """The text under each field of a class."""
    texts = {}
    for field, text in zip(node.body, node.body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(meaning))),
            ):
                texts[name] = " ".join(meaning.split())
            case _:
                pass
    return texts


def _or_gap(schema: dict[str, Any]) -> dict[str, Any]:
    r"""The schema of a value or of a gap in its place; patterns as ECMAScript has them, without `\Z`.

    Tables have no gap in their place, so that an editor can say which key in them is wrong.
    """
    # TOML has no null: a key without a value is left out.
    kinds = [_ecmascript(one) for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]
    if len(kinds) == 1 and (kinds[0] == {"type": "string"} or "$ref" in kinds[0]):
        return kinds[0]
    if len(kinds) == 1 and "items" in kinds[0]:
        items = _or_gap(kinds[0]["items"])
        return (
            {**kinds[0], "items": items} if "$ref" in items else {"anyOf": [{**kinds[0], "items": items}, _GAP_SCHEMA]}
        )
    return {"anyOf": [*kinds, _GAP_SCHEMA]}


def _ecmascript(schema: dict[str, Any]) -> dict[str, Any]:
    pattern = schema.get("pattern")
    return schema if pattern is None else {**schema, "pattern": pattern.replace(r"\Z", "$")}
