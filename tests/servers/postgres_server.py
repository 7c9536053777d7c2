"""A PostgreSQL server on loopback, for what Rucio keeps only there: metadata of any name."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

_PACKAGE = "postgresql"


class NoPostgres(Exception):
    """It cannot be had here; `str()` says why."""


@dataclass(slots=True, kw_only=True)
class PostgresServer:
    """One server with an empty database; it refuses to run as root, so then it runs as `postgres`."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="postgres-server-")))
    port: int = 0

    @property
    def database(self) -> str:
        """As SQLAlchemy names it."""
        return f"postgresql+psycopg://rucio@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Make the database and serve it. Raises `NoPostgres`."""
        programs = _programs()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        data = self.folder / "data"
        self._run(programs / "initdb", "-N", "-A", "trust", "-U", "rucio", "-D", data)
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        self._run(programs / "pg_ctl", "-w", "-D", data, "-l", self.folder / "log", "-o", options, "start")

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run(_programs() / "pg_ctl", "-w", "-m", "immediate", "-D", self.folder / "data", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *words: str | Path) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        group = ["postgres", ()] if user else [None, None]
        done = subprocess.run(
            [*map(str, words)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if "start" not in words else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            user=user,
            group=group[0],
            extra_groups=group[1],
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout)


def _programs() -> Path:
    """Where the server's programs are, which no PATH names; installs them where we may. Raises `NoPostgres`."""
    if not (found := _find()) and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        install = ["apt-get", "-o", "DPkg::Lock::Timeout=400", "install", "-y", "--no-install-recommends", _PACKAGE]
        subprocess.run(install, capture_output=True, check=False)
        found = _find()
    if not found:
        raise NoPostgres(f"no PostgreSQL here, and it cannot be installed: as root `apt-get install {_PACKAGE}`")
    return found[-1].parent


def _find() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
