"""A real XRootD server on loopback, to be started, stopped, killed, frozen and filled.

How it is configured was measured with XRootD 5.5.3 (Debian): it refuses to run as root, `chksum max` below the number
of parallel questions makes it answer "wait 30 s", and only `ofs.persist auto hold 0` removes at once what a dead writer
left. It binds all interfaces and has no option against that; `xrd.allow` lets only this machine in.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.credentials import Authority, TokenIssuer, make_sss_keytab

IMPATIENT = {
    "XRD_CONNECTIONRETRY": "1",
    "XRD_CONNECTIONWINDOW": "2",
    "XRD_REQUESTTIMEOUT": "3",
    "XRD_STREAMTIMEOUT": "2",
}
"""Client settings with which tests wait seconds for a server that is silent, not minutes."""
_START_LIMIT_S = 20.0
_SERVER_USER, _SERVER_GROUP = "nobody", "nogroup"
SSS_USER = "imsim"
# Its exit status is taken for an errno; 14 (EFAULT) is answered as 3012.
_CHECKSUM_PROGRAM = """\
#!/bin/sh
path="$(dirname "$0")/data$1"
test -e "$path.asked" || { touch "$path.asked"; exit 14; }
exec python3 -c 'import sys, zlib; print("%08x" % zlib.adler32(open(sys.argv[1], "rb").read()))' "$path"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a server differs from the plain one."""

    sss: bool = False
    """Only who holds the shared secret comes in, and may not write below `/store/locked`."""
    tls: bool = False
    """With a certificate of a CA of its own."""
    token: bool = False
    """Only who holds a WLCG token comes in; needs `tls`."""
    http: bool = False
    """With a second door for HTTP (HTTPS with `tls`)."""
    checksum: bool = True
    """Whether it answers the question for checksums."""
    checksum_fails_first: bool = False
    """The first question for the checksum of a file is answered with 3012, as a loaded server does now and then."""
    hold: str = "auto hold 0"
    """`ofs.persist`: what becomes of a file whose writer died; empty for the default, 10 minutes."""
    redirector: bool = False
    """It only knows which others have files, and has none itself."""
    capacity_mb: int | None = None
    """Size of its disk, a tmpfs of its own; needs root."""


_OPEN: weakref.WeakSet[XRootDServer] = weakref.WeakSet()


def start_again_what_died() -> list[str]:
    """Start the servers of this process again that died by themselves, and say how each ended.

    A real one did once, with TLS, and was not seen to do it again; such deaths are reported upstream (xrootd issues
    1252, 2226 and 2503). Tests of a whole class share a server, and all that follow would fail with it.
    """
    return [words for server in tuple(_OPEN) if (words := server.start_again_if_dead())]


def start_all_again() -> None:
    """A test failed and is tried again: should it have been for a server that is stuck, it shall have a fresh one."""
    for server in tuple(_OPEN):
        if server.running:
            server.restart()


class XRootDServer:
    """One server process over a folder of its own; the port stays the same over restarts."""

    def __init__(self, options: Options = Options()) -> None:
        self.options = options
        # Not below pytest's folders, which no other user may enter; its socket paths must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="xrootd-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.port, self._http_port = _free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        for name in ("data/store", "admin", "run", "home"):
            (self.folder / name).mkdir(parents=True)
        if options.capacity_mb is not None:
            size = f"size={options.capacity_mb}m"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.store)], check=True)
        self._authority = Authority(self.folder / "tls") if options.tls else None
        self._tokens = TokenIssuer(self.folder / "tokens") if options.token else None
        if options.sss:
            make_sss_keytab(self.folder / "client.keytab", self.folder / "server.keytab", SSS_USER)
        (self.folder / "authdb").write_text(f"u {SSS_USER} /store/locked rl /store a\n")
        (self.folder / "checksum").write_text(_CHECKSUM_PROGRAM)
        (self.folder / "checksum").chmod(0o755)
        (self.folder / "xrd.cfg").write_text(self._config())
        self._give_to_server()
        _OPEN.add(self)

    @property
    def store(self) -> Path:
        """The folder behind `root_url`, to be looked at."""
        return self.folder / "data/store"

    @property
    def root_url(self) -> str:
        """`root://localhost:PORT//store`; `roots` with TLS."""
        return f"root{'s' if self.options.tls else ''}://localhost:{self.port}//store"

    @property
    def http_url(self) -> str:
        """The same folder through the HTTP door."""
        return f"http{'s' if self.options.tls else ''}://localhost:{self._http_port}/store"

    @property
    def http_port(self) -> int:
        """Of the HTTP door."""
        return self._http_port

    @property
    def ca_folder(self) -> Path:
        """For `X509_CERT_DIR`."""
        assert self._authority is not None
        return self._authority.ca_folder

    @property
    def ca_file(self) -> Path:
        """The CA's certificate, for HTTP clients."""
        assert self._authority is not None
        return self._authority.ca_file

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment to be let in."""
        found: dict[str, str] = {}
        if self.options.sss:
            found["XrdSecSSSKT"] = str(self.folder / "client.keytab")
        if self.options.tls:
            found["X509_CERT_DIR"] = str(self.ca_folder)
        if self._tokens is not None:
            found["BEARER_TOKEN_FILE"] = str(self.token_file(lifetime_s=600))
        return found

    def token_file(self, *, lifetime_s: float, scope: str = TokenIssuer.ALL) -> Path:
        """A file with a new token; negative lifetimes make expired ones."""
        assert self._tokens is not None
        return self._tokens.token_file(lifetime_s=lifetime_s, scope=scope)

    # -- life

    def start(self) -> XRootDServer:
        """Start it and wait until it answers."""
        self._starts += 1
        log = self.folder / f"xrd-{self._starts}.log"
        folder = str(self.folder)
        command = ["xrootd", "-c", f"{folder}/xrd.cfg", "-w", f"{folder}/home", "-I", "v4", "-l", str(log)]
        self._process = subprocess.Popen(
            command,
            env={**_clean_environment(), **self._server_environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_as_server(),  # type: ignore[call-overload]
        )
        end = time.monotonic() + _START_LIMIT_S
        # It names the door that was configured last.
        ready = f":{self._http_port if self.options.http else self.port} initialization completed"
        while not (log.exists() and ready in log.read_text()):
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"xrootd does not start:\n{log.read_text() if log.exists() else ''}")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """A crash and a new start."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """It accepts connections and stays silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        if self.options.capacity_mb is not None:
            subprocess.run(["umount", "--lazy", str(self.store)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether it was started and not ended here."""
        return self._process is not None

    def start_again_if_dead(self) -> str:
        """How it ended, if nobody here ended it; it runs again then. Empty if it is alive or was stopped."""
        if self._process is None or self._process.poll() is None:
            return ""
        ended = self._process.returncode
        self.start()
        return f"xrootd in {self.folder} died by itself with {ended}"

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
                self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    # -- set-up

    def _config(self) -> str:
        folder, options = self.folder, self.options
        lines = [
            "all.export /store",
            f"oss.localroot {folder}/data",
            f"all.adminpath {folder}/admin",
            f"all.pidpath {folder}/run",
            f"xrd.port {self.port}",
            "xrd.allow host localhost",
        ]
        if options.redirector:
            lines += ["all.role manager", f"all.manager localhost:{self._http_port}"]
        if options.checksum_fails_first:
            lines.append(f"xrootd.chksum max 64 adler32 {folder}/checksum")
        elif options.checksum:
            lines.append("xrootd.chksum max 64 adler32 md5 crc32")
        if options.hold:
            lines.append(f"ofs.persist {options.hold}")
        if self._authority is not None:
            lines += [
                f"xrd.tls {self._authority.server_certificate} {self._authority.server_key}",
                f"xrd.tlsca certdir {self._authority.ca_folder}",
                "xrootd.tls capable all",
            ]
        if options.http:
            lines.append(f"xrd.protocol XrdHttp:{self._http_port} libXrdHttp.so")
            lines.append("http.header2cgi Authorization authz")
        if options.sss:
            lines += [
                "xrootd.seclib libXrdSec.so",
                f"sec.protocol sss -s {folder}/server.keytab",
                "sec.protbind * only sss",
                "ofs.authorize 1",
                f"acc.authdb {folder}/authdb",
            ]
        if self._tokens is not None:
            lines += [
                "xrootd.seclib libXrdSec.so",
                "sec.protocol ztn",
                "sec.protbind * only ztn",
                "ofs.authorize 1",
                f"ofs.authlib libXrdAccSciTokens.so config={self._tokens.server_config}",
            ]
        return "".join(f"{line}\n" for line in lines)

    def _server_environment(self) -> dict[str, str]:
        return {} if self._tokens is None else {"XDG_CACHE_HOME": str(self._tokens.cache)}

    def _give_to_server(self) -> None:
        if os.geteuid() != 0:
            return
        for path in (self.folder, *self.folder.rglob("*")):
            shutil.chown(path, _SERVER_USER, _SERVER_GROUP)
        if self.options.sss:
            # The client refuses a secret that others own or may read.
            shutil.chown(self.folder / "client.keytab", os.geteuid(), os.getegid())


def _as_server() -> Mapping[str, object]:
    """xrootd does not run as root."""
    return {"user": _SERVER_USER, "group": _SERVER_GROUP, "extra_groups": []} if os.geteuid() == 0 else {}


def _clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
