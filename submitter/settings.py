"""The user's configuration, and the folders in which `iod` keeps its things."""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from submitter.troubles import IodError, Trouble
from transformation.model.spec import Location, Name
from transformation.model.strict import DocumentInvalid, decode

APPLICATION = "imsim-on-demand"
BackendName = Literal["local", "panda", "panda-classic"]
BACKENDS: tuple[BackendName, ...] = ("local", "panda", "panda-classic")
Url = Annotated[str, msgspec.Meta(pattern=r"^(https://.+|http://(127\.0\.0\.1|localhost)(:\d+)?(/.*)?)\Z")]
"""TLS everywhere but on this machine itself: tokens go over it."""
Hours = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs on this machine."""

    jobs_at_once: Count = 2
    """So many run side by side; the others wait."""
    cores: Count | None = None
    """For each of them; empty = all of the machine, which they share."""
    memory_mb: Count | None = None
    """For each of them; empty = an equal part of the machine's."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    """How often a job is started where another try can help."""
    retry_wait_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0


class PandaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How PanDA is spoken to."""

    server: Url | None = None
    """Empty = that of PANDA_URL_SSL, else the site's."""
    transformation: Annotated[str, msgspec.Meta(pattern=r"^https?://\S+/[A-Za-z0-9._-]+\Z")] = (
        "https://storage.googleapis.com/drp-us-central1-containers/lsst-trf.sh"
    )
    """URL of `lsst-trf.sh`; pilots take it only from places that they are told to trust."""
    auth: Literal["oidc", "x509"] | None = None
    """`oidc`: a token, from `iod login`. `x509`: a grid proxy, from X509_USER_PROXY or its usual place. Empty = what
    PANDA_AUTH says, else a token."""
    auth_vo: Name | None = None
    """Whose tokens the server accepts; empty = that of PANDA_AUTH_VO, else Rubin."""
    token_file: str | None = None
    """A file with a bearer token that somebody else renews; empty = the one from `iod login`."""
    vo: Name = "wlcg"
    """Virtual organisation of tasks; `lsst` is that of classic jobs, as it was in 2014."""
    label: Name = "managed"
    """`prodSourceLabel` of tasks; it has to be one that the site's queues take."""
    task_type: Name = "test"
    working_group: Name | None = None
    priority: int = 900
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """Longest wait for an answer of the server."""
    monitor: Url = "https://panda-doma.cern.ch"
    """Web pages of tasks and jobs."""
    least_job_hours: Hours = 1.0
    """How long a PanDA job should last at least, by the prediction."""
    most_job_hours: Hours = 12.0
    """And at most."""

    def __post_init__(self) -> None:
        if self.least_job_hours > self.most_job_hours:
            raise ValueError("least_job_hours is larger than most_job_hours")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`config.toml`. Everything has a default."""

    user: Name | None = None
    """Whose jobs these are; empty = the name of the account."""
    task: Name = "ImsimOnDemand"
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9%][A-Za-z0-9%._-]*\Z", max_length=100)] = "%u-%t-%n"
    """Pattern of job names: `%u` user, `%t` task, `%n` the next free number."""
    site: str = "local"
    """Where jobs run unless they say otherwise: a name or a `.toml` file."""
    backend: BackendName | None = None
    """Who runs them; empty = `local` at the site `local`, `panda` elsewhere."""
    output: Location | None = None
    """Where images go unless a job says otherwise; empty = the site's place, else a folder in the home directory."""
    local: LocalSettings = LocalSettings()
    panda: PandaSettings = PandaSettings()

    @property
    def user_name(self) -> str:
        """The user's name as it stands in paths."""
        return self.user or re.sub(r"[^A-Za-z0-9._-]+", "_", getpass.getuser()).lstrip("._-") or "user"


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


def load_settings(path: Path) -> Settings:
    """The configuration; defaults if there is no file. Raises `IodError` CONFIG_INVALID."""
    try:
        return decode(path.read_bytes(), Settings)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise IodError(Trouble.CONFIG_INVALID, f"{path}: {error.strerror}") from None
    except DocumentInvalid as error:
        raise IodError(Trouble.CONFIG_INVALID, f"{path}: {error}") from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.new")
    hidden.unlink(missing_ok=True)
    with open(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)
    hidden.replace(path)
