"""The story of every change of what is published: lock, look, check, make it visible, write it down."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Optional, TypeVar

from cvmfs_publish import VERSION
from cvmfs_publish.backends.choose import backend_of
from cvmfs_publish.backends.edits import AddRelease, Edit
from cvmfs_publish.backends.seam import Backend, Label, Published
from cvmfs_publish.checks.check import Verdict, check, check_outside
from cvmfs_publish.checks.tree import Demands
from cvmfs_publish.config import Config
from cvmfs_publish.difference import describe, difference
from cvmfs_publish.exits import Exit, KitError, NotReady
from cvmfs_publish.layout import Address, split_name
from cvmfs_publish.manifest import Release, read_release
from cvmfs_publish.published import current_version, is_occupied, list_published, published_release, standing
from cvmfs_publish.state import Receipts, StateFolder
from cvmfs_publish.streams import narrate

Record = Dict[str, Any]
"""A line of the release log."""
Made = TypeVar("Made")
_ASK_AGAIN_S = 2.0


@dataclass(frozen=True)
class Wishes:
    """What the caller wants besides."""

    tag: Optional[str] = None
    """None: the kit chooses one that is free."""
    message: str = ""
    dry_run: bool = False


class Publisher:
    """A configured backend with its state."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state = StateFolder(config.state_folder)
        self.backend: Backend = backend_of(config, self.state, narrate)

    def locked(self) -> ContextManager[None]:
        """Alone at work here, after waiting for another run as long as the settings say; raises `KitError` BUSY."""
        return self.state.locked(self.config.server.wait_s)

    def patiently(self, attempt: Callable[[], Made]) -> Made:
        """What comes of it; tried again while others are at work on the repository, as long as the settings say.

        Raises `KitError`, what the last try did.
        """
        end_s = time.monotonic() + self.config.server.wait_s
        said = False
        while True:
            try:
                return attempt()
            except KitError as error:
                others = error.problems if isinstance(error, NotReady) else [error]
                if {one.exit for one in others} != {Exit.BUSY} or time.monotonic() >= end_s:
                    raise
                if not said:
                    narrate(f"{error.what}; waiting")
                    said = True
            time.sleep(_ASK_AGAIN_S)

    # ------------------------------------------------------------ a release
    def publish(self, tree: Path, wishes: Wishes) -> Record:
        """Publish a release; the line of the release log. Raises `KitError`.

        The same release under the same version: done. Another one: CONFLICT, whatever it is.
        """
        release = read_release(tree)
        if wishes.dry_run:
            return self._dry_run(self._addition(tree, release), wishes)
        with self.locked():
            return self.patiently(lambda: self._publish(tree, release, wishes))

    def _publish(self, tree: Path, release: Release, wishes: Wishes) -> Record:
        self.backend.resume()
        if self._stands(release):
            return self._known_record(release)
        return self._make(self._addition(tree, release), wishes, release=release)

    def _stands(self, release: Release) -> bool:
        address = release.at(self.config.base)
        if not is_occupied(self.backend.root, address):
            return False
        found = standing(self.backend.root, address)
        if found.release is not None and found.release.text == release.text:
            return True
        other = f"digest {found.release.digest[:16]}" if found.release else f"no release ({found.problem})"
        what = f"{address.version_folder} is taken: there {other}, here digest {release.digest[:16]}"
        raise KitError(Exit.CONFLICT, what)

    def _known_record(self, release: Release) -> Record:
        """The line of a release that stands already; a run that was killed may have left none."""
        narrate(f"{release.name} is published already")
        log: List[Record] = self.state.log()
        for line in reversed(log):
            if line.get("action") == AddRelease.action and line.get("digest") == release.digest:
                return line
        edit = self._addition_of_standing(release)
        return self._record(edit, self.backend.standing(), "found published", release)

    def _addition_of_standing(self, release: Release) -> AddRelease:
        address = release.at(self.config.base)
        return AddRelease(self.backend.root / address.release_folder, release, address, ())

    def _addition(self, tree: Path, release: Release) -> AddRelease:
        """The edit, once the tree has passed the check and what it requires is there; raises `KitError`."""
        verdict = checked(tree, release, self.config)
        if not verdict.passed:
            errors = [one for one in verdict.findings if one.severity.value == "error"]
            first = errors[0]
            what = f"{len(errors)} errors in {tree}, the first: {first.path or 'the tree'}: {first.what}"
            raise KitError(Exit.CHECK_FAILED, what, cure=f"see them all with `iod-publish check {tree}`")
        for path, needed in release.requires:
            address = split_name(needed, self.config.base)
            if standing(self.backend.root, address).release is None:
                what = f"{release.name} needs {needed} for {path}, and it is not published here"
                raise KitError(Exit.NOT_PUBLISHED, what, cure="publish it first")
        nested = tuple(catalog.folder for catalog in verdict.catalogs if catalog.folder)
        return AddRelease(tree.absolute(), release, release.at(self.config.base), nested)

    # ------------------------------------------------------------ any edit
    def change(self, edit: Edit, wishes: Wishes) -> Record:
        """Carry out an edit that is no release; the line of the release log. Raises `KitError`."""
        if wishes.dry_run:
            return self._dry_run(edit, wishes)
        with self.locked():
            return self.patiently(lambda: self._change(edit, wishes))

    def _change(self, edit: Edit, wishes: Wishes) -> Record:
        self.backend.resume()
        return self._make(edit, wishes, release=None)

    def see_ready(self, edit: Optional[Edit]) -> None:
        """Raises `NotReady` with all that stands against an edit, or against any."""
        problems = self.backend.problems(edit)
        if problems:
            raise NotReady(problems)

    def _make(self, edit: Edit, wishes: Wishes, release: Optional[Release]) -> Record:
        self.see_ready(edit)
        label = self._label(edit, wishes, release)
        published = self.backend.carry_out(edit, label)
        return self._record(edit, published, label.message, release)

    def _label(self, edit: Edit, wishes: Wishes, release: Optional[Release]) -> Label:
        """What the revision will be called, with a tag that is free; raises `KitError` TAG_IN_USE."""
        wanted = _wanted_label(edit, wishes, release)
        if wanted.tag is None:
            return wanted
        free = self.backend.free_tag(wanted.tag)
        if wishes.tag is not None and free not in (None, wishes.tag):
            raise KitError(Exit.TAG_IN_USE, f"tag {wishes.tag} is in use")
        return Label(free, wanted.message)

    def _record(self, edit: Edit, published: Published, message: str, release: Optional[Release]) -> Record:
        return self.state.record(
            {
                "action": edit.action,
                "release": edit.address.name,
                "digest": release.digest if release else None,
                "backend": self.config.backend,
                "repository": self.config.repository or None,
                "path": edit.address.release_folder,
                "revision": published.revision,
                "root_hash": published.root_hash,
                "tag": published.tag,
                "before": getattr(edit, "before", None),
                "message": message,
            }
        )

    # ------------------------------------------------------------ dry run
    def _dry_run(self, edit: Edit, wishes: Wishes) -> Record:
        """A record with the commands and what they change as its plan; nothing is written, not even a lock."""
        release = edit.release if isinstance(edit, AddRelease) else None
        for problem in self._foreseen(edit):
            narrate(f"NOT READY: {problem}")
        plan = self.backend.plan(edit, self._foreseen_label(edit, wishes, release))
        if release is not None and not (is_occupied(self.backend.root, edit.address) and self._stands(release)):
            plan += self._difference(edit.address, release)
        return {"action": edit.action, "release": edit.address.name, "dry_run": True, "plan": plan}

    def _foreseen(self, edit: Edit) -> List[KitError]:
        try:
            return self.backend.problems(edit)
        except KitError as error:
            return [error]

    def _foreseen_label(self, edit: Edit, wishes: Wishes, release: Optional[Release]) -> Label:
        try:
            return self._label(edit, wishes, release)
        except KitError as error:
            narrate(f"NOT READY: {error}")
            return _wanted_label(edit, wishes, release)

    def _difference(self, address: Address, release: Release) -> List[str]:
        old = self.newest(address)
        before = f"against {old.name}" if old else "nothing of this simulator is published"
        return [f"what changes ({before}):", *(describe(difference(old, release)) or ["  nothing"])]

    def newest(self, address: Address) -> Optional[Release]:
        """The current release of a simulator, else its newest; None if there is none."""
        if not self.backend.root.is_dir():
            return None
        current = current_version(self.backend.root, address)
        if current:
            found = standing(self.backend.root, Address(address.simulator, current, address.base)).release
            if found:
                return found
        same = [one for one in list_published(self.backend.root, address.base) if one.release is not None]
        mine = [one for one in same if one.address.simulator == address.simulator]
        return published_release(self.backend.root, mine[-1].address) if mine else None


