"""Check a site file: everything that is wrong in it, with its line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from site_configs.gaps import KeyPath, shown
from site_configs.lines import line_numbers, line_of
from site_configs.load import DEFAULTS, Layer, SiteInvalid, load_with_gaps, merge, read_layer
from site_configs.schema import Site
from site_configs.walk import findings

_SYNTAX_LINE = re.compile(r"\(at line (\d+), column \d+\)\Z")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, doubtful or to be set by the site."""

    level: Literal["error", "warning"]
    line: int
    key: str
    """`storage.endpoints[0].url`; empty for the whole file."""
    message: str

    def __str__(self) -> str:
        return f"{self.level}: " + (f"'{self.key}': " if self.key else "") + self.message


def check_file(path: Path) -> list[Problem]:
    """All problems of a site's file laid over the defaults, by line."""
    try:
        layer = read_layer(path)
    except SiteInvalid as error:
        message = str(error).removeprefix(f"{path}: ")
        return [Problem(level="error", line=_syntax_line(message, path), key="", message=message)]
    problems = list(_problems(layer))
    return sorted(problems, key=lambda one: (one.line, one.key))


def has_errors(problems: list[Problem]) -> bool:
    """Whether a job would refuse the file whatever the site sets."""
    return any(one.level == "error" for one in problems)


def _syntax_line(message: str, path: Path) -> int:
    """Where the parser stopped."""
    if found := _SYNTAX_LINE.search(message):
        return int(found[1])
    return len(path.read_bytes().split(b"\n")) if message.endswith("(at end of document)") else 1


def _problems(layer: Layer) -> Iterator[Problem]:
    lines = line_numbers(layer.text)
    merged = merge(read_layer(DEFAULTS).document, layer.document)
    good = True
    for finding in findings(merged, msgspec.inspect.type_info(Site)):
        good = good and finding.is_gap
        yield Problem(
            level="warning" if finding.is_gap else "error",
            line=line_of(finding.path, lines),
            key=shown(finding.path),
            message=finding.message,
        )
    if good:
        site, _ = load_with_gaps(layer.path)
        for path, message in _doubts(site, layer.path):
            yield Problem(level="warning", line=line_of(path, lines), key=shown(path), message=message)


def _doubts(site: Site, file: Path) -> Iterator[tuple[KeyPath, str]]:
    """What is valid, and probably not meant."""
    if site.name != file.stem:
        yield ("name",), f"the file is called {file.name}: call it {site.name}.toml"
    offered, default = site.releases.offered, site.releases.default
    if offered and default is not None and default not in offered:
        yield ("releases", "default"), f"'{default}' is not among releases.offered"
    for index, queue in enumerate(site.panda.queues):
        if queue.memory_mb is not None and queue.memory_mb <= queue.min_memory_mb:
            yield ("panda", "queues", index, "memory_mb"), "no job fits: it is not above min_memory_mb"
    for name, count in Counter(queue.name for queue in site.panda.queues).items():
        if count > 1:
            yield ("panda", "queues"), f"{count} queues are called '{name}'"
    if site.catalog.rucio is not None and site.catalog.kind != "rucio":
        yield ("catalog", "rucio"), f"not used: catalog.kind is '{site.catalog.kind}'"
