"""What a site file may say.

Every key has a default in `sites/defaults.toml`; a site file names only what differs. The classes are the one source of
the schema: run-time decoding, the checks and the exported JSON Schema all come from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class Releases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where simulator releases are."""

    roots: list[str] = []
    """Folders searched in order; `IOD_RELEASES` replaces them. `~` and `$PACKAGE` (this checkout) are filled in."""
    default: str | None = None
    """Release used when a job names none."""


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where images go when a job names no destination."""

    bases: list[str] = []
    """Ordered; empty = the job's work folder."""


Url = Annotated[str, msgspec.Meta(pattern=r"^(https://.+|http://(127\.0\.0\.1|localhost)(:\d+)?/?)\Z")]
"""TLS everywhere but on this machine itself: passwords and tokens go over it."""
Secret = Annotated[str, msgspec.Meta(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)\Z")]
"""Where a secret is, never the secret: `env:NAME` (environment variable) or `file:PATH` (its owner's alone)."""


class Rucio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Rucio server that files already on storage are registered with."""

    host: Url
    """The server, e.g. `https://rucio.example.org:443`."""
    auth_host: Url | None = None
    """Where to log in; empty = `host`."""
    account: str
    auth: Literal["userpass", "x509_proxy", "token"] = "userpass"
    """`token`: a bearer token, read again for each session."""
    username: str | None = None
    """For `userpass`."""
    secret: Secret
    """Password, proxy file (`file:$X509_USER_PROXY`) or token: `env:NAME` or `file:PATH`, mode 0600."""
    rse: str
    """The Rucio storage element that holds the job's output base; not deterministic, so that files stay where they
    were written."""
    scope: str = "user.{user}"
    """`{user}` is the request's user."""
    ca_file: str | None = None
    """Certificates that the server's is checked with; empty = `X509_CERT_DIR`, else the system's."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Longest silence of the server, seconds; a call takes at most twice as long in all."""
    json_metadata: bool = False
    """True if the server keeps metadata of any name (Rucio does on PostgreSQL and Oracle, not on SQLite)."""

    def __post_init__(self) -> None:
        if self.auth == "userpass" and not self.username:
            raise ValueError("auth 'userpass' needs a username")
        if self.auth == "x509_proxy" and not self.secret.startswith("file:"):
            raise ValueError("a proxy is a file: secret = 'file:PATH'")


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where images are registered."""

    kind: Literal["sqlite", "rucio", "none"] = "sqlite"
    """`none`: images are committed but registered nowhere."""
    path: str | None = None
    """SQLite file; empty = `catalog.sqlite` under the job's output base."""
    rucio: Rucio | None = None
    """For kind `rucio`."""
    gather_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """How long a finished unit may wait for others to be registered in one call; empty = 0 for `sqlite`, else 60."""
    patience_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 60.0
    """How long a call that failed is repeated; then the images are left to a later registration."""

    def __post_init__(self) -> None:
        if self.kind == "rucio" and self.rucio is None:
            raise ValueError("kind 'rucio' needs a table [catalog.rucio]")


class Worker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job may use of a worker."""

    cores: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Most cores that a job may use."""
    memory_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Most memory that a job may use."""
    scratch: str | None = None
    """Folder for the simulator's work files; empty = inside the work folder. Environment variables are filled in."""
    core_speed: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Speed of one core over that of the reference core, on which the cost models were measured; predictions use it."""
    max_unit_hours: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """Wall limit of one simulator process when the job sets none; no unit is begun that will surely take longer."""

    max_idle_hours: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """A simulator process that uses no CPU time for so long is ended as hung."""
    look_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Seconds between two looks at the CPU time of simulator processes, which is what proves that they move."""


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site."""

    schema_version: Literal[1] = 1
    name: str
    """Used in reports; the file is called NAME.toml."""
    description: str = ""
    """For people."""
    releases: Releases = Releases()
    storage: Storage = Storage()
    catalog: Catalog = Catalog()
    worker: Worker = Worker()
