"""The backend `ingest`: a small release goes in as a tarball.

It saves the copy into the mount and nothing else. `ingest` cuts no chunks, knows no limits and reads no .cvmfsdirtab,
so what is large is refused, and a short transaction follows that places nested catalogs and names the revision.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from cvmfs_publish.archive import write_tarball
from cvmfs_publish.backends.directory import space_problems
from cvmfs_publish.backends.edits import AddRelease, Edit, place_markers
from cvmfs_publish.backends.seam import Label, Published
from cvmfs_publish.backends.transaction import OPEN, OPENING, TransactionBackend
from cvmfs_publish.config import Config
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import words
from cvmfs_publish.progress import size_text
from cvmfs_publish.signals import shielded
from cvmfs_publish.state import StateFolder

INGESTED = "ingested"
"""Phase of the journal: the files are in, the tag and nested catalogs are not."""
_MOST_BYTES = 1_000_000_000
_LARGEST_FILE_BYTES = 100_000_000


class IngestBackend(TransactionBackend):
    """Adds releases with `cvmfs_server ingest`; makes other edits in a transaction."""

    def __init__(self, config: Config, state: StateFolder, narrate: Callable[[str], None]) -> None:
        super().__init__(config, state, narrate)
        self._scratch = config.scratch or Path(tempfile.gettempdir())

    def resume(self) -> None:
        """Finish what a killed run had ingested, too."""
        noted = self.state.noted()
        super().resume()
        if "markers" in noted and not self.state.noted():
            self.narrate("a run that was killed has ingested its release; naming the revision")
            self._finish({key: value for key, value in noted.items() if key not in ("phase", "process")})

    def problems(self, edit: Optional[Edit]) -> List[KitError]:
        """Small enough, and room for the tarball."""
        problems = super().problems(edit)
        if isinstance(edit, AddRelease):
            problems += _size_problems(edit)
            problems += space_problems(self._scratch, edit.size_bytes)
        return problems

    def plan(self, edit: Edit, label: Label) -> List[str]:
        """The tarball, the ingestion, and the transaction after it."""
        if not isinstance(edit, AddRelease):
            return super().plan(edit, label)
        return [
            f"  pack {edit.tree} -> {self._tarball(edit)}",
            f"$ {words(self._ingest(edit))}",
            f"$ {words(self.server.transaction())}",
            *(f"  touch {self.root}/{marker}" for marker in edit.markers),
            f"$ {words(self.server.publish(label))}",
            f"on any failure or signal: $ {words(self.server.abort())}",
        ]

    def carry_out(self, edit: Edit, label: Label) -> Published:
        """Ingest, then name the revision."""
        if not isinstance(edit, AddRelease):
            return super().carry_out(edit, label)
        about = edit.address.name
        with self._packed(edit):
            self.state.note(OPENING, about=about)
            self._run_ingest(edit)
        noted = {"about": about, "tag": label.tag, "message": label.message, "markers": edit.markers}
        self._finish(noted)
        return self.standing(label.tag)

    def _tarball(self, edit: AddRelease) -> Path:
        return self._scratch / f"{edit.release.name}-{edit.release.digest[:12]}.tar"

    def _ingest(self, edit: AddRelease) -> Tuple[str, ...]:
        tarball, base = str(self._tarball(edit)), edit.address.version_folder
        return self.server.command("ingest", "-c", "-t", tarball, "-b", base, self.server.repository)

    @contextmanager
    def _packed(self, edit: AddRelease) -> Iterator[None]:
        tarball = self._tarball(edit)
        try:
            self.narrate(f"packing {tarball}")
            write_tarball(edit.tree, edit.release, tarball, (os.getuid(), os.getgid()))  # who will mark and retire it
            yield
        finally:
            tarball.unlink(missing_ok=True)

    def _run_ingest(self, edit: AddRelease) -> None:
        """`ingest` opens its own transaction, and a failing one rolls itself back; see that it did."""
        try:
            self.server.call(self._ingest(edit))
        except BaseException as error:
            with shielded():
                somebody_elses = isinstance(error, KitError) and error.exit is Exit.BUSY
                if not somebody_elses and self.server.state().in_transaction:
                    self.state.note(OPEN, about=edit.address.name)
                    self.give_up(error)
                self.state.forget()
            raise

    def _finish(self, noted: Dict[str, Any]) -> None:
        """The transaction that follows: markers and the tag. The journal keeps what is to be done until it is done."""
        label = Label(noted.get("tag"), str(noted.get("message", "")))
        self.state.note(INGESTED, **noted)

        try:
            self.in_transaction(lambda: place_markers(self.root, noted.get("markers", ())), label, "", noted)
        except KitError:
            self.state.note(INGESTED, **noted)
            raise


def _size_problems(edit: AddRelease) -> Iterator[KitError]:
    cure = "publish it with the backend stratum0, which cuts large files into chunks"
    if edit.size_bytes > _MOST_BYTES:
        what = f"{edit.release.name} has {size_text(edit.size_bytes)}, ingest is for up to {size_text(_MOST_BYTES)}"
        yield KitError(Exit.NOT_READY, what, cure=cure)
    large = [entry for entry in edit.release.files if entry.size_bytes > _LARGEST_FILE_BYTES]
    if large:
        what = f"{len(large)} files are over {size_text(_LARGEST_FILE_BYTES)}, such as {large[0].path}"
        yield KitError(Exit.NOT_READY, what, cure=cure)
