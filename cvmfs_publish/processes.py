"""The only place where programs are started: as lists, never through a shell, never with a terminal's input."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import IO, Callable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.signals import shielded

_GRACE_S = 10.0
"""What a program that was told to end gets before it is killed."""
_LISTEN_EVERY_S = 0.2


class Finished(NamedTuple):
    """A program that has ended."""

    command: Tuple[str, ...]
    code: int
    """As the shell says it: 128 + N after signal N."""
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its last words, for a message: of stderr, else of stdout (`cvmfs_server` uses both)."""
        lines = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


def words(command: Sequence[str]) -> str:
    """The command as one would type it."""
    return " ".join(shlex.quote(word) for word in command)


def run(
    command: Sequence[str],
    *,
    folder: str = "/",
    environment: Optional[Mapping[str, str]] = None,
    narrate: Optional[Callable[[str], None]] = None,
) -> Finished:
    """Run a program to its end; `narrate` gets each line as it comes.

    It starts in `/`, since a process in /cvmfs/REPOSITORY holds up a publish for 60 s, and in a session of its own: a
    signal to the kit ends the whole of it. Its output goes to files, since a daemon that it leaves behind (CernVM-FS
    mounts with one) would hold a pipe open. Raises `KitError` TOOL_MISSING, and what a signal raises.
    """
    variables = {**os.environ, "LC_ALL": "C"} if environment is None else dict(environment)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _start(command, folder, variables, out, err) as child:
            try:
                _listen(child, [_Ear(out), _Ear(err)], narrate)
            except BaseException:
                with shielded():  # another signal must not let it live
                    _end(child)
                raise
        code = child.returncode
        return Finished(tuple(command), 128 - code if code < 0 else code, _text(out), _text(err))


def _start(
    command: Sequence[str], folder: str, variables: Mapping[str, str], out: IO[bytes], err: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(command),
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except OSError as error:
        raise KitError(Exit.TOOL_MISSING, f"cannot run {command[0]}: {error.strerror}") from None


class _Ear:
    """Reads what has been added to a file, line by line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._heard = 0
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        added = os.pread(self._file.fileno(), 1 << 20, self._heard)
        self._heard += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip()


def _listen(child: subprocess.Popen[bytes], ears: Sequence[_Ear], narrate: Optional[Callable[[str], None]]) -> None:
    if narrate is None:
        child.wait()
        return
    running = True
    while running:
        try:
            child.wait(_LISTEN_EVERY_S)
            running = False
        except subprocess.TimeoutExpired:
            pass
        for ear in ears:
            for line in ear.new_lines():
                narrate(line)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the program with all it started, politely first: nothing of it may work on while a transaction is undone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
