"""What the checks of catalogs and of command files find, and the two exceptions that carry it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

SHOWN_PROBLEMS = 20
"""So many problems are kept and printed; the others are only counted."""


class CatalogFault(Enum):
    """What kind of failure an invalid catalog is: who has to act depends on it."""

    MALFORMED = "a line or a value is wrong"
    CONFLICT = "the headers of two catalogs differ"
    INCLUDE_REFUSED = "an include outside the catalog's folder, or one inside another"
    INCLUDE_MISSING = "an included file is not there"
    UNREADABLE = "a file cannot be read to its end"
    TOO_LARGE = "a file is larger, or unpacks to more, than is allowed"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One finding."""

    file: str
    """The file's name as the user gave it."""
    line: int
    """Counted from 1; 0 is the file as a whole."""
    what: str
    """One sentence naming the key or field and its value."""
    remedy: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}; {self.remedy}"


class _Invalid(Exception):
    """Problems that make an input unusable: the first ones in full, the others as a count."""

    def __init__(self, problems: Sequence[Problem], total: int) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)
        self.total = total

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if more := self.total - len(lines):
            lines.append(f"... and {more} more")
        return "\n".join(lines)


class CatalogInvalid(_Invalid):
    """The instance catalogs of a visit cannot be simulated. `kind` is that of the first problem found."""

    def __init__(self, problems: Sequence[Problem], total: int, kind: CatalogFault) -> None:
        super().__init__(problems, total)
        self.kind = kind


class CommandsInvalid(_Invalid):
    """The physics commands cannot be used."""


class LineInvalid(Exception):
    """The line in hand is wrong: what, and the remedy. Who knows the file and the number makes a `Problem` of it."""

    def __init__(self, what: str, remedy: str, fault: CatalogFault = CatalogFault.MALFORMED) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.fault = fault


class FileInvalid(LineInvalid):
    """The same, where nothing more can be read from the file."""


class Findings(msgspec.Struct):
    """Collects problems in bounded memory, however many there are."""

    problems: list[Problem] = msgspec.field(default_factory=list)
    total: int = 0
    kind: CatalogFault = CatalogFault.MALFORMED

    def add(self, file: str, line: int, cause: LineInvalid) -> None:
        """Record one problem of a line, or with line 0 of a file."""
        if self.total == 0:
            self.kind = cause.fault
        if self.total < SHOWN_PROBLEMS:
            self.problems.append(Problem(file=file, line=line, what=cause.what, remedy=cause.remedy))
        self.total += 1

    def raise_as_catalog(self) -> None:
        """Raise `CatalogInvalid` if anything was found."""
        if self.total:
            raise CatalogInvalid(self.problems, self.total, self.kind)

    def raise_as_commands(self) -> None:
        """Raise `CommandsInvalid` if anything was found."""
        if self.total:
            raise CommandsInvalid(self.problems, self.total)


def shown(value: str) -> str:
    """A foreign value for a message: quoted, printable, and never long."""
    return ascii(value if len(value) <= 60 else value[:57] + "...")
