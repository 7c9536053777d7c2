"""The catalogs of one visit: validated and appended in one streaming pass, whatever their size.

PhoSim 3.4 accepts malformed object lines without a word, so this check is all that a user has. PhoSim also matches
header words by substring in *every* line of a catalog, comments and object lines too. Therefore the objects go to a
file of their own: the simulator gets a header that we write, which names that file by `includeobj`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import msgspec

from transformation.instance_catalog import header, includes
from transformation.instance_catalog.ids import RUN_IDS, IdSpool, IdSummary
from transformation.instance_catalog.problems import CatalogInvalid, FileInvalid, Findings, LineInvalid
from transformation.instance_catalog.scan import FileScan, ObjectSink
from transformation.instance_catalog.source import BLOCK_BYTES, SIZE_LIMITS, SizeLimits, Source
from transformation.instance_catalog.visit import ESSENTIAL_KEYS, InstanceCatalog

OBJECTS_NAME = "sources.txt"
"""A name for that file that is safe in an `includeobj` line: it holds no header word, nor `object`."""

Include = Callable[[Path, str], Path]
"""Finds the file that a catalog includes by a (checked) name. Raises FileNotFoundError if there is none."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is held in memory, which tests set small, and how large a file may be."""

    block_bytes: int = BLOCK_BYTES
    run_ids: int = RUN_IDS
    sizes: SizeLimits = SIZE_LIMITS


def read_instance_catalogs(
    catalogs: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    defaults: Mapping[str, str],
    objects_out: Path | None,
    spool: Path,
    include: Include | None = None,
    limits: Limits | None = None,
) -> InstanceCatalog:
    """Validate the catalogs of a visit, appended in order, and write their objects to one plain file.

    `names` are what messages call the catalogs; `defaults` come from `read_defaults`; `spool` is a folder for a
    temporary file; `include` finds included files, by default beside the catalog. `objects_out` gets the object lines
    alone, unchanged but for a plain newline: of each catalog first its own, then those it includes, as PhoSim orders
    them. Raises `CatalogInvalid` (then `objects_out` is gone), and OSError for `objects_out` and `spool`.
    """
    limits = limits or Limits()
    findings = Findings()
    with _objects_file(objects_out) as out, IdSpool(spool, limits.run_ids) as ids:
        visit = _VisitReader(
            sink=ObjectSink(out=out, ids=ids), findings=findings, include=include or includes.beside, limits=limits
        )
        for path, name in zip(catalogs, names or [str(path) for path in catalogs], strict=True):
            visit.read_catalog(path, name)
        return visit.result(defaults)


@contextmanager
def _objects_file(path: Path | None) -> Iterator[BinaryIO | None]:
    """The file for the objects; removed again if the catalogs turn out to be invalid."""
    if path is None:
        yield None
        return
    with path.open("wb") as out:
        try:
            yield out
        except (CatalogInvalid, OSError):
            path.unlink()
            raise


class _VisitReader(msgspec.Struct):
    """Gathers what the files of one visit say."""

    sink: ObjectSink
    findings: Findings
    include: Include
    limits: Limits
    headers: list[header.HeaderReader] = msgspec.field(default_factory=list)
    sha256: list[str] = msgspec.field(default_factory=list)
    size_bytes: int = 0

    def read_catalog(self, path: Path, name: str) -> None:
        """Read a catalog, then what it includes."""
        keys = header.HeaderReader(name)
        included: list[tuple[int, str]] = []

        def other_line(line: int, text: str) -> None:
            word, *values = text.partition("#")[0].split()
            if word != "includeobj":
                keys.take(line, text)
            elif len(values) != 1:
                raise LineInvalid(f"includeobj needs one file name, not {len(values)}", "one line for each file")
            else:
                includes.check_name(values[0])
                included.append((line, values[0]))

        before = self.findings.total, self.sink.count
        self._read_file(path, name, other_line)
        if before == (self.findings.total, self.sink.count) and not keys.values and not included:
            self._report(name, 0, "no known header key and no object in it: this is no instance catalog")
        keys.report_mistakable(self.findings)
        self.headers.append(keys)
        for line, include_name in included:
            self._read_include(path, name, line, include_name)

    def _read_include(self, catalog: Path, catalog_name: str, line: int, name: str) -> None:
        try:
            path = self.include(catalog, name)
        except FileNotFoundError:
            self.findings.add(catalog_name, line, includes.missing(name))
            return
        except LineInvalid as cause:
            self.findings.add(catalog_name, line, cause)
            return
        before = self.findings.total, self.sink.count
        self._read_file(path, name, includes.refuse_line)
        if before == (self.findings.total, self.sink.count):
            self._report(name, 0, f"no object in it (included by {catalog_name}:{line})")

    def _read_file(self, path: Path, name: str, other_line: Callable[[int, str], None]) -> None:
        try:
            with Source(path, self.limits.sizes) as source:
                FileScan(name, self.sink, self.findings, other_line).read(source.blocks(self.limits.block_bytes))
                self.sha256.append(source.sha256)
                self.size_bytes += source.size_bytes
        except FileInvalid as cause:
            self.findings.add(name, 0, cause)

    def result(self, defaults: Mapping[str, str]) -> InstanceCatalog:
        """What the visit's files say together. Raises `CatalogInvalid`."""
        given = header.merge(self.headers, self.findings)
        complete = header.complete(given, defaults, self.findings)
        for name in ESSENTIAL_KEYS:
            if name not in complete and name not in defaults:
                self._report("default_instcat", 0, f"{name} is neither in the catalog nor in the release's defaults")
        self.findings.raise_as_catalog()
        return InstanceCatalog(
            header=MappingProxyType(complete),
            given=MappingProxyType({name: value.text for name, value in given.items()}),
            n_objects=self.sink.count,
            sha256=tuple(self.sha256),
            size_bytes=self.size_bytes,
            places=self.sink.places,
            warnings=tuple(self._warnings(given, complete)),
        )

    def _warnings(self, given: Mapping[str, header.HeaderValue], complete: Mapping[str, str]) -> Iterator[str]:
        yield from header.default_warning(given, complete)
        yield from header.unknown_warning(self.headers)
        for keys in self.headers:
            yield from keys.repeated.values()
        yield from _spatial_warning(self.sink.unknown_words)
        yield from _id_warning(self.sink.ids.summary())

    def _report(self, file: str, line: int, what: str) -> None:
        self.findings.add(file, line, LineInvalid(what, "check where the file comes from, and complete it"))


def _spatial_warning(counts: Mapping[str, int]) -> list[str]:
    words = ", ".join(f"{word} ({count})" for word, count in counts.items())
    return [f"objects with a spatial word that PhoSim does not know count as points: {words}"] if words else []


def _id_warning(found: IdSummary) -> list[str]:
    parts = []
    if found.repeats:
        parts.append(f"{found.repeats} repeat an earlier one, e.g. {found.repeat_example:.17g}")
    if found.fractions:
        parts.append(f"{found.fractions} are not whole numbers, e.g. {found.fraction_example:.17g}")
    return [f"object ids (doubles in PhoSim): {'; '.join(parts)}"] if parts else []
