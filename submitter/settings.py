"""The user's configuration."""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from submitter.notifying.wishes import NotifySettings
from submitter.troubles import IodError, Trouble
from transformation.model.spec import Location, Name
from transformation.model.strict import DocumentInvalid, decode

BackendName = Literal["local", "panda", "panda-classic"]
BACKENDS: tuple[BackendName, ...] = ("local", "panda", "panda-classic")
_URL = r"^(https://.+|http://(127\.0\.0\.1|localhost)(:\d+)?(/.*)?)\Z"
Url = Annotated[str, msgspec.Meta(pattern=_URL)]
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
    label: Name | None = None
    """`prodSourceLabel` of tasks; empty = the one that the site's queues take."""
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
    notify: NotifySettings = NotifySettings()

    @property
    def user_name(self) -> str:
        """The user's name as it stands in paths."""
        return self.user or re.sub(r"[^A-Za-z0-9._-]+", "_", _account()).lstrip("._-") or "user"


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run under numbers that have no name
        return f"uid{os.getuid()}"


def load_settings(path: Path) -> Settings:
    """The configuration; defaults if there is no file. Raises `IodError` CONFIG_INVALID."""
    try:
        return decode(path.read_bytes(), Settings)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise IodError(Trouble.CONFIG_INVALID, f"{path}: {error.strerror}") from None
    except DocumentInvalid as error:
        text = str(error).replace(f"not of the form {_URL}", "not https://..., nor http:// of this machine itself")
        raise IodError(Trouble.CONFIG_INVALID, f"{path}: {text}") from None
