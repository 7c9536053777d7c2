"""What is sent to a server."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 1 << 18


class Content:
    """What is sent: bytes that are here already."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        yield self._content


class FileContent(Content):
    """What is sent: a local file, block by block, as long as it was at first. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._size_bytes = path.stat().st_size
        self.adler32 = 1
        """Of what was sent."""
        self.fault: OSError | None = None
        """What was wrong on this side, if anything was."""

    def __len__(self) -> int:
        return self._size_bytes

    def __iter__(self) -> Iterator[bytes]:
        self.adler32, left_bytes = 1, self._size_bytes
        try:
            with self._path.open("rb") as file:
                while left_bytes:
                    block = file.read(min(_BLOCK_BYTES, left_bytes))
                    if not block:
                        raise OSError(f"{self._path} became shorter while it was sent")
                    self.adler32, left_bytes = zlib.adler32(block, self.adler32), left_bytes - len(block)
                    yield block
        except OSError as error:
            self.fault = error
            raise


NOTHING = Content()
