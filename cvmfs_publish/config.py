"""The kit's configuration: where and how a site publishes. `iod-publish init` writes one with comments."""

from __future__ import annotations

import os
import platform
import pwd
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Tuple

from cvmfs_publish.checks.findings import RULES
from cvmfs_publish.checks.tree import Demands
from cvmfs_publish.documents import Fields, did_you_mean, read_document
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import REPOSITORY, checked_base
from cvmfs_publish.platforms import DEFAULT_WORKERS, WORKERS

BACKENDS = ("directory", "stratum0", "ingest", "gateway", "oasis")
VARIABLE = "IOD_PUBLISH_CONFIG"
DEFAULT_NAME = "iod-publish.toml"


def default_state() -> Path:
    """`$XDG_STATE_HOME/iod-publish`, by default below the account's home.

    That is the home of the password file: under `runuser -u OWNER` HOME is still root's. An account without a home
    gets a folder below /var/tmp.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    if base.startswith("/") and os.access(base, os.W_OK):
        return Path(base) / "iod-publish"
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        home = Path("/nonexistent")
    if os.access(home, os.W_OK):
        return home / ".local/state/iod-publish"
    place = Path("/var/tmp") / f"iod-publish-{os.getuid()}"  # noqa: S108 - its owner is looked at
    if place.exists() and place.stat().st_uid != os.getuid():
        raise KitError(Exit.NOT_READY, f"{place} belongs to somebody else", cure="set `state` in the configuration")
    return place


@dataclass(frozen=True)
class Server:
    """Where the CernVM-FS server tools keep things; `{repository}` stands for the repository's name."""

    program: str = "cvmfs_server"
    mount: str = "/cvmfs/{repository}"
    settings: str = "/etc/cvmfs/repositories.d/{repository}/server.conf"
    spool: str = "/var/spool/cvmfs/{repository}"
    wait_s: int = 0
    """How long to wait for another publisher."""
    whitelist_days: int = 3
    """Days that the whitelist must still be good for."""

    @staticmethod
    def at(place: str, repository: str) -> Path:
        """One of these places for a repository."""
        return Path(place.replace("{repository}", repository))


@dataclass(frozen=True)
class Oasis:
    """The login host of OSG's OASIS, on which the kit runs."""

    stage: str = ""
    """The VO's area there, e.g. /stage/oasis/lsst; `base` begins inside it."""
    update: Tuple[str, ...] = ("osg-oasis-update",)


@dataclass(frozen=True)
class Retention:
    """Which releases are kept."""

    keep: int = 3
    """The newest ones of each simulator."""
    deprecated_days: int = 30
    """Between the note that a release will go and its removal."""
    pins: Tuple[str, ...] = ()
    """Releases that are never retired, e.g. phosim-3.4.2."""


@dataclass(frozen=True)
class Config:
    """Everything a site decides."""

    backend: str = "directory"
    repository: str = ""
    base: str = ""
    """Folders between the repository's root and the simulators."""
    root: Optional[Path] = None
    """The folder that `directory` publishes into."""
    state: Optional[Path] = None
    """Where locks, the release log and receipts of checks are kept; None for a place by itself."""
    scratch: Optional[Path] = None
    """For the tarballs of `ingest`; None for the system's."""
    demands: Demands = field(default_factory=Demands)
    server: Server = field(default_factory=Server)
    oasis: Oasis = field(default_factory=Oasis)
    retention: Retention = field(default_factory=Retention)

    @property
    def state_folder(self) -> Path:
        """Where the state of this repository, or of this folder, is kept."""
        if self.backend == "directory":
            return self.state or self.mount / ".iod-publish"
        return (self.state or default_state()) / (self.repository or self.backend)

    @property
    def receipts(self) -> Path:
        """Where receipts of checks are kept: a check needs no repository."""
        return self.state or default_state()

    @property
    def mount(self) -> Path:
        """Where the published tree is read; raises `KitError` USAGE if the configuration does not say."""
        if self.backend == "oasis":
            return Path(self.oasis.stage)
        if self.backend == "directory":
            if self.root is None:
                raise KitError(Exit.USAGE, "the backend 'directory' has no folder", cure="give --root DIR")
            return self.root
        return self.server.at(self.server.mount, self.repository)


