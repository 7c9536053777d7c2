"""The folders in which `iod` keeps its things: the platform's own places, or all below `IOD_HOME`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from submitter.troubles import IodError, Trouble

APPLICATION = "imsim-on-demand"


def home_folder() -> Path:
    """The user's home. Raises `IodError` FOLDER_UNUSABLE for an account without one, as containers have them."""
    try:
        return Path.home()
    except RuntimeError:
        raise IodError(Trouble.FOLDER_UNUSABLE, "this account has no home folder; set HOME") from None


def images_at_home() -> Path:
    """Where images go when nobody says where. Raises `IodError` FOLDER_UNUSABLE."""
    return home_folder() / APPLICATION


class Folders:
    """Where `iod` keeps configuration, state and logs: the platform's own places, or all below `IOD_HOME`."""

    def __init__(self, home: Path | None = None) -> None:
        named = home or os.environ.get("IOD_HOME")
        self.home = Path(named).absolute() if named else None
        """The one folder for everything, if there is one."""
        if self.home is not None:
            self.config = self.state = self.home
        else:
            import platformdirs

            home_folder()
            self.config = platformdirs.user_config_path(APPLICATION)
            self.state = platformdirs.user_state_path(APPLICATION)

    @property
    def settings(self) -> Path:
        """The configuration."""
        return self.config / "config.toml"

    @property
    def database(self) -> Path:
        """What is known of jobs."""
        return self.state / "jobs.sqlite"

    @property
    def local_jobs(self) -> Path:
        """Work folders of jobs that run here."""
        return self.state / "local"

    @property
    def panda(self) -> Path:
        """What the PanDA client keeps: tokens."""
        return self.config / "panda"

    def prepare(self) -> None:
        """Make them, for the user's eyes alone. Raises `IodError` STATE_UNUSABLE."""
        try:
            for folder in (self.config, self.state):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise IodError(Trouble.STATE_UNUSABLE, f"{error.filename}: {error.strerror}") from None


@contextmanager
def turn_to_submit(folders: Folders, tell: Callable[[str], None]) -> Iterator[None]:
    """One `iod` submits at a time, others wait: whether a key, a name or a request is new is seen by looking first.

    `tell` hears that we wait. Raises `IodError` STATE_UNUSABLE.
    """
    folders.prepare()
    path = folders.state / "submit.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise IodError(Trouble.STATE_UNUSABLE, f"{path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another iod is submitting; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.new")
    hidden.unlink(missing_ok=True)
    with open(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)
    hidden.replace(path)
