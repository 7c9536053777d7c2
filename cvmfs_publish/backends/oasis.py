"""The backend `oasis`: stage on OSG's login host, then ask for the update of the whole area.

There are no transactions, tags or rollbacks here. The central update mirrors the area with `rsync --delete
--ignore-errors`: what vanishes from it vanishes from CVMFS, and what it cannot read is left out in silence. So verify
over HTTP afterwards. It leaves out catalog markers too: ask OSG for a line in the central .cvmfsdirtab.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Optional

from cvmfs_publish.backends.directory import DirectoryBackend
from cvmfs_publish.backends.edits import Edit
from cvmfs_publish.backends.seam import Label, Published
from cvmfs_publish.config import Config
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import run, words
from cvmfs_publish.state import StateFolder

STAGED = "staged"
"""Phase of the journal: the area is changed, the update has not been asked for."""


class OasisBackend:
    """Runs on the login host."""

    def __init__(self, config: Config, state: StateFolder, narrate: Callable[[str], None]) -> None:
        if not config.oasis.stage:
            raise KitError(Exit.CONFIG_INVALID, "the backend 'oasis' has no area", cure="set `stage` under [oasis]")
        self.root = Path(config.oasis.stage)
        self._area = DirectoryBackend(self.root)
        self._update = config.oasis.update
        self._state = state
        self._narrate = narrate

    def resume(self) -> None:
        """Ask for an update that a killed run had not come to."""
        if self._state.noted().get("phase") == STAGED:
            self._narrate("an earlier run has staged its change; asking for the update")
            self._ask()

    def problems(self, edit: Optional[Edit]) -> List[KitError]:
        """The area is there, writable, and has room."""
        if not self.root.is_dir():
            return [KitError(Exit.REPOSITORY_UNKNOWN, f"{self.root} is not there", cure="run this on the login host")]
        return self._area.problems(edit)

    def free_tag(self, wanted: str) -> Optional[str]:
        """Tags are OSG's own."""
        return self._area.free_tag(wanted)

    def plan(self, edit: Edit, label: Label) -> List[str]:
        """The change of the area, the update, and what to ask OSG for."""
        steps = [f"  {line}" for line in self._area.plan(edit, label)]
        folder = edit.address.simulator_folder
        dirtab = f"ask OSG once for this line in the central .cvmfsdirtab: /<VO>/{folder}/*"
        return [*steps, f"$ {words(self._update)}", dirtab]

    def carry_out(self, edit: Edit, label: Label) -> Published:
        """Change the area in one step, then ask for the update."""
        self._area.carry_out(edit, label)
        self._state.note(STAGED, about=edit.address.name)
        self._ask()
        return self.standing()

    def standing(self) -> Published:
        """Revisions are not seen from here."""
        return self._area.standing()

    def _ask(self) -> None:
        """The update is queued: it ends later, one VO at a time."""
        finished = run(self._update, narrate=self._narrate)
        if finished.code:
            what = f"`{words(self._update)}` ended with {finished.code}: {finished.said}"
            raise KitError(Exit.NOT_UPDATED, what)
        self._state.forget()
        self._narrate("the update is asked for; see it arrive with `iod-publish verify --wait`")
