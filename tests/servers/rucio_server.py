"""A real Rucio server on loopback: Rucio from PyPI in a venv of its own, on SQLite or any other database.

How it is set up was measured with Rucio 41.5.1: SQLite bears exactly one synchronous worker, empty `x509_identity` and
its like in `[bootstrap]` skip those, alembic needs its logging sections, gunicorn 27 opens a control socket in the home
folder unless it is told not to. Rucio's server and client share the package name `rucio` and exclude each other's
versions, so the server is never installed beside the product.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformation.catalog.rucio_client import PrivateTokens

ROOT = Path(__file__).parents[2]
VERSION = "41.5.1"
RSE = "LSST_SCRATCHDISK"
"""The generic policy lets ordinary accounts register on RSEs of such names only."""
ACCOUNT, IDENTITY, PASSWORD = "imsim", "imsim-user", "a-secret-for-tests"
_ROOT_PASSWORD = "root-secret"
_START_LIMIT_S = 60.0

_CONFIG = """\
[common]
logdir = {folder}
loglevel = WARNING
[database]
default = {database}
{schema}
[bootstrap]
userpass_identity = root-user
userpass_pwd = {password}
userpass_email = root@localhost
x509_identity =
gss_identity =
ssh_identity =
[alembic]
cfg = {folder}/alembic.ini
[policy]
permission = generic
schema = generic
lfn2pfn_algorithm_default = hash
"""
_ALEMBIC = """\
[alembic]
script_location = rucio:db/sqla/migrate_repo
sqlalchemy.url = {database}
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARN
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""
_BUILD = "from rucio.db.sqla.util import *; build_database(); create_base_vo(); create_root_account()"


class NotInstalled(Exception):
    """The server's packages cannot be had here; `str()` says why."""


@dataclass(slots=True, kw_only=True)
class RucioServer:
    """One server with an account, an RSE for local files and as many scopes as tests ask for."""

    database: str = ""
    """SQLAlchemy URL; empty = SQLite in the server's folder."""
    schema: str = ""
    """Schema within that database."""
    workers: int = 1
    """More than one is for a database that bears it."""
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rucio-server-")))
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _admin: Any = None

    @property
    def url(self) -> str:
        """What clients call `rucio_host` and `auth_host`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin(self) -> Any:
        """rucio-clients' `Client` as root."""
        if self._admin is None:
            self._admin = _open_admin(self.url)
        return self._admin

    def build(self) -> None:
        """Write the configuration and make the tables, as the user that the server will run as."""
        self.port = _free_port()
        database = self.database or f"sqlite:///{self.folder}/rucio.db"
        schema = f"schema = {self.schema}" if self.schema else ""
        names = {"folder": self.folder, "database": database, "schema": schema, "password": _ROOT_PASSWORD}
        (self.folder / "rucio.cfg").write_text(_CONFIG.format(**names))
        (self.folder / "alembic.ini").write_text(_ALEMBIC.format(**names))
        empty = _empty_tables()
        if not self.database and empty.exists():
            shutil.copyfile(empty, self.folder / "rucio.db")
        _hand_over(self.folder)
        if (self.folder / "rucio.db").exists():
            return
        command = [venv_python(), "-c", _BUILD]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_server())
        assert done.returncode == 0, done.stderr
        if not self.database:
            new = empty.with_name(f"{empty.name}.{os.getpid()}")
            shutil.copyfile(self.folder / "rucio.db", new)
            new.replace(empty)

    def start(self) -> None:
        """Serve; returns when it answers."""
        command = [
            *(venv_python(), "-m", "gunicorn", "--no-control-socket", "--bind", f"127.0.0.1:{self.port}"),
            *("--workers", str(self.workers), "--worker-class", "sync", "--graceful-timeout", "1", "--timeout", "600"),
            "rucio.web.rest.flaskapi.v1.main:application",
        ]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, **self._as_server()
            )
        end = time.monotonic() + _START_LIMIT_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()[-4000:]
            assert time.monotonic() < end, f"no answer from the Rucio server in {_START_LIMIT_S:.0f} s"
            time.sleep(0.1)

    def set_up(self) -> None:
        """Make the account and the RSE: not deterministic, so that files are where we wrote them."""
        admin = self.admin
        admin.add_account(ACCOUNT, "SERVICE", "imsim@localhost")
        admin.add_identity(ACCOUNT, IDENTITY, "USERPASS", "imsim@localhost", password=PASSWORD)
        self.add_rse(RSE, scheme="file", hostname="localhost", port=0, prefix="/", kind="posix")

    def add_rse(self, name: str, *, scheme: str, hostname: str, port: int, prefix: str, kind: str) -> None:
        """One more place for replicas."""
        rights = {"read": 1, "write": 1, "delete": 1}
        third = {"third_party_copy_read": 1, "third_party_copy_write": 1}
        self.admin.add_rse(name, deterministic=False)
        protocol = {
            "scheme": scheme,
            "hostname": hostname,
            "port": port,
            "prefix": prefix,
            "impl": f"rucio.rse.protocols.{kind}.Default",
            "domains": {"lan": rights, "wan": rights | third},
        }
        self.admin.add_protocol(name, protocol)

    def add_scope(self, scope: str) -> str:
        """A scope of the account's own."""
        self.admin.add_scope(ACCOUNT, scope)
        return scope

    def stop(self) -> None:
        """End in order."""
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End at once."""
        self._signal(signal.SIGKILL)
        self._wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections are taken by the kernel, and nothing answers."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Connections are refused."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(timeout=20)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _as_server(self) -> dict[str, Any]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR"}}
        environment = {**kept, "RUCIO_CONFIG": str(self.folder / "rucio.cfg"), "HOME": str(self.folder)}
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        return {"env": environment, "cwd": self.folder, **user}


def _open_admin(url: str) -> Any:
    from rucio.client.client import Client

    class Admin(PrivateTokens, Client):  # type: ignore[misc]
        pass

    creds = {"username": "root-user", "password": _ROOT_PASSWORD}
    return Admin(rucio_host=url, auth_host=url, account="root", auth_type="userpass", creds=creds, timeout=60)


def venv_python() -> str:
    """The interpreter of the server's venv, which is made on first use and kept. Raises `NotInstalled`."""
    cache = ROOT / ".cache"
    venv = cache / f"rucio-server-{VERSION}"
    python = venv / "bin" / "python"
    if not (venv / "ready").exists():
        cache.mkdir(exist_ok=True)
        with (cache / "rucio-server.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (venv / "ready").exists():
                _install(venv, python)
    return str(python)


def _empty_tables() -> Path:
    """An SQLite file as it is when it has just been built, which takes seconds; it may not be there yet."""
    recipe = hashlib.sha256(f"{_CONFIG}{_ALEMBIC}{_BUILD}{_ROOT_PASSWORD}".encode()).hexdigest()[:12]
    return Path(venv_python()).parent.parent / f"empty-{recipe}.db"


def _install(venv: Path, python: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    packages = [f"rucio[postgresql]=={VERSION}", "gunicorn==27.0.1"]
    for command in (
        [_interpreter(), "-m", "venv", "--without-pip", str(venv)],
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInstalled(f"the Rucio server cannot be installed: {done.stderr.strip()[-300:]}")
    (venv / "ready").touch()


def _interpreter() -> str:
    """One that the server's user can reach, unlike one in root's home folder."""
    system = Path("/usr/bin/python3")
    return str(system) if os.geteuid() == 0 and system.exists() else sys.executable


def _hand_over(folder: Path) -> None:
    """Give the folder to the user that the server runs as."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "nobody", "nogroup")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