def _wanted_label(edit: Edit, wishes: Wishes, release: Optional[Release]) -> Label:
    """A release gets a tag, SIMULATOR-VERSION-DATE unless another is wished; other edits only if it is wished."""
    what = f"{edit.action} {edit.address.name}" + (f" sha256 {release.digest[:16]}" if release else "")
    tag = f"{edit.address.name}-{datetime.now(timezone.utc):%Y%m%d}" if release else None
    return Label(wishes.tag or tag, wishes.message or what)


def checked(tree: Path, release: Release, config: Config) -> Verdict:
    """The verdict on a tree; one that has passed before is not read again, since copying compares its checksums."""
    receipts = Receipts(config.receipts)
    if receipts.has(release.digest, _terms(config.demands)):
        return check_outside(tree, config.demands)
    return give_receipt(check(tree, config.demands), config)


def give_receipt(verdict: Verdict, config: Config) -> Verdict:
    """Remember that a release has passed the check."""
    if verdict.passed and verdict.tree.release is not None:
        Receipts(config.receipts).give(verdict.tree.release.digest, _terms(config.demands))
    return verdict


def _terms(demands: Demands) -> str:
    """What a passed check was made with: other demands need another check."""
    return json.dumps([VERSION, demands.workers, demands.machine, demands.build_paths, demands.waived])
