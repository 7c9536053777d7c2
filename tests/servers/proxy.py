"""A man in the middle on loopback: slows a connection down, damages what goes through, or says nothing."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_BLOCK_BYTES = 65_536


class Proxy:
    """Passes connections on to a port of this machine. The attributes may be changed at any time."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.bytes_per_s: float | None = None
        """Of what the client sends."""
        self.damages = 0
        """How many of the next big blocks from the client get a wrong byte."""
        self.sent_bytes = 0
        """What clients have sent so far."""
        self.received_bytes = 0
        """What servers have answered so far."""
        self.cut_after_bytes: int | None = None
        """The next connection breaks after so much of the server's answers; then all are whole again."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                try:
                    far = socket.create_connection(("127.0.0.1", self._target_port))
                except OSError:
                    near.close()
                    continue
                self._sockets.append(far)
                threading.Thread(target=self._pass_on, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_upload: bool) -> None:
        with suppress(OSError):
            while block := source.recv(_BLOCK_BYTES):
                target.sendall(self._changed(block) if is_upload else self._counted(block))
                if not is_upload and self.cut_after_bytes is not None and self.received_bytes > self.cut_after_bytes:
                    self.cut_after_bytes = None
                    break
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _counted(self, block: bytes) -> bytes:
        self.received_bytes += len(block)
        return block

    def _changed(self, block: bytes) -> bytes:
        self.sent_bytes += len(block)
        if self.bytes_per_s is not None:
            time.sleep(len(block) / self.bytes_per_s)
        middle = len(block) // 2
        if self.damages and len(block) > _BLOCK_BYTES // 2:
            self.damages -= 1
            return block[:middle] + bytes([block[middle] ^ 0xFF]) + block[middle + 1 :]
        return block
