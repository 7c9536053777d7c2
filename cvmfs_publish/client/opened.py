"""Which files of a tree are opened while something runs, as the kernel reports it (Linux inotify; see `inotify(7)`)."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from pathlib import Path
from typing import Dict, List, Optional, Set

from cvmfs_publish.exits import Exit, KitError

_IN_OPEN, _IN_ISDIR, _IN_Q_OVERFLOW, _IN_ONLYDIR = 0x20, 0x40000000, 0x4000, 0x01000000
_HEAD = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 16


class Opened:
    """Watches a folder and all below it from creation to `end`."""

    def __init__(self, root: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._root = root
        self._folders: Dict[int, Path] = {}
        self._found: Set[str] = set()
        self._lost = False
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise self._error("inotify_init1")
        self._stop, self._stopper = os.pipe()
        try:
            self._watch_all()
        except KitError:
            self._close()
            raise
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def end(self) -> List[str]:
        """Paths, relative to the folder, in order. Raises `KitError` if some were missed."""
        os.write(self._stopper, b".")
        self._thread.join()
        self._close()
        if self._lost:
            cure = "raise /proc/sys/fs/inotify/max_queued_events"
            raise KitError(Exit.NOT_READY, "the kernel dropped reports of opened files", cure=cure)
        return sorted(self._found)

    def _watch_all(self) -> None:
        for place, _, _ in os.walk(self._root):
            number = self._libc.inotify_add_watch(self._fd, os.fsencode(place), _IN_OPEN | _IN_ONLYDIR)
            if number < 0:
                raise self._error(place)
            self._folders[number] = Path(place)

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._fd, self._stop], [], [])
            if self._fd in ready:
                self._take(os.read(self._fd, _BUFFER_BYTES))
            elif self._stop in ready:
                return

    def _take(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            number, mask, _, length = _HEAD.unpack_from(events, at)
            name = os.fsdecode(events[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0"))
            at += _HEAD.size + length
            self._lost = self._lost or bool(mask & _IN_Q_OVERFLOW)
            folder: Optional[Path] = self._folders.get(number)
            if folder is not None and name and not mask & _IN_ISDIR:
                self._found.add(str((folder / name).relative_to(self._root)))

    def _close(self) -> None:
        for fd in (self._fd, self._stop, self._stopper):
            os.close(fd)

    def _error(self, what: str) -> KitError:
        words = os.strerror(ctypes.get_errno())
        cure = "raise /proc/sys/fs/inotify/max_user_watches, or run it on another machine"
        return KitError(Exit.NOT_READY, f"cannot watch {what}: {words}", cure=cure)
