"""ELF files: will the loader of every worker find what they need, wherever the release is mounted?"""

from __future__ import annotations

import posixpath
from typing import Dict, Iterator, List, Mapping, Tuple

from cvmfs_publish.checks.findings import Finding
from cvmfs_publish.checks.tree import Tree, resolve
from cvmfs_publish.elf import ET_CORE, Elf, ElfInvalid, is_elf, read_elf
from cvmfs_publish.platforms import GLIBC_LIBRARIES, LOADERS, WORKER_LIBRARIES, allowed, ceiling_of

ORIGIN = ("$ORIGIN", "${ORIGIN}")


def read_elves(tree: Tree, heads: Mapping[str, bytes]) -> Tuple[Dict[str, Elf], List[Finding]]:
    """The ELF files of a tree by path, and those that cannot be read; `heads` are the first bytes of each file."""
    elves: Dict[str, Elf] = {}
    damaged = []
    for path, head in heads.items():
        if not is_elf(head):
            continue
        try:
            elves[path] = read_elf(tree.root / path)
        except ElfInvalid as error:
            damaged.append(Finding("elf-damaged", path, f"not a whole ELF file: {error}"))
        except OSError as error:
            damaged.append(Finding("elf-damaged", path, f"cannot be read: {error.strerror}"))
    return elves, damaged


def check_elves(tree: Tree, elves: Mapping[str, Elf]) -> Iterator[Finding]:
    """Machine, loader, search paths, libraries, symbol versions."""
    inherited = [folder for path, elf in elves.items() if elf.is_program for folder in _inherited(path, elf)]
    if _wrapped(tree):
        inherited.append("lib")
    bundled = {elf.soname or posixpath.basename(path) for path, elf in elves.items()}
    for path, elf in elves.items():
        if elf.kind == ET_CORE:
            continue  # litter, which is said elsewhere
        if elf.machine != tree.demands.machine:
            yield Finding("elf-machine", path, f"built for {elf.machine}, workers have {tree.demands.machine}")
            continue
        if elf.interpreter is not None and elf.interpreter != LOADERS.get(elf.machine, elf.interpreter):
            yield Finding("elf-loader", path, f"asks for the loader {elf.interpreter}")
        yield from _search_path(path, elf)
        yield from _libraries(tree, path, elf, inherited)
        yield from _symbols(tree, path, elf, bundled)


def _wrapped(tree: Tree) -> bool:
    """Whether a script of the build tells some program where `lib/` is."""
    return bool(tree.release and tree.release.document.get("wrapped"))


def search_folders(path: str, elf: Elf) -> List[str]:
    """Where in the tree the loader looks for what this file needs; what leads elsewhere is left out."""
    own = posixpath.dirname(path)
    folders = []
    for part in elf.search_path.split(":"):
        for origin in ORIGIN:
            if part == origin or part.startswith(origin + "/"):
                folder = posixpath.normpath(posixpath.join(own, part[len(origin) :].lstrip("/")))
                if not folder.startswith(".."):
                    folders.append("" if folder == "." else folder)
    return folders


def _inherited(path: str, elf: Elf) -> List[str]:
    """What a program's RPATH adds for every library that it loads (RUNPATH adds nothing)."""
    return search_folders(path, elf) if elf.rpath and elf.runpath is None else []


def _search_path(path: str, elf: Elf) -> Iterator[Finding]:
    for part in elf.search_path.split(":") if elf.search_path else ():
        if not part.startswith(ORIGIN):
            yield Finding("elf-rpath", path, f"looks for libraries in '{part or 'the working directory'}'")
        elif posixpath.normpath(posixpath.join(posixpath.dirname(path), part.partition("/")[2])).startswith(".."):
            yield Finding("elf-rpath", path, f"looks for libraries outside the release: {part}")


def _libraries(tree: Tree, path: str, elf: Elf, inherited: List[str]) -> Iterator[Finding]:
    own = search_folders(path, elf)
    # A library is loaded by a program, whose RPATH serves it too unless it has a RUNPATH of its own.
    folders = own if elf.runpath is not None else own + inherited
    for library in elf.needed:
        if library in GLIBC_LIBRARIES or library in WORKER_LIBRARIES:
            continue
        if not any(resolve(tree.by_path, posixpath.join(folder, library)) for folder in folders):
            hint = _elsewhere(tree, library)
            yield Finding("elf-needed", path, f"needs {library}, which {hint or 'is not in the release'}")


def _elsewhere(tree: Tree, library: str) -> str:
    found = next((entry.path for entry in tree.entries if entry.name == library), None)
    return f"is in the release ({found}) but not where it looks" if found else ""


def _symbols(tree: Tree, path: str, elf: Elf, bundled: set[str]) -> Iterator[Finding]:
    ceiling = ceiling_of(tree.demands.workers)
    for library, symbols in elf.versions.items():
        if library in bundled and library not in GLIBC_LIBRARIES:
            continue
        too_new = sorted(symbol for symbol in symbols if allowed(symbol, ceiling) is False)
        if too_new:
            workers = ", ".join(tree.demands.workers)
            yield Finding("elf-symbols", path, f"needs {', '.join(too_new)} of {library}, newer than on {workers}")
