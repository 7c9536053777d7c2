"""One of our own modules in a child process that is asked many things at once and answers them in any order.

A question and its answer are one line each, with the same number in front. Every question has a wall limit; one that is
late ends the whole process, because only that ends a library call that hangs. The other questions in flight fail too,
and the next question finds a new process.
"""

from __future__ import annotations

import itertools
import os
import select
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import IO

from transformation.helper import HelperFailed, start_module

_TICK_S = 0.25
"""How late the end of a late question may come."""
_BLOCK_BYTES = 1 << 18


class Switchboard:
    """Questions to `module`; started at the first one, ends when its stdin is closed, also if we are killed."""

    def __init__(self, module: str, log: Path, environment: Mapping[str, str]) -> None:
        self._module = module
        self._log = log
        self._environment = environment
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._retired: list[_Line] = []
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The child's process id; None if none runs."""
        line = self._line
        return None if line is None or line.over else line.pid

    def ask(self, question: bytes, *, wall_limit_s: float) -> bytes:
        """The answer to one line, from any thread. Raises `HelperFailed`; after `close` always."""
        while True:
            with suppress(_Retired):
                return self._connected().ask(question, wall_limit_s)

    def hang_up(self) -> None:
        """End the process; questions in flight fail, the next one starts a new process."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.end()

    def renew(self) -> None:
        """Let the process end once it has answered what it was asked; the next question starts a new one."""
        with self._lock:
            line, self._line = self._line, None
            if line is not None:
                self._retired = [one for one in self._retired if not one.over] + [line]
        if line is not None:
            line.retire()

    def close(self) -> None:
        """End the process for good."""
        with self._lock:
            self._closed = True
            retired, self._retired = self._retired, []
        self.hang_up()
        for line in retired:
            line.end()

    def _connected(self) -> _Line:
        with self._lock:
            if self._closed:
                raise HelperFailed(f"-m {self._module} was closed")
            if self._line is None or self._line.over:
                process = start_module(self._module, self._log, self._environment)
                self._line = _Line(process, f"-m {self._module}", f"see {self._log}")
            return self._line


class _Retired(Exception):
    """That process takes no more questions."""


class _Line:
    """One process, from its start to its end."""

    def __init__(self, process: Popen[bytes], name: str, hint: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin: IO[bytes] = process.stdin
        self._stdout: IO[bytes] = process.stdout
        self._name = name
        self._hint = hint
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[Future[bytes], float]] = {}
        """Where the answer goes, and when it is late (`time.monotonic`)."""
        self._failed: HelperFailed | None = None
        self._retired = False
        self._listener = threading.Thread(target=self._listen, name="switchboard", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def over(self) -> bool:
        return self._failed is not None

    def ask(self, question: bytes, wall_limit_s: float) -> bytes:
        answer: Future[bytes] = Future()
        number = next(self._numbers)
        with self._lock:
            if self._retired:
                raise _Retired
            if self._failed is not None:
                raise self._failed
            self._waiting[number] = answer, time.monotonic() + wall_limit_s
        # The listener fails all that wait when the process is gone, this question too.
        with self._sending, suppress(OSError, ValueError):
            self._stdin.write(b"%d %s\n" % (number, question))
            self._stdin.flush()
        return answer.result()

    def retire(self) -> None:
        with self._lock:
            self._retired = True

    def end(self) -> None:
        self._process.kill()
        self._listener.join()

    def _listen(self) -> None:
        """Hand out answers until the process ends or a question is late."""
        rest = b""
        while not (late := self._late()) and not self._is_done():
            if not select.select([self._stdout], [], [], _TICK_S)[0]:
                continue
            block = os.read(self._stdout.fileno(), _BLOCK_BYTES)
            if not block:
                break
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._hand_out(line)
        self._process.kill()
        status = self._process.wait()
        ended = "gave no answer in time" if late else f"ended with {status}"
        self._fail_all(HelperFailed(f"{self._name} {ended}, {self._hint}"))
        for stream in (self._stdin, self._stdout):
            with suppress(OSError):
                stream.close()

    def _is_done(self) -> bool:
        with self._lock:
            return self._retired and not self._waiting

    def _late(self) -> bool:
        now = time.monotonic()
        with self._lock:
            return any(deadline < now for _, deadline in self._waiting.values())

    def _hand_out(self, line: bytes) -> None:
        number, _, answer = line.partition(b" ")
        with self._lock:
            waiting, _ = self._waiting.pop(int(number))
        waiting.set_result(answer)

    def _fail_all(self, failed: HelperFailed) -> None:
        with self._lock:
            self._failed = failed
            waiting = [answer for answer, _ in self._waiting.values()]
            self._waiting.clear()
        for answer in waiting:
            answer.set_exception(failed)
