"""The program `cvmfs_server`, one method a subcommand that the kit uses. Nothing is tried twice here."""

from __future__ import annotations

import time
from typing import Callable, List, Optional, Tuple

from cvmfs_publish.backends.seam import Label
from cvmfs_publish.backends.words import State, Tag, explain, state_in, tags_in, whitelist_days_in
from cvmfs_publish.config import Server
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import Finished, run
from cvmfs_publish.signals import shielded

_ASK_AGAIN_S = 2.0

Narrate = Callable[[str], None]


class CvmfsServer:
    """`cvmfs_server` for one repository."""

    def __init__(self, settings: Server, repository: str, narrate: Narrate) -> None:
        self._settings = settings
        self.repository = repository
        self._narrate = narrate

    def command(self, *words: str) -> Tuple[str, ...]:
        """A call."""
        return (self._settings.program, *words)

    def transaction(self, lease: str = "") -> Tuple[str, ...]:
        """The call that opens a transaction, at a gateway for the lease's path only."""
        return self.command("transaction", f"{self.repository}/{lease}" if lease else self.repository)

    def publish(self, label: Label) -> Tuple[str, ...]:
        """The call that publishes."""
        tag = ("-a", label.tag) if label.tag else ()
        return self.command("publish", *tag, "-m", label.message, self.repository)

    def abort(self) -> Tuple[str, ...]:
        """The call that gives a transaction up."""
        return self.command("abort", "-f", self.repository)

    def rollback(self, tag: str) -> Tuple[str, ...]:
        """The call that goes back to a tag."""
        return self.command("rollback", "-f", "-t", tag, self.repository)

    def state(self) -> State:
        """How the repository is; raises `KitError` REPOSITORY_UNKNOWN."""
        listed = run(self.command("list"))
        found = state_in(listed.out, self.repository)
        if found is None:
            if listed.code:
                raise explain(listed, Exit.REPOSITORY_UNKNOWN)
            known = ", ".join(line.split(" ")[0] for line in listed.out.splitlines() if line.strip()) or "none"
            raise KitError(Exit.REPOSITORY_UNKNOWN, f"no repository {self.repository} on this machine; there: {known}")
        return found

    def tags(self) -> List[Tag]:
        """Every tag; raises `KitError`."""
        return tags_in(self.call(self.command("tag", "-l", "-x", self.repository), narrate=False).out)

    def whitelist_days(self) -> Optional[int]:
        """Days that the whitelist is still good for; None if the server does not say."""
        return whitelist_days_in(run(self.command("info", self.repository)).out)

    def call(self, command: Tuple[str, ...], *, narrate: bool = True) -> Finished:
        """Run it; raises `KitError` with what its failure means."""
        finished = run(command, narrate=self._narrate if narrate else None)
        if finished.code:
            raise explain(finished)
        return finished

    def open(self, lease: str, on_open: Callable[[], None]) -> None:
        """Open a transaction, waiting for another publisher as long as the settings say; raises `KitError`.

        `on_open` is called before any signal can strike: what raises after it leaves a transaction to be given up.

        Not with `transaction -t`: the call is short, so a signal can wait for its end, and one always knows whose
        transaction it is.
        """
        deadline_s = time.monotonic() + self._settings.wait_s
        while True:
            with shielded():
                finished = run(self.transaction(lease), narrate=self._narrate)
                if not finished.code:
                    on_open()
            if not finished.code:
                return
            error = explain(finished)
            if error.exit is not Exit.BUSY or time.monotonic() >= deadline_s:
                raise error
            self._narrate(f"{self.repository} is busy; waiting")
            time.sleep(_ASK_AGAIN_S)
