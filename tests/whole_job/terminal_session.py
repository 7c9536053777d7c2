"""A person at a terminal: a pseudo-terminal with a command on it, to be read and typed at."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_TIME_LIMIT_S = 60.0


class TerminalSession:
    """Starts the command at once; use it in a `with`."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._own, theirs = os.openpty()
        self.text = ""
        """All that was shown so far."""
        self._seen = 0
        self.process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**environment, "TERM": "xterm", "COLUMNS": "110", "LINES": "40"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_words: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._own)

    def expect(self, words: str) -> None:
        """Read until these words are shown."""
        end = time.monotonic() + _TIME_LIMIT_S
        while words not in self.plain[self._seen :]:
            assert time.monotonic() < end, f"waited for {words!r}, saw {self.plain!r}"
            assert self._read(), f"it ended before {words!r}: {self.plain!r}"
        self._seen = self.plain.index(words, self._seen) + len(words)

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._own, keys.encode())

    def interrupt(self, words: str) -> None:
        """Ctrl-C until these words are shown: Python waits on for an answer if it comes just before it begins to."""
        shown, end = len(self.text), time.monotonic() + _TIME_LIMIT_S
        while words not in self.plain[self._seen :]:
            assert time.monotonic() < end, f"waited for {words!r}, saw {self.plain!r}"
            if shown == len(self.text):  # nothing new for a second
                self.process.send_signal(signal.SIGINT)
            shown = len(self.text)
            assert self._read(), f"it ended before {words!r}: {self.plain!r}"
        self.expect(words)

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=_TIME_LIMIT_S)

    @property
    def plain(self) -> str:
        """What was shown, without colours."""
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.text)

    def _read(self) -> bool:
        """Take what comes; False at the end."""
        if not select.select([self._own], [], [], 1.0)[0]:
            return True
        piece = b""
        with suppress(OSError):  # EIO: nobody has the other end any more
            piece = os.read(self._own, 65536)
        self.text += piece.decode("utf-8", "replace")
        return bool(piece)