def find_config(given: Optional[str]) -> Config:
    """The configuration of that file, or of $IOD_PUBLISH_CONFIG, or of ./iod-publish.toml, else the defaults.

    Raises `KitError` CONFIG_INVALID.
    """
    named = given or os.environ.get(VARIABLE)
    if named:
        return load_config(Path(named))
    return load_config(Path(DEFAULT_NAME)) if os.path.isfile(DEFAULT_NAME) else Config()  # noqa: PTH113 - never raises


def load_config(path: Path) -> Config:
    """The configuration in a file; relative folders start at the file. Raises `KitError` CONFIG_INVALID."""
    fields = Fields(read_document(path, Exit.CONFIG_INVALID), str(path), Exit.CONFIG_INVALID)
    if fields.whole("schema_version", 1) != 1:
        raise fields.error("schema_version", "must be 1")
    home = path.absolute().parent
    config = Config(
        backend=fields.choice("backend", BACKENDS, "directory"),
        repository=_repository(fields),
        base=_base(fields),
        root=_folder(fields, "root", home),
        state=_folder(fields, "state", home),
        scratch=_folder(fields, "scratch", home),
        demands=_demands(fields.fields("check")),
        server=_server(fields.fields("server")),
        oasis=_oasis(fields.fields("oasis")),
        retention=_retention(fields.fields("retention")),
    )
    fields.end()
    return config


def _repository(fields: Fields) -> str:
    name = fields.text("repository", "")
    if name and not REPOSITORY.fullmatch(name):
        raise fields.error("repository", f"'{name}' is no repository's name, as sw.example.org")
    return name


def _base(fields: Fields) -> str:
    try:
        return checked_base(fields.text("base", ""))
    except KitError as error:
        raise fields.error("base", f"is wrong: {error.what}") from None


def _folder(fields: Fields, key: str, home: Path) -> Optional[Path]:
    text = fields.text(key, "")
    return home / Path(text).expanduser() if text else None


def _demands(fields: Fields) -> Demands:
    demands = Demands(
        workers=fields.texts("workers", DEFAULT_WORKERS),
        machine=fields.text("machine", platform.machine()),
        build_paths=fields.texts("build_paths"),
        waived=fields.texts("waive"),
        largest_file_bytes=fields.whole("largest_file_mb", 1024, least=1) * 1024 * 1024,
    )
    for key, known, given in (("workers", list(WORKERS), demands.workers), ("waive", list(RULES), demands.waived)):
        for name in given:
            if name not in known:
                raise fields.error(key, f"'{name}' is unknown{did_you_mean(name, known)}; known: {', '.join(known)}")
    if not demands.workers:
        raise fields.error("workers", "must name at least one operating system")
    fields.end()
    return demands


def _server(fields: Fields) -> Server:
    plain = Server()
    server = Server(
        program=fields.text("program", plain.program),
        mount=fields.text("mount", plain.mount),
        settings=fields.text("settings", plain.settings),
        spool=fields.text("spool", plain.spool),
        wait_s=fields.whole("wait_s", plain.wait_s),
        whitelist_days=fields.whole("whitelist_days", plain.whitelist_days),
    )
    fields.end()
    return server


def _oasis(fields: Fields) -> Oasis:
    oasis = Oasis(fields.text("stage", ""), fields.texts("update", Oasis().update))
    if not oasis.update:
        raise fields.error("update", "must be a command, as a list of words")
    fields.end()
    return oasis


def _retention(fields: Fields) -> Retention:
    retention = Retention(fields.whole("keep", 3, least=1), fields.whole("deprecated_days", 30), fields.texts("pins"))
    fields.end()
    return retention
