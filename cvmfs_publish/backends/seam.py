"""What every way to publish offers. A backend carries out edits; it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Protocol

from cvmfs_publish.backends.edits import Edit
from cvmfs_publish.exits import KitError


@dataclass(frozen=True)
class Label:
    """What a revision is called."""

    tag: Optional[str]
    """Unique in the repository; None where a revision needs no name."""
    message: str


@dataclass(frozen=True)
class Published:
    """The revision that an edit made."""

    revision: Optional[int]
    """None where the backend has no revisions of its own that it could name."""
    root_hash: Optional[str]
    tag: Optional[str]


class Backend(Protocol):
    """A way to publish."""

    @property
    def root(self) -> Path:
        """Where what is published can be read."""

    def resume(self) -> None:
        """Complete or undo what a killed run of the kit left; raises `KitError`."""

    def problems(self, edit: Optional[Edit]) -> List[KitError]:
        """The preconditions that do not hold now."""

    def free_tag(self, wanted: str) -> Optional[str]:
        """A tag like this one that is not in use; None where there are no tags."""

    def plan(self, edit: Edit, label: Label) -> List[str]:
        """The exact commands, for a dry run."""

    def carry_out(self, edit: Edit, label: Label) -> Published:
        """Make the edit visible, or leave everything as it was; raises `KitError`."""

    def standing(self) -> Published:
        """The newest revision, for the log of a run that was killed before it could write it."""
