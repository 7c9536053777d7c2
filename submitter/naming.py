"""Names of jobs: `%u-%t-%n` becomes `tonyj-ImsimOnDemand-00019`, and no two jobs of a user get the same.

Which number is free is settled where the images will stand, since a user has several machines: a job's name belongs
to whoever creates `BASE/USER/NAME/.inputs/request.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping

import msgspec

from transformation.model.failures import Failure, JobError

_DIGITS = 5
_KNOWN = re.compile(r"%(.?)")


class NamePattern(msgspec.Struct, frozen=True, kw_only=True):
    """A name of which the number may still be open."""

    before: str
    after: str
    numbered: bool

    @classmethod
    def of(cls, document: MutableMapping[str, object], default: str) -> NamePattern:
        """The pattern of a job document, user and task filled in. Raises `JobError` SPEC_INVALID."""
        text = document.get("name", default)
        if not isinstance(text, str):
            raise JobError(Failure.SPEC_INVALID, "'name': it is no text")
        odd = next((found for found in _KNOWN.findall(text) if found not in {"u", "t", "n"}), None)
        if odd is not None or text.count("%n") > 1:
            raise JobError(
                Failure.SPEC_INVALID,
                f"'name': in '{text}' only %u (user), %t (task) and one %n (number) are filled in",
            )
        # One after the other: a task that is called `%u` must not be filled in again; it is refused later.
        pieces = [
            piece.replace("%t", "\0").replace("%u", str(document["user"])).replace("\0", str(document["task"]))
            for piece in text.split("%n")
        ]
        return cls(before=pieces[0], after="".join(pieces[1:]), numbered=len(pieces) > 1)

    def name(self, number: int) -> str:
        """With that number."""
        return f"{self.before}{number:0{_DIGITS}d}{self.after}" if self.numbered else self.before

    @property
    def stand_in(self) -> str:
        """A name of the same form, for checks."""
        return self.name(0)

    @property
    def shown(self) -> str:
        """For people, before the number is known."""
        return f"{self.before}{'#' * _DIGITS}{self.after}" if self.numbered else self.before

    def numbers(self, names: Iterable[str]) -> list[int]:
        """The numbers that names of this form carry."""
        form = re.compile(rf"{re.escape(self.before)}(\d{{1,15}}){re.escape(self.after)}")
        return [int(found[1]) for name in names if self.numbered and (found := form.fullmatch(name))]


def instance_of(name: str) -> int:
    """The number that PanDA's 2014 fields ask for (PROCESSINSTANCE): the one in the name, else one made from it."""
    import zlib

    found = re.search(r"(\d{1,9})(?!.*\d)", name)
    return int(found[1]) if found else zlib.crc32(name.encode()) % 100_000_000
