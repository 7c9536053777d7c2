"""A WebDAV server that keeps to RFC 4918, on loopback: what XRootD's HTTP door does differently, it does not."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from cheroot.wsgi import Server
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp


class WebDavServer:
    """Serves a folder to everybody, in a thread of this process."""

    def __init__(self, folder: Path) -> None:
        logging.getLogger("wsgidav").setLevel(logging.CRITICAL)
        settings = {
            "provider_mapping": {"/store": FilesystemProvider(str(folder), readonly=False)},
            "simple_dc": {"user_mapping": {"*": True}},
            "lock_storage": False,
            "property_manager": False,
            "verbose": 0,
            "logging": {"enable": False},
        }
        self.store = folder
        self._server = Server(("127.0.0.1", 0), WsgiDAVApp(settings), numthreads=20)
        self._server.prepare()
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """`dav://` location of the folder."""
        return f"dav://localhost:{self._server.bind_addr[1]}/store"

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()
        self._thread.join()
