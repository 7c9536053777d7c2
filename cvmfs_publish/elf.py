"""What an ELF file asks of the machine that is to run it, read from its bytes (format: the System V ABI, `elf.h`)."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple, Union

Data = Union[bytes, mmap.mmap]

MAGIC = b"\x7fELF"
ET_EXEC, ET_DYN, ET_CORE = 2, 3, 4
DT_NULL, DT_NEEDED, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 6, 10, 14, 15, 29
DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 21: "ppc64", 243: "riscv64"}
_MOST_ENTRIES = 100_000
"""Of a table: more means that the file is damaged."""


class ElfInvalid(Exception):
    """The file begins like ELF but is cut short or senseless."""


@dataclass(frozen=True)
class DynamicEntry:
    """One row of the dynamic section."""

    tag: int
    value: int
    offset: int
    """Of the row in the file."""


@dataclass(frozen=True)
class Elf:
    """The facts of one file."""

    machine: str
    kind: int
    """ET_EXEC, ET_DYN, ET_CORE, or another number of the ABI."""
    interpreter: Optional[str]
    """The loader, such as /lib64/ld-linux-x86-64.so.2; None for a library or a static program."""
    needed: Tuple[str, ...]
    soname: Optional[str]
    rpath: Optional[str]
    runpath: Optional[str]
    versions: Dict[str, Tuple[str, ...]]
    """Library: the symbol versions that are needed of it, e.g. libc.so.6: GLIBC_2.34."""
    dynamic: Tuple[DynamicEntry, ...]
    names_offset: int
    """Of the dynamic string table in the file; 0 if there is none."""
    names_size: int

    @property
    def search_path(self) -> str:
        """Where the loader is told to look; RUNPATH silences RPATH."""
        return self.runpath if self.runpath is not None else self.rpath or ""

    @property
    def is_program(self) -> bool:
        """Whether it can be started (a position-independent program is ET_DYN with an interpreter)."""
        return self.kind == ET_EXEC or self.interpreter is not None


def is_elf(head: bytes) -> bool:
    """Whether a file that begins so is ELF."""
    return head[:4] == MAGIC


def read_elf(path: Path) -> Elf:
    """The facts of a file; raises `ElfInvalid` and OSError."""
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data).elf()
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            raise ElfInvalid(str(error)) from None


class Words:
    """Numbers of one file in its own word size and byte order."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self.is_64 = data[4] == 2
        self._order = "<" if data[5] == 1 else ">"
        self.dynamic_size = 16 if self.is_64 else 8

    def at(self, offset: int, form: str) -> Tuple[int, ...]:
        """Numbers at a place; `form` as in `struct`, N for the word of the file."""
        form = self._order + form.replace("N", "Q" if self.is_64 else "I")
        return struct.unpack_from(form, self._data, offset)

    def pack(self, form: str, *numbers: int) -> bytes:
        """The bytes of numbers."""
        return struct.pack(self._order + form.replace("N", "Q" if self.is_64 else "I"), *numbers)


class _Reader:
    def __init__(self, data: Data) -> None:
        self._data = data
        self._words = Words(data)
        self._segments = list(self._read_segments())

    def elf(self) -> Elf:
        kind, machine = self._words.at(16, "HH")
        dynamic = list(self._dynamic())
        first: Dict[int, int] = {}
        for entry in dynamic:
            first.setdefault(entry.tag, entry.value)
        names = self._offset(first[DT_STRTAB]) if DT_STRTAB in first else 0

        def name_of(tag: int) -> Optional[str]:
            return self._name(names + first[tag]) if tag in first and names else None

        return Elf(
            machine=_MACHINES.get(machine, f"machine {machine}"),
            kind=kind,
            interpreter=next((self._name(start) for type_, start, _, _ in self._segments if type_ == _PT_INTERP), None),
            needed=tuple(self._name(names + entry.value) for entry in dynamic if names and entry.tag == DT_NEEDED),
            soname=name_of(DT_SONAME),
            rpath=name_of(DT_RPATH),
            runpath=name_of(DT_RUNPATH),
            versions=self._versions(first, names),
            dynamic=tuple(dynamic),
            names_offset=names,
            names_size=first.get(DT_STRSZ, 0),
        )

    def _read_segments(self) -> Iterator[Tuple[int, int, int, int]]:
        """Type, offset in the file, address in memory, size in the file."""
        (table,) = self._words.at(32 if self._words.is_64 else 28, "N")
        size, count = self._words.at(54 if self._words.is_64 else 42, "HH")
        for index in range(count):
            start = table + index * size
            if self._words.is_64:
                type_, _, offset, address, _, length = self._words.at(start, "IIQQQQ")
            else:
                type_, offset, address, _, length = self._words.at(start, "IIIII")
            yield type_, offset, address, length

    def _offset(self, address: int) -> int:
        """Where in the file an address of memory is."""
        for type_, offset, start, length in self._segments:
            if type_ == _PT_LOAD and start <= address < start + length:
                return offset + address - start
        raise ElfInvalid(f"address {address:#x} is in no segment")

    def _name(self, offset: int) -> str:
        end = self._data.find(b"\0", offset)
        if end < 0 or end - offset > 65536:
            raise ElfInvalid("a name does not end")
        return self._data[offset:end].decode("utf-8", "surrogateescape")

    def _dynamic(self) -> Iterator[DynamicEntry]:
        for type_, offset, _, length in self._segments:
            if type_ != _PT_DYNAMIC:
                continue
            for place in range(offset, offset + length, self._words.dynamic_size):
                tag, value = self._words.at(place, "NN")
                if tag == DT_NULL:
                    return
                yield DynamicEntry(tag, value, place)

    def _versions(self, first: Dict[int, int], names: int) -> Dict[str, Tuple[str, ...]]:
        found: Dict[str, List[str]] = {}
        if DT_VERNEED not in first or not names:
            return {}
        place = self._offset(first[DT_VERNEED])
        for _ in range(min(first.get(DT_VERNEEDNUM, 0), _MOST_ENTRIES)):
            _, count, library, inner, following = self._words.at(place, "HHIII")
            versions = found.setdefault(self._name(names + library), [])
            inner += place
            for _ in range(count):
                _, _, _, name, step = self._words.at(inner, "IHHII")
                versions.append(self._name(names + name))
                inner += step
            place += following
        return {library: tuple(versions) for library, versions in found.items()}
