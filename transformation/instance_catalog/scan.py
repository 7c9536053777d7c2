"""One pass over the lines of one file: objects flow to the sink, every other line goes to whoever asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import BinaryIO

import msgspec

from transformation.instance_catalog.grammar import OBJECT_LINE, SkyObject, check_bytes, read_object
from transformation.instance_catalog.ids import IdSpool
from transformation.instance_catalog.places import Places
from transformation.instance_catalog.problems import CatalogFault, FileInvalid, Findings, LineInvalid
from transformation.instance_catalog.source import check_length

_COUNTED_WORDS = 20


class ObjectSink(msgspec.Struct):
    """Where the valid objects of a visit end up: their lines in a file, the rest as counts."""

    out: BinaryIO | None
    ids: IdSpool
    count: int = 0
    places: Places = msgspec.field(default_factory=Places)
    unknown_words: Counter[str] = msgspec.field(default_factory=Counter)

    def put(self, lines: bytes, ids: list[bytes]) -> None:
        """Take whole object lines and their ids."""
        if self.out is not None:
            self.out.write(lines)
        self.ids.extend(ids)
        self.count += len(ids)

    def note_word(self, found: SkyObject) -> None:
        """Count an unknown spatial word; after so many different ones the others count together."""
        if (word := found.unknown_word) is not None:
            known = word in self.unknown_words or len(self.unknown_words) < _COUNTED_WORDS
            self.unknown_words[word if known else "others"] += 1


class FileScan(msgspec.Struct):
    """Reads one file.

    `other_line` gets the number and text of each line that is no object, comment or blank, and raises `LineInvalid`
    for a wrong one. Problems are collected; nothing is raised.
    """

    file: str
    sink: ObjectSink
    findings: Findings
    other_line: Callable[[int, str], None]
    lines_read: int = 0

    def read(self, blocks: Iterable[bytes]) -> None:
        """Read blocks of whole lines to the end, or to where the file becomes unreadable."""
        try:
            for block in blocks:
                self._block(block)
        except FileInvalid as cause:
            of_the_file = {CatalogFault.UNREADABLE, CatalogFault.TOO_LARGE}
            line = 0 if cause.fault in of_the_file else self.lines_read + 1
            self.findings.add(self.file, line, cause)

    def _block(self, block: bytes) -> None:
        ids = OBJECT_LINE.findall(block)
        if b"" not in ids:
            self.sink.places.note(self.sink.count + 1, self.file, self.lines_read + 1)
            self.sink.put(block, ids)
            self.lines_read += len(ids)
            return
        lines = block.split(b"\n")
        first_line = self.lines_read + 1
        ids = [self._line(line, id_text) for line, id_text in zip(lines, ids, strict=False)]
        objects = (line for line, id_text in enumerate(ids, start=first_line) if id_text)
        for number, line in enumerate(objects, start=self.sink.count + 1):
            self.sink.places.note(number, self.file, line)
        kept = b"".join(line + b"\n" for line, id_text in zip(lines, ids, strict=False) if id_text)
        self.sink.put(kept, list(filter(None, ids)))

    def _line(self, line: bytes, id_text: bytes) -> bytes:
        """The id, if this line is an object: known already, or found by the slow reading."""
        if not id_text:
            try:
                id_text = self._odd_line(line)
            except FileInvalid:
                raise
            except LineInvalid as cause:
                self.findings.add(self.file, self.lines_read + 1, cause)
        self.lines_read += 1
        return id_text

    def _odd_line(self, line: bytes) -> bytes:
        check_length(line)
        check_bytes(line)
        words = line.split(None, 1)
        if not words or words[0].startswith(b"#"):
            return b""
        if words[0] != b"object":
            self.other_line(self.lines_read + 1, line.decode("latin-1"))
            return b""
        found = read_object(line)
        self.sink.note_word(found)
        return found.id_text
