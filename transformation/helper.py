"""Our own modules in child processes that answer a line with a line."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from transformation.family import release, start_own

_PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)
"""Lets a helper find this package, installed or not."""


class HelperFailed(Exception):
    """A helper process did not answer; `str()` says how it ended."""


class Helper:
    """One of our own modules in a child process that answers a line with a line.

    Started at the first question and again after a failure; ends when its stdin is closed, also if we are killed.
    """

    def __init__(self, module: str, log: Path) -> None:
        self._module = module
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def warm_up(self) -> None:
        """Start the process, so that the first answer does not wait for its imports."""
        self._ensure()

    def ask(self, question: bytes, *, timeout_s: float) -> bytes:
        """The answer to one line; raises `HelperFailed`, after which the next question finds a new process."""
        process = self._ensure()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question + b"\n")
            process.stdin.flush()
            silent = not select.select([process.stdout], [], [], timeout_s)[0]
            answer = b"" if silent else process.stdout.readline()
        except (OSError, ValueError):  # ValueError: `close` was called meanwhile
            answer, silent = b"", False
        if not answer.endswith(b"\n"):
            self.close()
            ended = f"gave no answer in {timeout_s:.0f} s" if silent else f"ended with {process.returncode}"
            raise HelperFailed(f"-m {self._module} {ended}, see {self._log}")
        return answer

    def close(self) -> None:
        """End the process; safe to call from another thread to interrupt `ask`."""
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            process.wait()
            release(process.pid)
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):
                    if stream is not None:
                        stream.close()

    def _ensure(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = start_module(self._module, self._log)
        return self._process


class HelperOfThread:
    """A helper for each thread that asks for one."""

    def __init__(self, module: str, log: Path) -> None:
        self._module = module
        self._log = log
        self._own = threading.local()
        self._all: list[Helper] = []

    def get(self) -> Helper:
        """This thread's."""
        helper: Helper | None = getattr(self._own, "helper", None)
        if helper is None:
            helper = self._own.helper = Helper(self._module, self._log)
            self._all.append(helper)
        return helper

    def close(self) -> None:
        """End them all."""
        for helper in self._all:
            helper.close()


def start_module(
    module: str, log: Path, environment: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """One of our own modules in a child process with pipes at stdin and stdout; it has to end when stdin is closed.

    It inherits our environment, credentials included, and gets `environment` on top.
    """
    with log.open("ab") as stderr:
        return start_own(
            lambda: subprocess.Popen(
                (sys.executable, "-m", module, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # A signal to our process group is ours to answer; the child ends when we close its stdin.
                start_new_session=True,
                env={**os.environ, **(environment or {}), "PYTHONPATH": _PACKAGE_PARENT},
            )
        )
