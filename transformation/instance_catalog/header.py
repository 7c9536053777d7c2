"""Header lines: one catalog's, those of several catalogs merged, and the release's defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from transformation.instance_catalog.grammar import NUMBER
from transformation.instance_catalog.header_keys import KEYS, UNUSED_KEYS, loose_name, strict_name
from transformation.instance_catalog.problems import CatalogFault, Findings, LineInvalid, shown

_UNKNOWN_KEY = re.compile(r"[A-Za-z_][\w.:-]{0,99}", re.ASCII)
_OBJECT_LIKE_WORDS = 12
_NAMED_UNKNOWN_KEYS = 20


class HeaderValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value and the place it was read from."""

    text: str
    file: str
    line: int


class HeaderReader(msgspec.Struct):
    """Takes the header lines of one catalog; the last value of a key wins, as in PhoSim.

    A key that nobody knows is ignored with a warning, unless PhoSim 3.4, which matches words by substring, would take
    it for a key that it is not, with another value than ours: then nobody can say what was meant, and it is an error.
    """

    file: str
    values: dict[str, HeaderValue] = msgspec.field(default_factory=dict)
    repeated: dict[str, str] = msgspec.field(default_factory=dict)
    """A warning for each key given twice with different values."""
    unknown: dict[str, int] = msgspec.field(default_factory=dict)
    """Unknown keys and the line of the first of each, a limited number of them."""
    unknown_count: int = 0
    _mistakable: dict[str, tuple[str, HeaderValue]] = msgspec.field(default_factory=dict)

    def take(self, line: int, text: str) -> None:
        """Read one line that is no object, include or comment. Raises `LineInvalid`."""
        word, _, rest = text.strip().partition("#")[0].replace("\t", " ").partition(" ")
        value = " ".join(rest.split())
        key = strict_name(word)
        if key is None:
            self._take_unknown(line, word, value)
        elif not value:
            raise LineInvalid(f"header key {word} has no value", "give it one, or remove the line to use the default")
        else:
            self._store(key.name, HeaderValue(text=key.read(value), file=self.file, line=line))

    def _store(self, name: str, new: HeaderValue) -> None:
        old = self.values.get(name)
        if old is not None and not _same(old.text, new.text):
            self.repeated[name] = f"{self.file}:{new.line}: {name} {new.text} replaces {old.text} of line {old.line}"
        self.values[name] = new
        self._mistakable.pop(name, None)

    def _take_unknown(self, line: int, word: str, value: str) -> None:
        if _UNKNOWN_KEY.fullmatch(word) is None:
            raise LineInvalid(
                f"{shown(word)} begins neither a header line, an object, an include nor a comment",
                "remove the line, or put # in front of it",
            )
        if "object" in word.lower() or len(value.split()) + 1 >= _OBJECT_LIKE_WORDS:
            raise LineInvalid(f"{shown(word)} looks like an object line, but is not", "begin it with the word object")
        if word in UNUSED_KEYS:
            return
        self.unknown_count += 1
        if word not in self.unknown and len(self.unknown) < _NAMED_UNKNOWN_KEYS:
            self.unknown[word] = line
        if (mistaken := loose_name(word)) is not None:
            self._mistakable[mistaken.name] = (word, HeaderValue(text=value, file=self.file, line=line))

    def report_mistakable(self, findings: Findings) -> None:
        """At the end of the file: report keys for which PhoSim's reading and ours differ."""
        for name, (word, loose) in self._mistakable.items():
            ours = self.values.get(name)
            if ours is None or not _same(ours.text, loose.text):
                what = f"PhoSim would take the unknown key {word} {shown(loose.text)} for {name}"
                remedy = f"rename the key to {name} if that is meant, or remove the line"
                findings.add(self.file, loose.line, LineInvalid(what, remedy))


