"""Spectra that a job brings along: one tree of links for the simulator, the release's library and the job's own folder.

PhoSim takes one folder of SEDs (`--sed`), and objects name spectra relative to it, `../sky/sed_flat.txt` among them: so
the tree stands in a `data` folder of its own, beside links to the rest of the release's data.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from transformation.model.failures import Failure, JobError

_KEY = "'options.seds'"


def checksum_of_seds(own: Path) -> str:
    """sha256 over names and bytes of all files in the job's folder. Raises `JobError` SPEC_INVALID."""
    if not own.is_dir():
        raise JobError(Failure.SPEC_INVALID, f"{_KEY}: {own} is not a folder")
    total = hashlib.sha256()
    try:
        for path in sorted(path for path in own.rglob("*") if path.is_file()):
            total.update(f"{path.relative_to(own)}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    except OSError as error:
        raise JobError(Failure.SPEC_INVALID, f"{_KEY}: {error.filename}: {error.strerror}") from None
    return total.hexdigest()


def link_seds(library: Path, own: Path, tree: Path) -> None:
    """Make `tree`, which holds both; `library` is `data/SEDs` of the release.

    Neither shadows the other: a spectrum that is in both is refused. Raises `JobError` SPEC_INVALID.
    """
    tree.parent.mkdir(parents=True, exist_ok=True)
    for beside in library.parent.iterdir():
        if beside.name != library.name and not (tree.parent / beside.name).exists():
            (tree.parent / beside.name).symlink_to(beside)
    _merge(library, own.absolute(), tree, Path())


def _merge(library: Path, own: Path, tree: Path, place: Path) -> None:
    """Link what only one of the two has; folders that both have become folders of the tree."""
    tree.mkdir(exist_ok=True)
    theirs = {path.name: path for path in library.iterdir()} if library.is_dir() else {}
    ours = {path.name: path for path in own.iterdir()}
    for name, path in {**theirs, **ours}.items():
        if name not in theirs or name not in ours:
            if not (tree / name).is_symlink():
                (tree / name).symlink_to(path)
        elif theirs[name].is_dir() and ours[name].is_dir():
            _merge(theirs[name], ours[name], tree / name, place / name)
        else:
            detail = f"{_KEY}: {place / name} is in the release's library, too; give yours another name"
            raise JobError(Failure.SPEC_INVALID, detail)
