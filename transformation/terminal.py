"""A pseudo-terminal as the stdout of one process, so that its lines arrive as they are printed.

C programs, PhoSim's among them, print in blocks of 4 kB into a file or pipe, but line by line on a terminal: hours of
difference. Everything is still copied to the log; signals, sessions and memory are as without it, because the terminal
controls nobody.
"""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

_CHUNK_BYTES = 65_536
_CHUNKS_AT_ONCE = 256
"""Then the end of the process is looked for, however fast somebody prints."""
_OUTPUT_FLAGS, _LOCAL_FLAGS = 1, 3
"""Places in what `termios.tcgetattr` returns."""


class Terminal(msgspec.Struct, kw_only=True):
    """Both ends; the process gets `process_end`, which we let go once it has it."""

    own_end: int
    process_end: int

    def let_go(self) -> None:
        """Close the process's end here, so that reading ends with the process."""
        if self.process_end >= 0:
            os.close(self.process_end)
            self.process_end = -1

    def close(self) -> None:
        """Close both."""
        self.let_go()
        os.close(self.own_end)

    def copy_until_over(self, pid: int, log: Path, listener: Callable[[bytes], None]) -> None:
        """Copy to the log and tell the listener until the process with that id, our child, is over."""
        with log.open("ab", buffering=0) as copy:
            over = os.pidfd_open(pid)
            try:
                waiting = select.poll()
                waiting.register(self.own_end, select.POLLIN)
                waiting.register(over, select.POLLIN)
                while True:
                    ready = dict(waiting.poll())
                    if self.own_end in ready and not self._drain(copy.write, listener):
                        waiting.unregister(self.own_end)
                    if over in ready:
                        return
            finally:
                os.close(over)

    def copy_rest(self, log: Path, listener: Callable[[bytes], None]) -> None:
        """Copy what is still on its way after the end of the process."""
        with log.open("ab", buffering=0) as copy:
            self._drain(copy.write, listener)

    def _drain(self, write: Callable[[bytes], int | None], listener: Callable[[bytes], None]) -> bool:
        """Copy what is there, up to a bound; False if nobody has the process's end any more."""
        for _ in range(_CHUNKS_AT_ONCE):
            try:
                text = os.read(self.own_end, _CHUNK_BYTES)
            except BlockingIOError:
                return True
            except OSError:  # EIO, Linux's word for it
                return False
            with suppress(OSError):  # a full disk: the process must not be held up by its log
                write(text)
            listener(text)
        return True


def open_terminal() -> Terminal | None:
    """A terminal that passes bytes on unchanged; None where there is none to be had, or no way to wait for both."""
    try:
        os.close(os.pidfd_open(os.getpid()))  # Linux 5.3
        own_end, process_end = os.openpty()
    except OSError:
        return None
    terminal = Terminal(own_end=own_end, process_end=process_end)
    try:
        modes = termios.tcgetattr(process_end)
        modes[_OUTPUT_FLAGS] &= ~termios.OPOST
        modes[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
        termios.tcsetattr(process_end, termios.TCSANOW, modes)
    except termios.error:
        terminal.close()
        return None
    os.set_blocking(own_end, False)
    return terminal