def merge(headers: Sequence[HeaderReader], findings: Findings) -> dict[str, HeaderValue]:
    """The headers of catalogs that are appended in this order: the first value stands, another one is a conflict."""
    merged: dict[str, HeaderValue] = {}
    for header in headers:
        for name, new in header.values.items():
            first = merged.setdefault(name, new)
            if not _same(first.text, new.text):
                what = f"{name} is {new.text}, but {first.text} in {first.file}:{first.line}"
                remedy = "catalogs of one visit must agree: correct one of them, or run them as two visits"
                findings.add(new.file, new.line, LineInvalid(what, remedy, CatalogFault.CONFLICT))
    return merged


def complete(given: Mapping[str, HeaderValue], defaults: Mapping[str, str], findings: Findings) -> dict[str, str]:
    """All keys that have a value, in the order of PhoSim's chain: what was given, else the release's default."""
    header: dict[str, str] = {}
    for key in KEYS:
        try:
            if key.name in given:
                header[key.name] = given[key.name].text
            elif key.name in defaults:
                header[key.name] = key.read(defaults[key.name])
        except LineInvalid as cause:
            what = f"{cause.what} (the default of the release, as the catalog gives none)"
            findings.add("default_instcat", 0, LineInvalid(what, f"give {key.name} in the catalog"))
    _check_exposure_time(header, given, findings)
    return header


def _check_exposure_time(header: Mapping[str, str], given: Mapping[str, HeaderValue], findings: Findings) -> None:
    """Only a bias, taken with the dome closed, may last no time at all."""
    if float(header.get("vistime", 1)) == 0 and header.get("telconfig") != "1":
        place = given.get("vistime", HeaderValue(text="", file="default_instcat", line=0))
        cause = LineInvalid("vistime is 0, which only telconfig 1 (dome closed) allows", "give it in seconds")
        findings.add(place.file, place.line, cause)


def default_warning(given: Mapping[str, HeaderValue], header: Mapping[str, str]) -> list[str]:
    """One warning that names the keys left to the release, or none. The instrument's state is left to it always."""
    used = [f"{key.name} {header[key.name]}" for key in KEYS if _is_left_out(key.name, given, header)]
    return [f"the catalog leaves these to the release's defaults: {', '.join(used)}"] if used else []


def _is_left_out(name: str, given: Mapping[str, HeaderValue], header: Mapping[str, str]) -> bool:
    return name in header and name not in given and name in _VISIT_KEYS


_VISIT_KEYS = frozenset(key.name for key in KEYS if key.describes_visit)


def unknown_warning(headers: Iterable[HeaderReader]) -> list[str]:
    """One warning that lists the keys nobody knows, or none."""
    named = [f"{key} ({header.file}:{line})" for header in headers for key, line in header.unknown.items()]
    return [f"header keys that nobody knows were ignored: {', '.join(named)}"] if named else []


def read_defaults(default_instcat: Path) -> dict[str, str]:
    """A release's `default_instcat`, under short names; lines that are no known key with a value are left out.

    Raises OSError if it cannot be read. Values are checked only where a catalog needs them.
    """
    defaults: dict[str, str] = {}
    for line in default_instcat.read_text(encoding="latin-1").splitlines():
        word, *values = line.partition("#")[0].split()[:200] or [""]
        key = strict_name(word) or loose_name(word)
        if key is not None and values:
            defaults[key.name] = " ".join(values)
    return defaults


def header_lines(given: Mapping[str, str]) -> list[str]:
    """The lines `key value` of a catalog header.

    Short names alone: PhoSim 3.4 finds each of them by substring, no earlier link of its chain being part of one, and
    5/6 read them too.
    """
    return [f"{key.name} {given[key.name]}" for key in KEYS if key.name in given]


def _same(one: str, other: str) -> bool:
    """Whether two values are equal as numbers, or as text if they are none."""
    if NUMBER.fullmatch(one) and NUMBER.fullmatch(other):
        return float(one) == float(other)
    return one == other
