"""Strategies that spoil good documents the way the world does: by hand, by a cut write, by malice."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
}
settings.register_profile("bad-input", derandomize=True, **_COMMON)
settings.register_profile("bad-input-campaign", print_blob=True, **_COMMON)


def examples(few: int) -> settings:
    """So many examples, always the same; in a campaign, the number asked for, new ones each time."""
    asked = os.environ.get("IOD_FUZZ")
    if asked:
        return settings(settings.get_profile("bad-input-campaign"), max_examples=int(asked))
    return settings(settings.get_profile("bad-input"), max_examples=few)


NASTY_TEXTS = [
    *("", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "../outside/secret.txt", "a/../../outside/secret.txt"),
    *("/dev/zero", "/dev/stdin", "-", "--help", "-rf", "~", "~root", "*", "%s%n", "%00", "%2e%2e/x", "a\0b", "a\nb"),
    *("\r\n", "\x1b[31m", "\x07", "\u202e", "\u2028", "\ufeff", "\ud800", "\udcff", "é" * 300, "𝒳", "a" * 300),
    *("a" * 70_000, "$(touch pwned)", "$(PHOSIMDIR)", "$(PHOSIMDIR)/examples/../x", "${HOME}", "$HOME", "`id`", ";id"),
    *("|id", "a;b", "a&b", "a>b", '"', "'", "\\", "{}", "[]", "null", "nan", "1e999", "0x10", "1_000", "١٢٣", "²"),
    *("file:", "file://", "file:///etc/passwd", "file://host/x", "http://", "http://[::1", "root://", "rucio:"),
    *("rucio:a:b", "rucio::", "rucio:a:../b", "ftp://x/y", "data:", "data:;base64,!", "gopher://x", "root://h:x//y"),
    *("(a+)+$", "(" * 500, "[" * 50, "(?P<x>a)(?P<x>b)", "R22_S11|(", "\\", "(?i)r22_s11", "(.*)*x", "a{1,99999}"),
    *("CON", "R22_S11", "quicksim-tiny-1.0", "v1", "v1/.units", ".units", "object", "includeobj x", "1" * 5000),
]
NASTY_NUMBERS = [
    *(0, -1, 1, 2, 2**31, 2**32, 2**63, 2**64, 10**30, -(10**30), 10**400, 0.5, -0.0, 1e308, 5e-324),
    *(float("nan"), float("inf"), float("-inf"), 99999, 161899),
]

odd_texts = st.one_of(st.sampled_from(NASTY_TEXTS), st.text(max_size=20))
odd_numbers = st.one_of(st.sampled_from(NASTY_NUMBERS), st.integers(), st.floats())
odd_leaves = st.one_of(odd_texts, odd_numbers, st.sampled_from([None, True, False, [], {}, [[]], [{}], {"": 1}]))
odd_values = st.recursive(
    odd_leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3), max_leaves=5
)


def _places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths into a document, its root's left out."""
    children = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [place for key, child in children for place in [(*at, key), *_places(child, (*at, key))]]


@st.composite
def spoilt(draw: Any, good: Any, *, most: int = 3) -> Any:
    """The document with one to three things changed."""
    document = copy.deepcopy(draw(good) if isinstance(good, st.SearchStrategy) else good)
    for _ in range(draw(st.integers(1, most))):
        places = _places(document)
        if not places:
            return draw(odd_values)
        *path, key = draw(st.sampled_from(places))
        holder = document
        for step in path:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "wrap", "move", "repeat"])):
            case "replace":
                holder[key] = copy.deepcopy(draw(odd_values))  # samples are shared
            case "remove":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(odd_texts)] = copy.deepcopy(draw(odd_values))
            case "wrap":
                holder[key] = draw(st.sampled_from([[holder[key]], {"base": holder[key]}, {"x": holder[key]}]))
            case "move":
                holder[key] = draw(st.sampled_from(places))[-1]
            case _ if isinstance(holder, list):
                holder.extend(copy.deepcopy([holder[key]] * draw(st.sampled_from([1, 50]))))
    return document


@st.composite
def json_texts(draw: Any, documents: Any) -> bytes:
    """As JSON, maybe not quite: NaN and lone surrogates as Python writes them, keys twice, too deep."""
    document = draw(documents)
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    match draw(st.sampled_from(["as it is"] * 8 + ["twice", "deep", "bom", "after"])):
        case "twice" if text.startswith("{") and len(text) > 2:
            text = text[:-1] + ", " + text[1:]
        case "deep":
            text = text[:-1] + ', "x": ' + "[" * 5000
        case "bom":
            text = "\ufeff" + text
        case "after":
            text += draw(odd_texts)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: Any, good: bytes) -> bytes:
    """The bytes after an accident: cut, overwritten, repeated, with something in between."""
    content = good
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        odd = draw(st.one_of(st.binary(max_size=20), odd_texts.map(lambda text: text.encode("utf-8", "surrogatepass"))))
        match draw(st.sampled_from(["cut", "overwritten", "between", "hole", "again", "headless"])):
            case "cut":
                content = content[:start]
            case "overwritten":
                content = content[:start] + odd + content[end:]
            case "between":
                content = content[:start] + odd + content[start:]
            case "hole":
                content = content[:start] + content[end:]
            case "again":
                content = content[:end] + content[start:]
            case _:
                content = content[start:]
    return content


@st.composite
def spoilt_lines(draw: Any, good: str, *, words: list[str] | None = None) -> bytes:
    """A text of lines and words with some of them changed: what a careless script writes."""
    lines = [line.split(" ") for line in good.splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        odd = draw(st.one_of(odd_texts, odd_numbers.map(str), st.sampled_from(words or ["x"])))
        match draw(st.sampled_from(["word", "word", "word", "more", "less", "line", "no line", "twice"])):
            case "word" if lines[at]:
                lines[at][draw(st.integers(0, len(lines[at]) - 1))] = odd
            case "more":
                lines[at].append(odd)
            case "less" if lines[at]:
                del lines[at][draw(st.integers(0, len(lines[at]) - 1))]
            case "line":
                lines.insert(at, [odd])
            case "no line" if len(lines) > 1:
                del lines[at]
            case _:
                lines.insert(at, list(lines[at]))
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", ""]))
    return (end.join(" ".join(line) for line in lines) + end).encode("utf-8", "surrogatepass")


def as_toml(document: dict[str, Any]) -> str:
    """A document of tables as TOML."""
    plain = [f"{_key(key)} = {_toml(value)}\n" for key, value in document.items() if not isinstance(value, dict)]
    tables = [
        f"[{_key(key)}]\n" + "".join(f"{_key(name)} = {_toml(one)}\n" for name, one in value.items())
        for key, value in document.items()
        if isinstance(value, dict)
    ]
    return "".join(plain + tables)


def _key(key: object) -> str:
    return json.dumps(str(key))


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return json.dumps(value)
        case None:
            return "nul"
        case _:
            return repr(value)
