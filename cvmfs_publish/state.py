"""What the kit remembers of a repository between runs: a lock, a journal, the release log; and receipts of checks."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import socket
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, Mapping, Optional

from cvmfs_publish import VERSION
from cvmfs_publish.exits import Exit, KitError

LOG = "releases.jsonl"
_TRY_AGAIN_S = 0.5


class StateFolder:
    """The files of one repository; the folder is made when something is first written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self, wait_s: float = 0.0) -> Iterator[None]:
        """Only one run of the kit at a time; raises `KitError` BUSY, naming the other, if that takes longer."""
        with _opened(self._file("lock")) as file:
            end_s = time.monotonic() + wait_s
            while not _taken(file):
                if time.monotonic() >= end_s:
                    file.seek(0)
                    holder = file.read().strip() or "another run"
                    raise KitError(Exit.BUSY, f"iod-publish is at work here already ({holder})")
                time.sleep(_TRY_AGAIN_S)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    # ------------------------------------------------------------ journal
    def note(self, phase: str, **facts: Any) -> None:
        """Write down what is about to happen, for a run that follows one that was killed."""
        path = self._file("journal.json")
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({"phase": phase, "process": os.getpid(), **facts}), encoding="utf-8")
        draft.replace(path)

    def noted(self) -> Dict[str, Any]:
        """What a killed run was doing; empty if none was killed."""
        try:
            found = json.loads((self.folder / "journal.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def forget(self) -> None:
        """It is done, or undone."""
        with suppress(FileNotFoundError):
            (self.folder / "journal.json").unlink()

    # ------------------------------------------------------------ release log
    def log(self) -> List[Dict[str, Any]]:
        """Every line of the release log, oldest first; one that was cut short is left out."""
        try:
            lines = (self.folder / LOG).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KitError(Exit.NOT_READY, f"{error.filename}: {error.strerror}") from None
        found = []
        for line in lines:
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """Add a line: who and when, and what the caller says; raises `KitError` RECORD_LOST with the line.

        Where a place has no revisions of its own, the lines number them.
        """
        line: Dict[str, Any] = {
            "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "who": account(),
            "host": socket.gethostname(),
            **facts,
            "kit": VERSION,
        }
        try:
            if facts.get("backend") == "directory":
                line["revision"] = len(self.log()) + 1
            with self._file(LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except (OSError, KitError):
            raise KitError(Exit.RECORD_LOST, f"{self.folder / LOG} could not be written: {json.dumps(line)}") from None
        return line

    def _file(self, name: str) -> Path:
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cure = "set `state` in the configuration to a folder of this account"
            raise KitError(Exit.NOT_READY, f"{error.filename}: {error.strerror}", cure=cure) from None
        return path


class Receipts:
    """Which releases have passed the check, by digest: it stands for the whole release, wherever that is."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "checked"

    def has(self, digest: str, terms: str) -> bool:
        """Whether the release of that digest has passed under those terms."""
        try:
            return (self._folder / digest).read_text(encoding="utf-8") == terms
        except OSError:
            return False

    def give(self, digest: str, terms: str) -> None:
        """It has. Without a place to write it to, the next publish checks again."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / digest).write_text(terms, encoding="utf-8")


def _opened(lock: Path) -> IO[str]:
    try:
        return lock.open("a+", encoding="utf-8")
    except OSError as error:
        what = f"{lock}: {error.strerror}"
        raise KitError(Exit.DENIED, what, cure="run it as the account that publishes here") from None


def _taken(file: IO[str]) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def account() -> str:
    """Who runs the kit, and for whom if through sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid {os.getuid()}"
    behind: Optional[str] = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {behind})" if behind and behind != name else name
