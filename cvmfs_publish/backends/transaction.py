"""A repository that is edited in a transaction: on its Stratum 0, or through a gateway with a lease on a sub-path.

After `cvmfs_server transaction` has succeeded there are two ends only: published, or given up with `abort -f` and seen
to be closed. A third one, a repository that stays in transaction, is a failure of its own (STUCK).
"""

from __future__ import annotations

from typing import Callable, List, Mapping, Optional

from cvmfs_publish.backends import preconditions
from cvmfs_publish.backends.cvmfs_server import CvmfsServer
from cvmfs_publish.backends.edits import AddRelease, Edit
from cvmfs_publish.backends.seam import Label, Published
from cvmfs_publish.backends.words import TRUNK, Tag, explain
from cvmfs_publish.config import Config
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import run, words
from cvmfs_publish.signals import shielded
from cvmfs_publish.state import StateFolder

OPENING, OPEN = "opening", "open"
"""Phases of the journal. `opening` proves nothing: the transaction may be somebody else's."""
_MANY_TAGS = 50


class TransactionBackend:
    """The backend `stratum0`."""

    def __init__(self, config: Config, state: StateFolder, narrate: Callable[[str], None]) -> None:
        self.root = config.mount
        self.server = CvmfsServer(config.server, config.repository, narrate)
        self.state = state
        self.narrate = narrate
        self._config = config

    # ------------------------------------------------------------ before
    def resume(self) -> None:
        """Give up a transaction that a killed run of the kit left open."""
        noted = self.state.noted()
        if not noted:
            return
        if self.server.state().in_transaction:
            if noted.get("phase") != OPEN:
                return  # not known to be ours: `problems` will say that it is there
            busy = list(preconditions.tool_problems(self.server.repository))
            if busy:
                raise busy[0]
            self.narrate("a run that was killed has left a transaction; giving it up")
            self.give_up()
        self.state.forget()

    def problems(self, edit: Optional[Edit]) -> List[KitError]:
        """Everything that section A6 of experience says can go wrong before a transaction is open."""
        try:
            state = self.server.state()
        except KitError as error:
            return [error]
        repository, config = self.server.repository, self._config.server
        size_bytes = edit.size_bytes if edit else 0
        settings = preconditions.read_settings(config.at(config.settings, repository))
        problems = [
            *preconditions.state_problems(state, repository),
            *preconditions.owner_problems(settings, repository),
            *preconditions.mount_problems(self.root),
            *preconditions.working_directory_problems(self.root),
            *preconditions.tool_problems(repository),
            *preconditions.open_files_problems(),
            *preconditions.disk_problems(config.at(config.spool, repository), settings, size_bytes),
        ]
        if not state.whitelist_expired:
            days = self.server.whitelist_days()
            problems += preconditions.whitelist_problems(days, config.whitelist_days, repository)
        return problems

    def free_tag(self, wanted: str) -> Optional[str]:
        """The tag, with -2 or -3 after it if it is in use."""
        tags = [tag.name for tag in self.server.tags() if not tag.is_head]
        if len(tags) > _MANY_TAGS:
            self.narrate(f"{len(tags)} tags: clients load the list; remove old ones with `cvmfs_server tag -r`")
        numbered = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(tags) + 2))
        return next(tag for tag in numbered if tag not in tags)

    def plan(self, edit: Edit, label: Label) -> List[str]:
        """The calls and what happens between them."""
        markers = edit.markers if isinstance(edit, AddRelease) else []
        return [
            f"$ {words(self.server.transaction(self.lease(edit)))}",
            *(f"  {line}" for line in edit.lines(str(self.root))),
            *(f"  touch {self.root}/{marker}" for marker in markers),
            f"$ {words(self.server.publish(label))}",
            f"on any failure or signal: $ {words(self.server.abort())}",
        ]

    def lease(self, edit: Edit) -> str:
        """The sub-path to lease: a Stratum 0 has none."""
        del edit
        return ""

    # ------------------------------------------------------------ the transaction
    def carry_out(self, edit: Edit, label: Label) -> Published:
        """Open, edit, publish; whatever happens in between, the transaction does not stay open."""
        about = {"about": edit.address.name}
        self.in_transaction(lambda: edit.in_place(self.root), label, self.lease(edit), about)
        return self.standing(label.tag)

    def in_transaction(self, work: Callable[[], None], label: Label, lease: str, facts: Mapping[str, object]) -> None:
        """Do the work in a transaction and publish it; raises `KitError`, after giving up what was open.

        The facts go into the journal, for whoever finds it there.
        """
        opened: List[bool] = []

        def on_open() -> None:
            opened.append(True)
            self.state.note(OPEN, **facts)

        self.state.note(OPENING, **facts)
        try:
            self.server.open(lease, on_open)
            work()
            self._publish(label)
        except BaseException as error:
            with shielded():
                if opened:
                    self.give_up(error)
                self.state.forget()
            raise
        self.state.forget()

    def _publish(self, label: Label) -> None:
        others = preconditions.lingerers(self.root)
        if others:
            listed = ", ".join(map(str, others))
            self.narrate(f"processes work inside {self.root}: {listed}; CernVM-FS waits 60 s for them")
        finished = run(self.server.publish(label), narrate=self.narrate)
        if finished.code:
            raise explain(finished)
        if self.server.state().in_transaction:
            raise KitError(Exit.PUBLISH_FAILED, "publish ended with 0, and the repository is still in transaction")

    def give_up(self, cause: Optional[BaseException] = None) -> None:
        """Abort and see that it is closed; raises `KitError` STUCK if it is not."""
        self.narrate("giving the transaction up")
        aborted = run(self.server.abort(), narrate=self.narrate)
        try:
            closed = not self.server.state().in_transaction
        except KitError:
            closed = not aborted.code
        if not closed:
            before = f"{cause}; then " if cause else ""
            what = f"{before}{self.server.repository} stays in transaction: {explain(aborted).what}"
            raise KitError(Exit.STUCK, what) from None

    # ------------------------------------------------------------ after
    def standing(self, tag: Optional[str] = None) -> Published:
        """The revision of a tag, or the newest."""
        try:
            found = next((one for one in self.server.tags() if one.name == (tag or TRUNK)), None)
        except KitError as error:
            self.narrate(f"the revision is not known: {error}")
            found = None
        return Published(found.revision if found else None, found.root_hash if found else None, tag)

    # ------------------------------------------------------------ rollback
    def tags_lost_by(self, tag: str) -> List[Tag]:
        """The tags that a rollback to this one deletes: all newer ones. Raises `KitError` NOT_PUBLISHED."""
        tags = [one for one in self.server.tags() if not one.is_head]
        target = next((one for one in tags if one.name == tag), None)
        if target is None:
            known = ", ".join(one.name for one in tags) or "none"
            raise KitError(Exit.NOT_PUBLISHED, f"{self.server.repository} has no tag {tag}; there: {known}")
        return [one for one in tags if one.revision > target.revision]

    def roll_back(self, tag: str) -> Published:
        """Go back to a tag, as a new revision; raises `KitError`."""
        with shielded():
            finished = run(self.server.rollback(tag), narrate=self.narrate)
            if finished.code:
                if self.server.state().in_transaction:
                    self.give_up()
                raise explain(finished)
        return self.standing(tag)


class GatewayBackend(TransactionBackend):
    """The backend `gateway`: several publishers share a repository, each with a lease on a sub-path."""

    def lease(self, edit: Edit) -> str:
        """The deepest folder above the release that exists: what is made must lie inside the lease."""
        folder = edit.address.simulator_folder
        while folder and not (self.root / folder).is_dir():
            folder = folder.rpartition("/")[0]
        return folder
