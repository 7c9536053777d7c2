"""What people write for the kit, read strictly: TOML or JSON, unknown keys refused with "did you mean"."""

from __future__ import annotations

import difflib
import importlib
import json
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from cvmfs_publish.exits import Exit, KitError

_TOML_READERS = ("tomllib", "tomli", "pip._vendor.tomli")
"""In the standard library since Python 3.11; before that pip brings one along."""


def read_document(path: Path, wrong: Exit) -> Dict[str, Any]:
    """The table in a TOML file, or the same keys in a `.json` file; raises `KitError` with the given exit."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KitError(wrong, f"{path}: {error.strerror}", cure="check the path") from None
    except UnicodeDecodeError:
        raise KitError(wrong, f"{path}: not UTF-8 text") from None
    try:
        found = json.loads(text) if path.suffix == ".json" else _toml_reader(path, wrong).loads(text)
    except ValueError as error:
        raise KitError(wrong, f"{path}: {error}", cure="correct the line that the message names") from None
    if not isinstance(found, dict):
        raise KitError(wrong, f"{path}: not a table of keys")
    return found


def _toml_reader(path: Path, wrong: Exit) -> ModuleType:
    for name in _TOML_READERS:
        with suppress(ImportError):
            return importlib.import_module(name)
    raise KitError(
        wrong,
        f"{path}: this Python cannot read TOML",
        cure="use Python 3.11 or newer, install tomli, or write the same keys as JSON in a file that ends in .json",
    )


class Fields:
    """One table of a document: hands out its keys by type and, at the end, refuses what nobody asked for."""

    def __init__(self, table: Mapping[str, Any], where: str, wrong: Exit) -> None:
        self._table = table
        self._where = where
        self._wrong = wrong
        self._known: List[str] = []

    def text(self, key: str, default: Optional[str] = None) -> str:
        """A text; required if there is no default."""
        value = self._get(key, str, "a text", default)
        assert isinstance(value, str)
        return value

    def text_or_none(self, key: str) -> Optional[str]:
        """A text that may be left out."""
        return self.text(key) if self._has(key) else None

    def whole(self, key: str, default: int, *, least: int = 0) -> int:
        """A whole number."""
        value = self._get(key, int, "a whole number", default)
        if value < least:
            raise self.error(key, f"must be at least {least}")
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        return bool(self._get(key, bool, "true or false", default))

    def texts(self, key: str, default: Sequence[str] = ()) -> Tuple[str, ...]:
        """A list of texts."""
        value = self._get(key, (list, tuple), "a list of texts", tuple(default))
        if not all(isinstance(item, str) for item in value):
            raise self.error(key, "must be a list of texts")
        return tuple(value)

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of some words."""
        value = self.text(key, default)
        if value not in choices:
            raise self.error(key, f"'{value}' is not one of {', '.join(choices)}{did_you_mean(value, choices)}")
        return value

    def table(self, key: str) -> Dict[str, Any]:
        """A table as it is; empty if left out."""
        return dict(self._get(key, dict, "a table", {}))

    def fields(self, key: str) -> Fields:
        """A table to be read the same way; empty if left out."""
        return Fields(self.table(key), f"{self._where}: {key}", self._wrong)

    def value(self, key: str) -> Any:
        """Whatever stands there; None if left out."""
        return self._table.get(key) if self._has(key) else None

    def end(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self._table:
            if key not in self._known:
                hint = did_you_mean(key, self._known)
                raise KitError(self._wrong, f"{self._where}: unknown key '{key}'{hint}", cure="correct or remove it")

    def error(self, key: str, what: str) -> KitError:
        """The error to raise for a key."""
        return KitError(self._wrong, f"{self._where}: {key} {what}", cure="correct it")

    def _has(self, key: str) -> bool:
        self._known.append(key)
        return key in self._table

    def _get(self, key: str, kind: Any, words: str, default: Any) -> Any:
        if not self._has(key):
            if default is None:
                raise KitError(self._wrong, f"{self._where}: {key} is missing", cure="add it")
            return default
        value = self._table[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"must be {words}")
        return value


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """` (did you mean X?)`, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
