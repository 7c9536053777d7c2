"""What the cases of one campaign process share: servers, small disks, and pictures of how it should come out."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.faulty_proxy import FaultyProxy
from tests.servers.proxy import Proxy
from tests.servers.rucio_server import NotInstalled, RucioServer, venv_python
from tests.servers.software import have_xrootd
from tests.servers.xrootd_server import Options, XRootDServer
from tests.whole_job.doctor_image import header_length

_DISK = "size=160m"
_STORE_MB = 96
REMOTE_RSE = "XROOTD_SCRATCHDISK"
_USERS = count(1)


@dataclass(slots=True)
class CatalogHost:
    """Serves the instance catalogs of a folder over HTTP, honestly or not."""

    folder: Path
    fault: str = ""
    """`refuse` (503), `die` (half of the body), or nothing."""
    _server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = host.folder / self.path.lstrip("/")
                if host.fault == "refuse" or not path.is_file():
                    self.send_error(503 if path.is_file() else 404)
                    return
                body = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if host.fault == "die" else body)

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Of the folder."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class Services:
    """To be used in a `with` statement; servers start when a case first needs them."""

    def __init__(self, release: Path, truth: Mapping[str, str]) -> None:
        self.release = release
        self.truth = truth
        """Checksum of the pixels of each image of a run without faults."""
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)

    @cached_property
    def lacking(self) -> frozenset[str]:
        """What cannot be had here; nothing is started for the answer."""
        have = {
            "root": have_xrootd(), "rucio": _have_rucio(), "clock": self.clock is not None,
            "disk": self.disk is not None and self.store_disk is not None,
        }  # fmt: skip
        return frozenset(name for name, here in have.items() if not here)

    @cached_property
    def disk(self) -> Path | None:
        """A small disk for work folders; None where nothing can be mounted."""
        return self._mount("disk")

    @cached_property
    def store_disk(self) -> Path | None:
        """Another for images."""
        return self._mount("store")

    def _mount(self, name: str) -> Path | None:
        folder = self.folder / name
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", str(folder)], capture_output=True)
        if done.returncode != 0:
            return None
        self._stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
        return folder

    @cached_property
    def xrootd(self) -> XRootDServer | None:
        """A server of our own, to be killed and filled; None if it cannot be installed."""
        if "root" in self.lacking:
            return None
        server = XRootDServer(Options(capacity_mb=_STORE_MB if self.disk else None)).start()
        self._stack.callback(server.close)
        return server

    @cached_property
    def line(self) -> Proxy:
        """The line to that server."""
        assert self.xrootd is not None
        return self._stack.enter_context(Proxy(self.xrootd.port))

    @cached_property
    def rucio(self) -> RucioServer | None:
        """A Rucio server; None if it cannot be installed."""
        if "rucio" in self.lacking:
            return None
        server = RucioServer()
        self._stack.callback(server.remove)
        server.build()
        server.start()
        server.set_up()
        if self.xrootd is not None:
            server.add_rse(
                REMOTE_RSE, scheme="root", hostname="localhost", port=self.line.port, prefix="//store", kind="xrootd"
            )
        return server

    @cached_property
    def rucio_line(self) -> FaultyProxy:
        """The line to it."""
        assert self.rucio is not None
        proxy = FaultyProxy(self.rucio.url)
        self._stack.callback(proxy.close)
        return proxy

    def new_user(self) -> str:
        """A user with a scope in Rucio."""
        user = f"chaos{next(_USERS)}"
        if self.rucio is not None:
            self.rucio.add_scope(f"user.{user}")
        return user

    @cached_property
    def catalogs(self) -> CatalogHost:
        """A web server of instance catalogs."""
        folder = self.folder / "catalogs"
        folder.mkdir()
        host = CatalogHost(folder)
        self._stack.callback(host.close)
        return host

    @cached_property
    def clock(self) -> Path | None:
        """The library that lends a process another wall clock, see `clock.c`; None if there is no compiler."""
        library = self.folder / "clock.so"
        words = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("clock.c")), "-ldl"]
        made = shutil.which("cc") and subprocess.run(words, capture_output=True).returncode == 0
        return library if made else None


def _have_rucio() -> bool:
    try:
        venv_python()
    except NotInstalled:
        return False
    return True


def pixels(image: Path) -> str:
    """Checksum of an image without its header, which holds the time of day and paths. Raises what gzip raises."""
    content = gzip.decompress(image.read_bytes())
    return hashlib.sha256(content[header_length(content) :]).hexdigest()
