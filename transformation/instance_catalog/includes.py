"""`includeobj NAME`: which names are allowed, and where they lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from transformation.instance_catalog.problems import CatalogFault, FileInvalid, LineInvalid, shown
from transformation.instance_catalog.source import SizeLimits, Source

_LINE = re.compile(rb"^[ \t]*includeobj[ \t]+([^\s#]+)", re.MULTILINE)
_ALLOWED_NAME = re.compile(r"[A-Za-z0-9_][\w.,+=@-]*(?:/[\w.,+=@-]+)*", re.ASCII)


def check_name(name: str) -> None:
    """Raise `LineInvalid` for a name that leads out of the catalog's folder or needs quoting somewhere."""
    if not _is_allowed(name):
        raise LineInvalid(
            f"includeobj {shown(name)} is not allowed",
            "put the file into the catalog's folder and name it relative to that, with letters, digits and ._+-,=@",
            CatalogFault.INCLUDE_REFUSED,
        )


def names_in(catalog: Path, limits: SizeLimits) -> Iterator[str]:
    """The names that a catalog includes, for who has to fetch those files before the catalog can be read.

    Nothing is complained of here: a name that is not allowed is left out, and what is wrong with the catalog says
    whoever reads it.
    """
    try:
        with Source(catalog, limits) as source:
            for block in source.blocks():
                for name in _LINE.findall(block) if b"includeobj" in block else ():
                    text = name.decode("latin-1")
                    if _is_allowed(text):
                        yield text
    except FileInvalid:
        return


def beside(catalog: Path, name: str) -> Path:
    """The file of this name in the catalog's folder. Raises `LineInvalid` if it is missing or a link that leads out."""
    folder = catalog.parent.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise LineInvalid(
            f"includeobj {shown(name)} is a link that leads out of the catalog's folder",
            "copy the file into the folder",
            CatalogFault.INCLUDE_REFUSED,
        )
    if not path.exists():
        raise missing(name)
    return path


def missing(name: str) -> LineInvalid:
    """The problem of an include that nobody finds."""
    return LineInvalid(
        f"includeobj {shown(name)} does not exist", "add the file beside the catalog", CatalogFault.INCLUDE_MISSING
    )


def refuse_line(_line: int, text: str) -> None:
    """For a line of an included file that is no object: PhoSim reads nothing else there."""
    word = text.split(maxsplit=1)[0]
    fault = CatalogFault.INCLUDE_REFUSED if word == "includeobj" else CatalogFault.MALFORMED
    raise LineInvalid(
        f"an included file may hold only objects, but this line begins with {shown(word)}",
        "move the line into the catalog itself",
        fault,
    )


def _is_allowed(name: str) -> bool:
    parts = name.split("/")
    return _ALLOWED_NAME.fullmatch(name) is not None and ".." not in parts and "." not in parts
