"""A recipe: how an admin's simulator is built, and what its release says of itself.

The project carries none for third-party simulators; docs/how-to/build-a-release.md shows how to write one.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from cvmfs_publish.documents import Fields, read_document
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import MANIFEST, split_name
from cvmfs_publish.manifest import read_release

Command = Tuple[str, ...]
_KINDS = ("simulator", "data")
_TEXT_FACTS = ("interpreter", "driver", "instrument", "cost_model")
_NUMBER_FACTS = ("memory_bytes", "visit_scratch_bytes", "unit_scratch_bytes", "max_objects")
FACTS = (*_TEXT_FACTS, *_NUMBER_FACTS, "grid_mode", "missing_sed", "options")
"""Keys of release.json that workers act on."""


@dataclass(frozen=True)
class Bundle:
    """What of the building machine goes into the release."""

    libraries: bool = True
    leave_out: Tuple[str, ...] = ()
    """Libraries that workers have."""
    also: Tuple[str, ...] = ()
    """Libraries that workers have, but too old."""
    search: Tuple[str, ...] = ()
    """More folders to look for libraries in; {source} stands for the built tree."""
    interpreter: Optional[str] = None
    """The prefix of a Python that is copied to `python/`, e.g. /opt/python2.7."""


@dataclass(frozen=True)
class Recipe:
    """How to make a release."""

    kind: str = "simulator"
    commands: Tuple[Command, ...] = ()
    environment: Dict[str, str] = field(default_factory=dict)
    keep: Tuple[str, ...] = ()
    """Patterns of the built tree; none: what the commands put into {release}, or everything."""
    drop: Tuple[str, ...] = ()
    smoke_test: Tuple[Command, ...] = ()
    """Commands that must exit 0 once the release stands elsewhere."""
    facts: Dict[str, Any] = field(default_factory=dict)
    """Keys for release.json."""
    data: Dict[str, str] = field(default_factory=dict)
    """Paths of the release that are links to other releases."""
    bundle: Bundle = field(default_factory=Bundle)
    licence: Optional[str] = None
    licence_files: Tuple[str, ...] = ()
    sha256: Optional[str] = None
    """Of the recipe's file."""


def load_recipe(path: Path) -> Recipe:
    """The recipe in a TOML or JSON file; raises `KitError` RECIPE_INVALID."""
    fields = Fields(read_document(path, Exit.RECIPE_INVALID), str(path), Exit.RECIPE_INVALID)
    if fields.whole("schema_version", 1) != 1:
        raise fields.error("schema_version", "must be 1")
    licence = fields.fields("licence")
    recipe = Recipe(
        kind=fields.choice("kind", _KINDS, "simulator"),
        commands=_commands(fields, "commands"),
        environment=_environment(fields),
        keep=_patterns(fields, "keep"),
        drop=_patterns(fields, "drop"),
        smoke_test=_commands(fields, "smoke_test"),
        facts=_facts(fields.fields("release")),
        data=_data(fields),
        bundle=_bundle(fields.fields("bundle")),
        licence=licence.text_or_none("name"),
        licence_files=licence.texts("files"),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    licence.end()
    fields.end()
    return recipe


def recipe_of_prebuilt(source: Path, kind: Optional[str], licence: Optional[str]) -> Recipe:
    """The recipe for a tree that is built, when the admin has none: what its `release.json` says, if it has one."""
    if not (source / MANIFEST).is_file():
        return Recipe(kind=kind or _KINDS[0], licence=licence)
    before = read_release(source)
    return Recipe(
        kind=kind or before.kind,
        licence=licence or before.document.get("licence"),
        facts={key: before.document[key] for key in FACTS if key in before.document},
        data=dict(before.requires),
    )


def _commands(fields: Fields, key: str) -> Tuple[Command, ...]:
    found = fields.value(key)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise fields.error(key, "must be a list of commands")
    return tuple(_command(fields, key, one) for one in found)


def _command(fields: Fields, key: str, one: object) -> Command:
    """A command is a list of words, or one text that is cut as a shell would; no shell runs it."""
    try:
        words = shlex.split(one) if isinstance(one, str) else one
    except ValueError as error:
        raise fields.error(key, f"holds {one!r}: {error}") from None
    if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
        raise fields.error(key, f"holds {one!r}, which is neither a text nor a list of texts")
    return tuple(words)


def _environment(fields: Fields) -> Dict[str, str]:
    found = fields.table("environment")
    for name, value in found.items():
        if not isinstance(value, str):
            raise fields.error("environment", f"{name} must be a text")
    return found


def _patterns(fields: Fields, key: str) -> Tuple[str, ...]:
    found = fields.texts(key)
    for pattern in found:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise fields.error(key, f"holds '{pattern}', which leads outside the tree")
    return found


def _facts(fields: Fields) -> Dict[str, Any]:
    """Only what is given: what is left out has the defaults that workers know."""
    facts: Dict[str, Any] = {}
    for key in _TEXT_FACTS:
        value = fields.text_or_none(key)
        if value is not None:
            facts[key] = value
    for key in _NUMBER_FACTS:
        if fields.value(key) is not None:
            facts[key] = fields.whole(key, 1, least=1)
    if fields.value("grid_mode") is not None:
        facts["grid_mode"] = fields.flag("grid_mode", default=True)
    if fields.value("missing_sed") is not None:
        facts["missing_sed"] = fields.choice("missing_sed", ("flat", "error"), "error")
    options = fields.fields("options")
    chosen = {
        key: options.flag(key, default=True) for key in ("threads", "checkpoint", "terminal") if _given(options, key)
    }
    if chosen:
        facts["options"] = chosen
    options.end()
    fields.end()
    return facts


def _given(fields: Fields, key: str) -> bool:
    return fields.value(key) is not None


def _data(fields: Fields) -> Dict[str, str]:
    found = fields.table("data")
    for path, release in found.items():
        if not isinstance(release, str) or path.startswith("/") or ".." in path.split("/"):
            raise fields.error("data", f"'{path}' must be a path of the release, with the name of another release")
        try:
            split_name(release)
        except KitError as error:
            raise fields.error("data", f"{path}: {error.what}") from None
    return found


def _bundle(fields: Fields) -> Bundle:
    bundle = Bundle(
        libraries=fields.flag("libraries", default=True),
        leave_out=fields.texts("leave_out"),
        also=fields.texts("also"),
        search=fields.texts("search"),
        interpreter=fields.text_or_none("interpreter"),
    )
    fields.end()
    return bundle


def filled_in(words: Command, values: Dict[str, str]) -> List[str]:
    """The words with {source}, {release}, {version} and {jobs} put in; other braces stay."""
    return [_fill(word, values) for word in words]


def _fill(word: str, values: Dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word


def filled_environment(recipe: Recipe, values: Dict[str, str]) -> Dict[str, str]:
    """The recipe's environment with the same put in."""
    return {name: _fill(value, values) for name, value in recipe.environment.items()}
