"""What a site file may say.

Every key has a default in `sites/defaults.toml`; a site file names only what differs. The classes are the one source of
the schema: run-time decoding, the checks and the exported JSON Schema all come from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Url = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(https://.+|http://(127\.0\.0\.1|localhost)(:\d+)?/?)\Z",
        title="https URL",
        extra={"stand_in": "https://set-by-site.invalid"},
    ),
]
"""TLS everywhere but on this machine itself: passwords and tokens go over it."""
PandaServer = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])|http://(127\.0\.0\.1|localhost)):\d+/?\Z",
        title="https://HOST:PORT",
        extra={"stand_in": "https://set-by-site.invalid:25443"},
    ),
]
"""A pilot takes address and port as two arguments."""
Secret = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)\Z",
        title="env:NAME or file:PATH",
        extra={"stand_in": "file:/set-by-site"},
    ),
]
"""Where a secret is, never the secret: `env:NAME` (environment variable) or `file:PATH` (its owner's alone)."""
Location = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(/|~|\$|(file|x?roots?|https?|davs?)://)[^\s\"'`;|&<>\\]*\Z",
        title="folder or URL",
        extra={"stand_in": "root://set-by-site.invalid//set-by-site"},
    ),
]
Folder = Annotated[
    str,
    msgspec.Meta(pattern=r"^(|[/~$].*)\Z", title="absolute folder", extra={"stand_in": "/set-by-site"}),
]
"""Programs run in folders of their own: what does not begin at the root is another place for each of them."""
UserRule = Annotated[
    str, msgspec.Meta(pattern=r"^(none|subject|.*\{user\}.*)\Z", title="none, subject or a pattern with {user}")
]
Word = Annotated[str, msgspec.Meta(pattern=r"^[^\s\"'{}$;|&<>`\\]+\Z", title="text without blanks and quotes")]
"""Goes into command lines and submit files of others."""
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z", title="letters, digits, '.', '_' and '-'")]
"""Names go into file names, URLs and command lines of others."""


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands for `release.json` where an installed simulator has none."""

    tree: str
    """The folder that holds `phosim.py`, `bin/`, `data/` and `default_instcat`."""
    facts: dict[str, Any]
    """The keys of `release.json`, without `name` and `files`."""


class Cvmfs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The CVMFS repositories that workers mount, and this package on them."""

    mount: str = "/cvmfs"
    """Folder below which repositories are mounted."""
    repositories: list[str] = []
    """Names such as `sw.lsst.eu`; `lsst-trf doctor` looks at each."""
    runtimes: list[Word] = []
    """Where `lsst-trf.sh` finds this package, best first: folders of a runtime, or folders that hold some as
    `imsim-runtime-VERSION` or `imsim-runtime/VERSION/imsim-runtime-VERSION`."""
    slowest_mb_per_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Reading a release slower than this, not cached before, is reported by the doctor."""


class Releases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where simulator releases are."""

    roots: list[str] = []
    """Folders searched in order; `IOD_RELEASES` replaces them. `~` and `$PACKAGE` (this checkout) are filled in."""
    default: str | None = None
    """Release used when a job names none."""
    offered: list[str] = []
    """Releases that the site promises; the doctor looks for each, and for `default`."""
    sidecars: dict[str, Sidecar] = {}
    """Installed trees without a `release.json`, by release name: `[releases.sidecars."phosim-3.4.2"]`."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One door of a storage, as the base of what jobs keep there."""

    url: Location
    """The base: a folder here or a URL, whose scheme is the protocol (`root`, `roots`, `https`, `davs`, `file`)."""
    use: list[Literal["write", "read"]] = msgspec.field(default_factory=lambda: ["write", "read"])
    """`write`: jobs may put images there. `read`: the same images can be had from there."""
    credential: Literal["none", "unix", "sss", "x509_proxy", "token"] = "none"
    """What the door asks for; clients take it from their environment (`X509_USER_PROXY`, `BEARER_TOKEN_FILE`,
    `XrdSecSSSKT`)."""
    rse: Name | None = None
    """Its name in Rucio and PanDA, where it has one."""
    data_server: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:_\[\]-]+\Z", title="HOST:PORT")] | None = None
    """Where `url` is an XRootD redirector in front of servers with a disk each: the one to which jobs write straight. A
    redirector that is not declared, with this or `one_namespace`, is refused: it may not see what a server holds."""
    one_namespace: bool = False
    """True if `url` redirects, but all servers behind it share one name space (EOS, dCache, a shared file system)."""
    single_writer: bool = False
    """True if the site sees to it that a job is never run twice at once: for a storage that creates no file
    exclusively."""


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where images go when a job names no destination."""

    bases: list[Location] = []
    """Ordered; empty = the endpoints with `write`, and without those the job's work folder."""
    endpoints: list[Endpoint] = []
    """The doors of the site's storage, best first: `[[storage.endpoints]]`."""
    bind_user: UserRule = "none"
    """Whether a request's `user`, whose folder is written to, has to be the one whom the job's credential names.
    `subject`: a token's `sub` or `preferred_username`, the last CN of a proxy's owner, the account of a shared secret
    or of this machine. Or a pattern over a token's `sub` or a proxy's whole DN, with `{user}`, and `*` for anything,
    e.g. `/DC=org/*/CN={user}`. A request of anybody else ends before it starts; what the storage itself allows is
    another matter."""


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
    scratch: Folder | None = None
    """Folder for the simulator's work files; empty = inside the work folder. Environment variables are filled in; where
    one is not set, inside the work folder too."""
    core_speed: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Speed of one core over that of the reference core, on which the cost models were measured; predictions use it."""
    max_unit_hours: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """Wall limit of one simulator process when the job sets none; no unit is begun that will surely take longer."""
    max_unit_cpu_hours: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """CPU limit of one simulator process when the job sets none; empty = its wall limit."""
    max_unit_scratch_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Work files of one unit, and its largest file, when the job sets no limit; empty = ten times what the release says
    that a unit needs, at least 2000."""
    max_log_mb: Annotated[int, msgspec.Meta(ge=1)] = 200
    """What one simulator process may print."""
    scratch_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Most scratch that a job may use; empty = what the disk has."""
    reserve_mb: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Left free on the scratch disk: before it is touched, the unit with the most work files is ended; empty = 2 % of
    the disk, at most 1200."""
    max_job_hours: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """How long a job may run from its start; it ends in order before. `--deadline`, the PanDA queue and Slurm may set
    an earlier end."""
    max_idle_hours: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """A simulator process that uses no CPU time for so long is ended as hung."""
    look_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Seconds between two looks at the CPU time of simulator processes, which is what proves that they move."""
    cache: Folder | None = None
    """Folder where catalogs that were fetched are kept for later jobs on this node; empty = none. No other account may
    be able to write to it. Environment variables are filled in."""
    cache_mb: Annotated[float, msgspec.Meta(gt=0, le=1_000_000_000)] = 20000.0
    """Most that may be in it, MB of 10^6 bytes; what was not used for longest goes."""
    max_catalog_mb: Annotated[float, msgspec.Meta(gt=0)] = 20000.0
    """Largest catalog, as it is stored, of a job that sets no limit; MB of 10^6 bytes."""
    max_unpacked_mb: Annotated[float, msgspec.Meta(gt=0)] = 100000.0
    """Most that it may unpack to; likewise."""


class Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One PanDA queue, and the limits that PanDA knows of it."""

    name: Name
    status: Literal["online", "offline", "test", "brokeroff"] = "online"
    """As PanDA's brokerage takes it; `brokeroff` = only for jobs that name the queue."""
    mode: Literal["pull", "push"] = "pull"
    """`pull`: the pilot asks for a job when it runs. `push`: harvester fetches the job first and sizes the slot."""
    cores: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Of one job."""
    min_memory_mb: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Jobs that ask for less go to another queue."""
    memory_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Most that a job may ask for; empty = not limited by PanDA."""
    max_wall_hours: Annotated[float, msgspec.Meta(gt=0, le=100_000)] | None = None
    """After so long the pilot ends the job; empty = the pilot's own default."""
    max_workdir_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The pilot ends a job whose work folder is larger; empty = 1 TB."""


class Harvester(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How PanDA's harvester reaches the site's batch system. Paths are on the harvester's machine."""

    ce: Word | None = None
    """`HOST:PORT` of the site's HTCondor-CE; empty = the HTCondor pool that harvester itself is in."""
    ce_queue: Word | None = None
    """Queue or partition behind it."""
    wrapper: Word = "/opt/harvester/runpilot3-wrapper.sh"
    """The pilot wrapper, which harvester sends along."""
    template: Word = "/opt/harvester/sdf/imsim.sdf"
    """Where the exported submit template is installed."""
    work_dir: Word = "/var/lib/harvester/workdirs"
    log_dir: Word = "/var/log/harvester/condor"
    log_url: Word = "https://set-by-site.invalid/condor_logs"
    """Where `log_dir` can be read on the web."""
    max_workers: Annotated[int, msgspec.Meta(ge=1)] = 100
    """Pilots at once."""


class Panda(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site as PanDA sees it; what `iod-site export` writes for PanDA, its pilot and harvester."""

    server: PandaServer = "https://pandaserver-doma.cern.ch:25443"
    """The PanDA server, with its port."""
    cloud: Name = "US"
    """PanDA's group of sites."""
    pilot_user: Name = "generic"
    """Plug-in of the pilot (`--pilot-user`)."""
    label: Name = "managed"
    """`prodSourceLabel` of the jobs that queues take."""
    log_base: Location | None = None
    """Where the pilot puts its log tarballs; empty = the first endpoint that is written to."""
    queues: list[Queue] = []
    """`[[panda.queues]]`."""
    harvester: Harvester = Harvester()


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site."""

    schema_version: Literal[1] = 1
    name: Name
    """Used in reports; the file is called NAME.toml."""
    description: str = ""
    """For people."""
    aliases: list[Name] = []
    """Other names that `--site` takes for it."""
    cvmfs: Cvmfs = Cvmfs()
    releases: Releases = Releases()
    storage: Storage = Storage()
    catalog: Catalog = Catalog()
    worker: Worker = Worker()
    panda: Panda = Panda()
