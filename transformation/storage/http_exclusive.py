"""Creating a file that nobody else creates, on servers that have no such request.

XRootD's HTTP door overwrites with PUT and MOVE, whatever it is told, and MKCOL succeeds twice (5.5.3, sixteen at once).
But it renames a folder as the file system below does: onto a folder that holds something it is refused, and of sixteen
at once one succeeds. So whoever creates `F`

1. puts the content into a folder of its own, as `.F.<token>.new/<token>`;
2. renames that folder to `.F.slot`: this succeeds for one, and for nobody else as long as the slot has a content;
3. has the slot: if `F` is there meanwhile, takes its content back; else renames `.F.slot/<token>` to `F`;
4. removes the empty slot.

Who finds the slot taken does step 3 for the one whose it is, so that a writer that died blocks nobody. A content has
its own name and is renamed or removed once, by whoever comes first. While one is in the slot, nothing else can become
`F`; and `F` is looked for after the slot is won. So nothing is overwritten, and one writer at most is told that the
file is its own.

A writer that died before step 2 leaves its folder. Whoever finds `F` there may `discard` it: renamed first, so that a
writer who lives still has all of it or nothing.

Whether a server does all this is tried out before it is relied on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError
from transformation.storage.http_content import Content
from transformation.storage.http_dav import Dav
from transformation.storage.http_errors import CutOff, Refused
from transformation.storage.http_place import Place

_ROUNDS = 20
"""In each of them somebody else's file appears or goes; a unit has two or three writers."""
_IN_THE_WAY = frozenset({409, 412, 500})
"""How servers say that a folder is not empty; XRootD's door says 500."""
_UNFINISHED = ".new"


def is_unfinished(name: str) -> bool:
    """Whether that is what a writer calls its work before it is done."""
    return name.startswith(".") and name.endswith(_UNFINISHED)


class Exclusive:
    """`token` gives a new short word at each call, unique among all writers."""

    def __init__(self, dav: Dav, token: Callable[[], str]) -> None:
        self._dav = dav
        self._token = token
        self._works: dict[str, bool] = {}
        self._trying = threading.Lock()

    def works(self, folder: Place) -> bool:
        """Whether the server of that folder can be relied on; tried once, within the folder. Raises `StorageError`."""
        with self._trying:
            if folder.authority not in self._works:
                self._works[folder.authority] = self._try_out(folder)
            return self._works[folder.authority]

    def create(self, target: Place, content: Content) -> bool:
        """True for the one who created it. Raises `StorageError`; then it may have been created."""
        token = self._token()
        own = target.sibling(f".{target.name.removeprefix('.')}.{token}{_UNFINISHED}")
        slot = target.sibling(f".{target.name}.slot")
        if self._dav.size(target) is not None:
            return False
        try:
            self._dav.put(own.child(token), content)
            won = self._wins(own, slot, token, target)
            created = won and self._publish(slot.child(token), target)
        except StorageError as error:
            if not (isinstance(error, CutOff) and error.silent):
                self._tidy(own.child(token), own)
            raise
        self._tidy(*((slot,) if won else (own.child(token), own)))
        return created

    def discard(self, own: Place) -> None:
        """Remove what a writer left that did not come to step 2; nothing if it is not there. Raises `StorageError`."""
        away = own.sibling(f"{own.name.removesuffix(_UNFINISHED)}.{self._token()}{_UNFINISHED}")
        with suppress(Missing):
            self._dav.move(own, away, overwrite=False)
            for one in self._dav.names(away):
                self._dav.delete(away.child(one.name))
            self._dav.delete(away)

    def _wins(self, own: Place, slot: Place, token: str, target: Place) -> bool:
        """Step 2, until the slot is ours (True) or the file is there (False)."""
        for _ in range(_ROUNDS):
            try:
                if self._dav.move(own, slot, overwrite=False):
                    return True
            except Refused as refused:
                if refused.status not in _IN_THE_WAY:
                    raise
            except Missing:
                return self._was_discarded(target)
            held = [one.name for one in self._dav.names(slot)]
            if token in held:
                return True  # it was done all the same
            for name in held:
                self._finish(slot.child(name), target)
            if self._dav.size(target) is not None:
                return False
        detail = f"{target.shown}: others keep creating and removing it"
        raise StorageError(Failure.STORAGE_DAMAGED, detail, transient=True)

    def _was_discarded(self, target: Place) -> bool:
        """Somebody who found the file took us for dead: then it is there, unless it has been removed since."""
        if self._dav.size(target) is not None:
            return False
        detail = f"{target.shown}: somebody tidied it away while it was being created"
        raise StorageError(Failure.STORAGE_DAMAGED, detail, transient=True)

    def _finish(self, content: Place, target: Place) -> None:
        """Step 3 for another writer, of whom nobody knows whether he lives. What he has to take back is left to him."""
        if self._dav.size(target) is None:
            with suppress(Missing):
                self._dav.move(content, target, overwrite=False)

    def _publish(self, content: Place, target: Place) -> bool:
        """Step 3. Where our content is gone, somebody else has made it the file."""
        if self._dav.size(target) is None:
            try:
                if self._dav.move(content, target, overwrite=False):
                    return True
            except Missing:
                return True
        return not self._dav.delete(content)

    def _try_out(self, folder: Place) -> bool:
        token = self._token()
        first, second, slot = (folder.child(f".{token}.{word}") for word in ("first", "second", "slot"))
        try:
            for one in (first, second):
                self._dav.put(one.child(one.name), Content(b"tried out"))
            return (
                self._moves(first, slot)
                and not self._moves(second, slot)
                and self._holds(slot, first.name)
                and self._holds(second, second.name)
                and not self._removes(slot)
                and self._holds(slot, first.name)
                and self._removes(slot.child(first.name))
                and self._moves(second, slot)
                and self._holds(slot, second.name)
            )
        finally:
            for one in (first, second, slot):
                self._tidy(one.child(first.name))
                self._tidy(one.child(second.name))
                self._tidy(one)

    def _moves(self, place: Place, target: Place) -> bool:
        with suppress(Refused, Missing):
            return self._dav.move(place, target, overwrite=False)
        return False

    def _removes(self, place: Place) -> bool:
        with suppress(Refused):
            return self._dav.delete(place)
        return False

    def _holds(self, folder: Place, name: str) -> bool:
        return [one.name for one in self._dav.names(folder)] == [name]

    def _tidy(self, *places: Place) -> None:
        """Remove them, as far as the server likes."""
        with suppress(StorageError):
            for one in places:
                self._dav.delete(one)
